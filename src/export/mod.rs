//! A trained model in other forms, for programs that know nothing of this one.
//!
//! Each form is derived from the model file alone, so that the same file gives the same bytes.

pub mod card;
pub mod form;
pub mod onnx;
pub mod torch;

pub use form::Form;

/// Why a model cannot be written in a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model cannot be written as {form}: {reason}")]
pub struct ExportError {
    /// As in [`Form::name`].
    pub form: &'static str,
    /// What the form cannot express.
    pub reason: String,
}
