//! Where matrices are multiplied: burn's compute backends behind one small type.
//!
//! Networks keep their numbers in plain vectors and hand them to burn for matrix products only.
//! With `flex` a vector moves into a tensor and back without a copy.

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// The compute backend, chosen when the program starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// burn-flex: the fast one, with AVX2 or AVX-512 kernels where the processor has them.
    #[default]
    Flex,
    /// burn-ndarray: the older pure-Rust backend, kept as a second opinion.
    Ndarray,
}

/// A row-major `f32` matrix that burn can multiply. Cloning shares the numbers.
#[derive(Debug, Clone)]
pub struct Matrix(Tensor<2>);

impl Backend {
    /// Moves `values`, row-major `[rows, columns]`, into a matrix.
    pub fn matrix(self, values: Vec<f32>, rows: usize, columns: usize) -> Matrix {
        let device = match self {
            Self::Flex => burn::tensor::Device::flex(),
            #[expect(deprecated, reason = "the product's owner asked for burn-ndarray as a choice")]
            Self::Ndarray => burn::tensor::Device::ndarray(),
        };
        Matrix(Tensor::from_data(TensorData::new(values, [rows, columns]), &device))
    }
}

impl Matrix {
    /// `self [n, k] . other [k, m] -> [n, m]`.
    pub fn times(&self, other: &Self) -> Vec<f32> {
        into_vec(self.0.clone().matmul(other.0.clone()))
    }

    /// `self [n, k] . other [m, k]^T -> [n, m]`.
    pub fn times_transposed(&self, other: &Self) -> Vec<f32> {
        into_vec(self.0.clone().matmul(other.0.clone().transpose()))
    }

    /// `self [n, k]^T . other [n, m] -> [k, m]`.
    pub fn transposed_times(&self, other: &Self) -> Vec<f32> {
        into_vec(self.0.clone().transpose().matmul(other.0.clone()))
    }

    /// The numbers, row-major; free of a copy when this is the last handle on `flex`.
    pub fn into_vec(self) -> Vec<f32> {
        into_vec(self.0)
    }
}

fn into_vec(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("matrices are made of f32 and never change their type")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_products_agree_on_both_backends() {
        for backend in [Backend::Flex, Backend::Ndarray] {
            let a = backend.matrix(vec![1., 2., 3., 4., 5., 6.], 2, 3);
            let b = backend.matrix(vec![1., 0., 2., -1., 0., 1.], 3, 2);
            assert_eq!(a.times(&b), [5., 1., 14., 1.]);
            let b_transposed = backend.matrix(vec![1., 2., 0., 0., -1., 1.], 2, 3);
            assert_eq!(a.times_transposed(&b_transposed), [5., 1., 14., 1.]);
            let a_transposed = backend.matrix(vec![1., 4., 2., 5., 3., 6.], 3, 2);
            assert_eq!(a_transposed.transposed_times(&b), [5., 1., 14., 1.]);
        }
    }

    #[test]
    fn flex_moves_a_vector_in_and_out_without_a_copy() {
        let values = vec![1.0_f32; 64];
        let address = values.as_ptr();
        let back = Backend::Flex.matrix(values, 8, 8).into_vec();
        assert_eq!(back.as_ptr(), address);
    }
}
