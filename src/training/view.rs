//! How networks see a table: what they take in, how its rows become features, and the shape that follows.

use super::TrainError;
use super::prepare::Prepared;
use super::recipe::{Variant, shape};
use super::split::Split;
use crate::model::embedding::steps::Steps;
use crate::model::input::Input;
use crate::model::manifest::Member;
use crate::model::network::Shape;

/// What networks of one shape have in common, and what each has of its own.
#[derive(Debug)]
pub(super) struct View {
    /// The inputs as `rows` show them.
    pub(super) inputs: Vec<Input>,
    /// One per training part.
    pub(super) members: Vec<Member>,
    /// Of the networks, but for the steps of those that have them for every number.
    pub(super) shape: Shape,
    /// Those steps, where they are of use.
    pub(super) stepped: Option<Vec<Steps>>,
    /// The rows that inputs, ranges and levels are taken from, ascending.
    pub(super) rows: Vec<usize>,
}

/// The rows that inputs, ranges and levels are taken from: those that some network is fitted on.
pub(super) fn fitting_rows(split: &Split) -> Vec<usize> {
    if let [only] = split.folds.as_slice() {
        return only.training.clone();
    }
    let mut rows: Vec<usize> = split.folds.iter().flat_map(|fold| &fold.validation).copied().collect();
    rows.sort_unstable();
    rows
}

/// The views of the networks that choose their epochs, which take `inputs` in, and, where asked for, of those
/// that are fitted once more.
pub(super) fn views(
    prepared: &Prepared,
    split: &Split,
    inputs: Vec<Input>,
) -> Result<(View, Option<View>), TrainError> {
    // Decided by all rows that choose or learn, so that each of them has a logarithm.
    let is_test = |row: &usize| split.test.binary_search(row).is_ok();
    let rest: Vec<usize> = prepared.usable.iter().copied().filter(|row| !is_test(row)).collect();
    let logarithmic = prepared.truth.logarithmic(&rest, prepared.spec.target_scale);
    let trainings: Vec<&[usize]> = split.folds.iter().map(|fold| fold.training.as_slice()).collect();
    let view = View::new(prepared, inputs, fitting_rows(split), &trainings, &logarithmic)?;
    let refit = prepared.spec.refit.then(|| View::of_refit(prepared, &view, &logarithmic)).transpose()?;
    Ok((view, refit))
}

impl View {
    /// For networks that are each fitted on one of `trainings`, which are among `rows`.
    fn new(
        prepared: &Prepared,
        inputs: Vec<Input>,
        rows: Vec<usize>,
        trainings: &[&[usize]],
        logarithmic: &[bool],
    ) -> Result<Self, TrainError> {
        let members: Vec<Member> = trainings
            .iter()
            .map(|training| prepared.member(&inputs, &rows, training, logarithmic))
            .collect::<Result<_, _>>()?;
        let features = || prepared.part(&inputs, &members[0], trainings[0]).features;
        let (shape, stepped) = shape(prepared.spec, &members[0].encoder, features, prepared.truth.width());
        Ok(Self { inputs, members, shape, stepped, rows })
    }

    /// The steps of networks of `variant` where they are not those of the shape.
    pub(super) fn steps_of(&self, variant: Variant) -> Option<&Vec<Steps>> {
        self.stepped.as_ref().filter(|_| variant == Variant::Stepped)
    }

    /// The shape of networks of `variant`.
    pub(super) fn shape_of(&self, variant: Variant) -> Shape {
        let stepped = self.steps_of(variant).unwrap_or(&self.shape.stepped).clone();
        Shape { stepped, ..self.shape.clone() }
    }

    /// For networks that are fitted once more, on all rows: their inputs are those of `chosen`.
    fn of_refit(prepared: &Prepared, chosen: &View, logarithmic: &[bool]) -> Result<Self, TrainError> {
        // A row for the test may have a value without the logarithm that the networks learn.
        let rows: Vec<usize> = prepared
            .usable
            .iter()
            .copied()
            .filter(|row| prepared.truth.can_be_learned(*row, logarithmic))
            .collect();
        let (mut inputs, _) = prepared.inputs(&rows)?;
        inputs.retain(|input| chosen.inputs.iter().any(|known| known.name == input.name));
        Self::new(prepared, inputs, rows.clone(), &[&rows], logarithmic)
    }
}
