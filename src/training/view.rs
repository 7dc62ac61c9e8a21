//! How networks see a table: what they take in, how its rows become features, and the shape that follows.

use super::TrainError;
use super::prepare::Prepared;
use super::recipe::shape;
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
    /// Of each network.
    pub(super) shape: Shape,
    /// The rows that inputs, ranges and levels are taken from, ascending.
    pub(super) rows: Vec<usize>,
}

impl View {
    /// For networks that are each fitted on one of `trainings`, which are among `rows`.
    pub(super) fn new(
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
        let shape = shape(prepared.spec, &members[0].encoder, features, prepared.truth.width());
        Ok(Self { inputs, members, shape, rows })
    }

    /// For networks that are fitted once more, on all rows: their inputs are those of `chosen`.
    pub(super) fn of_refit(
        prepared: &Prepared,
        chosen: &View,
        logarithmic: &[bool],
    ) -> Result<Self, TrainError> {
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
