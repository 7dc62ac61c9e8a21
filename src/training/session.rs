//! What stays the same from the first network of a training to its card.

use super::Compute;
use super::event::Stop;
use super::prepare::Prepared;
use super::recipe::{Recipe, Variant, recipe, variants};
use super::spec::Spec;
use super::split::Split;
use super::team::Team;
use super::view::View;
use crate::model::in_units;
use crate::model::manifest::Member;
use crate::model::network::Network;

/// A table as a training sees it, and what the training is done with.
#[derive(Clone, Copy)]
pub(super) struct Session<'a> {
    pub(super) prepared: &'a Prepared<'a>,
    pub(super) split: &'a Split,
    /// Of the networks that choose their epochs: a member per fold.
    pub(super) view: &'a View,
    /// Of those that are fitted once more, on all rows: one member.
    pub(super) refit: Option<&'a View>,
    pub(super) compute: &'a Compute,
    pub(super) team: &'a Team,
    pub(super) stop: &'a Stop,
}

impl Session<'_> {
    pub(super) fn spec(&self) -> &Spec {
        self.prepared.spec
    }

    /// Numbers that a network answers to a row.
    pub(super) fn width(&self) -> usize {
        self.view.shape.outputs
    }

    /// Networks that choose their epochs, in all variants.
    pub(super) fn n_chosen(&self) -> usize {
        self.view.members.len() * self.variants().len()
    }

    /// The variants of them.
    pub(super) fn variants(&self) -> Vec<Variant> {
        variants(self.spec(), self.view.stepped.is_some())
    }

    /// How network `index` is fitted: those of all folds of the first variant come first, then those of the next;
    /// behind these, in the same order, those that are fitted once more.
    pub(super) fn recipe(&self, index: usize) -> Recipe {
        let variants = self.variants();
        let variant = variants[index / self.view.members.len() % variants.len()];
        let view = self.refit.filter(|_| index >= self.n_chosen()).unwrap_or(self.view);
        recipe(self.spec(), view.shape_of(variant), variant, index)
    }

    /// Networks that are fitted side by side.
    pub(super) fn lanes(&self) -> f64 {
        self.team.len().min(self.split.folds.len()) as f64
    }

    /// What a network answers to `rows`, in units or logits: `[rows, outputs]`.
    pub(super) fn answers_of(&self, network: &Network, member: &Member, rows: &[usize]) -> Vec<f64> {
        let part = self.prepared.part(&self.view.inputs, member, rows);
        in_units(&network.clone().ready(self.compute.backend).forward(&part.features), member)
    }

    /// The scale of each numeric target, in its unit, by which errors in several targets are compared.
    pub(super) fn stds(&self) -> Vec<(f64, f64)> {
        self.prepared.truth.scales(&self.split.folds[0].training, &[])
    }
}
