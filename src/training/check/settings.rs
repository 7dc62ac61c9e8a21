//! Every setting of a request: its default and its range.

use super::validation::n_training_rows;
use crate::dataset::{ColumnProfile, Description};
use crate::model::{manifest::Task, name};
use crate::training::recipe::Defaults;
use crate::training::spec::{
    Architecture, EarlyStopping, Optimizer, Preset, SettingError, Spec, SpecError, TargetScale, TrainRequest,
};
use serde::de::DeserializeOwned;

/// Seconds that the best preset trains at most where the request does not say.
const BEST_LIMIT_S: f64 = 540.0;

/// Collects every setting that is out of range, so that one answer names them all.
#[derive(Default)]
pub(super) struct Settings {
    errors: Vec<SettingError>,
}

impl Settings {
    pub(super) fn refuse(&mut self, pointer: &str, message: String) {
        self.errors.push(SettingError { pointer: pointer.to_owned(), message });
    }

    pub(super) fn finish(self) -> Result<(), SpecError> {
        if self.errors.is_empty() {
            return Ok(());
        }
        Err(SpecError { slug: "invalid-parameter", errors: self.errors })
    }

    pub(super) fn integer(
        &mut self,
        pointer: &str,
        value: Option<i64>,
        default: usize,
        low: i64,
        high: i64,
    ) -> usize {
        match value {
            None => default,
            Some(value) if (low..=high).contains(&value) => value as usize,
            Some(value) => {
                self.refuse(pointer, format!("{value} is not allowed here: from {low} to {high}"));
                default
            }
        }
    }

    pub(super) fn real(
        &mut self,
        pointer: &str,
        value: Option<f64>,
        default: f64,
        low: f64,
        high: f64,
    ) -> f64 {
        match value {
            None => default,
            Some(value) if (low..=high).contains(&value) => value,
            Some(value) => {
                self.refuse(pointer, format!("{value} is not allowed here: from {low} to {high}"));
                default
            }
        }
    }

    /// One of the names that `T` has in JSON.
    pub(super) fn choice<T: DeserializeOwned>(
        &mut self,
        pointer: &str,
        value: Option<&str>,
        default: T,
        allowed: &str,
    ) -> T {
        let Some(text) = value else { return default };
        serde_json::from_value(serde_json::Value::from(text)).unwrap_or_else(|_| {
            self.refuse(pointer, format!("\"{text}\" is not known; allowed are {allowed}"));
            default
        })
    }

    pub(super) fn resolve(
        &mut self,
        request: &TrainRequest,
        data: &Description,
        targets: &[&ColumnProfile],
        features: Vec<String>,
        task: Task,
        dataset_name: &str,
    ) -> Spec {
        let architecture = match request.architecture.as_deref() {
            None | Some("auto") => Architecture::RealmlpTd,
            other => {
                self.choice("/architecture", other, Architecture::Mlp, "auto, realmlp_td, realmlp_td_s, mlp")
            }
        };
        let defaults = Defaults::of(architecture, task);
        let hidden_layers = self.hidden_layers(request, &defaults);
        let patience = request.early_stopping.as_ref().map(|stopping| stopping.patience.unwrap_or(20));
        let early_stopping = match patience {
            Some(_) => Some(self.integer("/early_stopping/patience", patience, 20, 1, 100_000)),
            None => defaults.patience,
        }
        .map(|patience| EarlyStopping { patience });
        let preset =
            self.choice("/preset", request.preset.as_deref(), Preset::Balanced, "fast, balanced, best");
        let validation = self.validation(request, data, task, preset);
        let n_training = n_training_rows(data.rows, &validation);
        let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        let model_name =
            request.model_name.clone().unwrap_or_else(|| format!("{dataset_name}-{}", names.join("-")));
        let model_name = self.name("/model_name", &model_name, request.model_name.is_some());
        let default_limit_s = (preset == Preset::Best).then_some(BEST_LIMIT_S);
        let time_limit_s = request
            .time_limit_s
            .map(|limit| self.real("/time_limit_s", Some(limit), 600.0, 1.0, 604_800.0))
            .or(default_limit_s);
        Spec {
            targets: names.iter().map(|name| (*name).to_owned()).collect(),
            features,
            task,
            preset,
            architecture,
            hidden_layers,
            activation: self.choice(
                "/activation",
                request.activation.as_deref(),
                defaults.activation,
                "relu, leaky_relu, elu, selu, silu, mish, gelu, tanh, sigmoid",
            ),
            dropout: self.real("/dropout", request.dropout, defaults.dropout, 0.0, 0.95),
            epochs: self.integer("/epochs", request.epochs, Defaults::epochs(n_training), 1, 100_000),
            batch_size: self.integer(
                "/batch_size",
                request.batch_size,
                Defaults::batch_size(n_training),
                1,
                65_536,
            ),
            learning_rate: self.real(
                "/learning_rate",
                request.learning_rate,
                defaults.learning_rate,
                1e-7,
                10.0,
            ),
            weight_decay: self.real("/weight_decay", request.weight_decay, defaults.weight_decay, 0.0, 10.0),
            optimizer: self.choice(
                "/optimizer",
                request.optimizer.as_deref(),
                Optimizer::Adam,
                "adam, adamw, rmsprop, sgd",
            ),
            early_stopping,
            validation,
            target_scale: self.target_scale(request, task),
            seed: request.seed.unwrap_or(42),
            time_limit_s,
            confidence: self.real("/confidence", request.confidence, 0.9, 0.5, 0.999),
            refit: request.refit.unwrap_or(false),
            model_name,
            tags: request.tags.clone().unwrap_or_default(),
        }
    }

    fn target_scale(&mut self, request: &TrainRequest, task: Task) -> TargetScale {
        let wanted = request.target_scale.as_deref();
        if wanted.is_some() && task == Task::Classification {
            self.refuse("/target_scale", "classes have no scale; leave it out".to_owned());
        }
        self.choice("/target_scale", wanted, TargetScale::Auto, "auto, linear, log")
    }

    fn hidden_layers(&mut self, request: &TrainRequest, defaults: &Defaults) -> Vec<usize> {
        let Some(layers) = &request.hidden_layers else { return defaults.hidden_layers.clone() };
        if layers.len() > 32 {
            let message = format!("{} layers are too many: at most 32 are allowed", layers.len());
            self.refuse("/hidden_layers", message);
            return defaults.hidden_layers.clone();
        }
        layers
            .iter()
            .enumerate()
            .map(|(index, units)| {
                self.integer(&format!("/hidden_layers/{index}"), Some(*units), 256, 1, 8192)
            })
            .collect()
    }

    /// A model name; one that is made from that of the dataset is mended where it must be.
    fn name(&mut self, pointer: &str, name: &str, given: bool) -> String {
        let clean = name::mended(name);
        if given && let Err(message) = name::check(name) {
            self.refuse(pointer, message.to_owned());
        }
        clean
    }
}
