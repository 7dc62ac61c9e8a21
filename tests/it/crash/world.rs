//! What the clients were told: the truth that the server is held to.

use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

/// A small seeded generator (SplitMix64): the choices of a run can be repeated.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another generator, with a sequence of its own.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64 <= probability
    }

    pub(super) fn pick<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        if items.is_empty() { None } else { Some(items[self.below(items.len() as u64) as usize].clone()) }
    }
}

/// A training before it was done.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// Also the name of its models.
    pub(super) name: &'static str,
    pub(super) data: &'static [u8],
    /// The body of the request, without the dataset.
    pub(super) request: Value,
    /// A row to predict.
    pub(super) row: Value,
}

/// A training and what it must give, interrupted or not.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) draft: Draft,
    /// SHA-256 of the model file of an uninterrupted run.
    pub(super) sha256: String,
    /// What that model predicts for the row.
    pub(super) predictions: Value,
}

/// Seconds long each, and each with other state to bring back after a crash: plain Adam; dropout and
/// early stopping; the default recipe with its schedules.
pub(super) fn drafts() -> Vec<Draft> {
    let airfoil = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/samples/airfoil_noise.csv"));
    let penguins = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/samples/penguins.csv"));
    let air = json!({"frequency_hz": 1000, "angle_of_attack_deg": 2.0, "chord_m": 0.3048,
        "free_stream_velocity_ms": 71.3, "displacement_thickness_m": 0.0027});
    let bird = json!({"island": "Biscoe", "bill_length_mm": 46.1, "bill_depth_mm": 13.2, "flipper_length_mm": 211,
        "body_mass_g": 4500, "sex": "female", "year": 2007});
    let target = "sound_pressure_db";
    vec![
        Draft {
            name: "plain",
            data: airfoil,
            request: json!({"target": target, "architecture": "mlp", "hidden_layers": [32, 32], "epochs": 400,
                "batch_size": 64, "seed": 1}),
            row: air.clone(),
        },
        Draft {
            name: "dropout",
            data: penguins,
            request: json!({"target": "species", "architecture": "mlp", "hidden_layers": [32, 32], "dropout": 0.2,
                "epochs": 2000, "batch_size": 32, "early_stopping": {"patience": 1500}, "seed": 2}),
            row: bird,
        },
        Draft {
            name: "default",
            data: airfoil,
            request: json!({"target": target, "epochs": 64, "hidden_layers": [64, 64], "seed": 3}),
            row: air,
        },
    ]
}

/// Whether a thing must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Yes,
    /// Its deletion was asked for, and the answer never came.
    Unsure,
    No,
}

#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) sha256: String,
    pub(super) kept: Kept,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Training {
    /// Somebody asked to cancel it.
    pub(super) may_be_cancelled: bool,
    /// Status, model and time of its end, once seen: they must never change.
    pub(super) end: Option<(String, Value, Value)>,
}

/// Everything that was acknowledged.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) uploads: HashMap<String, Upload>,
    pub(super) trainings: HashMap<String, Training>,
    /// Models that were seen.
    pub(super) models: HashMap<String, Kept>,
    /// The datasets of the recipes, in their order; never deleted.
    pub(super) training_data: Vec<String>,
    pub(super) n_predictions: u64,
    pub(super) n_deletes: u64,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) recipes: Vec<Recipe>,
    known: Mutex<Known>,
}

impl World {
    pub(super) fn new(recipes: Vec<Recipe>) -> Self {
        Self { recipes, known: Mutex::default() }
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nobody panics with the lock")
    }

    pub(super) fn recipe(&self, model_name: &str) -> Option<&Recipe> {
        self.recipes.iter().find(|recipe| recipe.draft.name == model_name)
    }

    pub(super) fn n_trainings(&self) -> usize {
        self.known().trainings.len()
    }

    pub(super) fn summary(&self) -> String {
        let known = self.known();
        format!(
            "{} uploads, {} trainings, {} predictions and {} deletions acknowledged",
            known.uploads.len(),
            known.trainings.len(),
            known.n_predictions,
            known.n_deletes
        )
    }
}
