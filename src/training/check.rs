//! From a request to settings: defaults, ranges, and whether the data allow it.

use super::recipe::{Defaults, variants};
use super::spec::{
    Architecture, Checked, EarlyStopping, Estimate, Optimizer, Preset, SettingError, Spec, SpecError,
    SplitMethod, TrainRequest, Validation,
};
use crate::dataset::{ColumnKind, ColumnProfile, Description, Warning, spelling};
use crate::model::manifest::Task;
use serde::de::DeserializeOwned;

/// Fewer usable rows than this cannot be split and learned from.
pub const MIN_ROWS: u64 = 20;
/// More classes than this are refused.
pub const MAX_CLASSES: u64 = 1000;
/// A category with more levels than this keeps its commonest ones.
pub const MAX_LEVELS: usize = 200;

/// Networks of the balanced preset, each validated on another part of the rows.
const FOLDS: usize = 5;

/// Seconds that the best preset trains at most where the request does not say.
const BEST_LIMIT_S: f64 = 540.0;

/// What a training may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Estimated peak memory, in bytes, above which a request is refused.
    pub memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 8 << 30 }
    }
}

/// Checks `request` against the described dataset.
pub fn check(
    request: &TrainRequest,
    data: &Description,
    dataset_name: &str,
    limits: &Limits,
) -> Result<Checked, SpecError> {
    let mut warnings = Vec::new();
    let targets = choose_targets(request, data, &mut warnings)?;
    let task = choose_task(request, &targets)?;
    check_targets(&targets, task, data)?;
    let features = choose_features(request, data, &targets, &mut warnings)?;
    let mut settings = Settings::default();
    let spec = settings.resolve(request, data, &targets, features, task, dataset_name);
    settings.finish()?;
    check_columns_of_split(&spec, data)?;
    let estimate = estimate(&spec, data);
    if estimate.memory_bytes > limits.memory_bytes {
        let (needed, limit) = (estimate.memory_bytes >> 20, limits.memory_bytes >> 20);
        let message = format!(
            "this training would need about {needed} MiB of memory and {limit} MiB are allowed; use smaller \
             \"hidden_layers\" or fewer \"features\", or raise the limit in the server's settings"
        );
        return Err(SpecError::new("model-too-large", "/hidden_layers", message));
    }
    Ok(Checked { spec, warnings, estimate })
}

impl SpecError {
    fn new(slug: &'static str, pointer: &str, message: String) -> Self {
        Self { slug, errors: vec![SettingError { pointer: pointer.to_owned(), message }] }
    }
}

fn find<'a>(data: &'a Description, name: &str, pointer: &str) -> Result<&'a ColumnProfile, SpecError> {
    data.columns.iter().find(|column| column.name == name).ok_or_else(|| {
        let near = spelling::nearest(name, data.columns.iter().map(|c| c.name.as_str()), 3);
        let near = near.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let message = format!("there is no column \"{name}\"; the nearest names are {near}");
        SpecError::new("unknown-column", pointer, message)
    })
}

fn warning(code: &str, column: Option<&str>, message: String) -> Warning {
    Warning { code: code.to_owned(), column: column.map(str::to_owned), message }
}

fn choose_targets<'a>(
    request: &TrainRequest,
    data: &'a Description,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<&'a ColumnProfile>, SpecError> {
    let both = request.target.is_some() && request.targets.is_some();
    if both {
        let message = "send either \"target\" or \"targets\", not both".to_owned();
        return Err(SpecError::new("invalid-parameter", "/targets", message));
    }
    if let Some(name) = &request.target {
        return Ok(vec![find(data, name, "/target")?]);
    }
    if let Some(names) = &request.targets {
        if names.is_empty() {
            let message = "\"targets\" is empty; name at least one column, or leave it out".to_owned();
            return Err(SpecError::new("invalid-parameter", "/targets", message));
        }
        let mut targets: Vec<&ColumnProfile> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let column = find(data, name, &format!("/targets/{index}"))?;
            if targets.iter().any(|known| known.name == column.name) {
                let message = format!("\"{name}\" is named twice");
                return Err(SpecError::new("invalid-parameter", &format!("/targets/{index}"), message));
            }
            targets.push(column);
        }
        return Ok(targets);
    }
    let last = data.columns.iter().rev().find(|column| column.kind.is_feature()).ok_or_else(|| {
        let message =
            "no column can be predicted: all are empty, constant, text or identifiers; correct their \
                       kinds with \"types\" when uploading"
                .to_owned();
        SpecError::new("no-target-values", "/target", message)
    })?;
    let message = format!("no target was named: \"{}\", the last usable column, is predicted", last.name);
    warnings.push(warning("target-chosen", Some(&last.name), message));
    Ok(vec![last])
}

fn choose_task(request: &TrainRequest, targets: &[&ColumnProfile]) -> Result<Task, SpecError> {
    let wanted = match request.task.as_deref() {
        None | Some("auto") => None,
        Some("regression") => Some(Task::Regression),
        Some("classification") => Some(Task::Classification),
        Some(other) => {
            let message = format!("\"task\" is \"{other}\"; allowed are auto, regression, classification");
            return Err(SpecError::new("invalid-parameter", "/task", message));
        }
    };
    let not_number = targets.iter().find(|column| {
        matches!(
            column.kind,
            ColumnKind::Category | ColumnKind::Boolean | ColumnKind::Text | ColumnKind::Date
        )
    });
    let task = wanted.unwrap_or(if not_number.is_some() { Task::Classification } else { Task::Regression });
    match (task, not_number) {
        (Task::Regression, Some(column)) => {
            let message = format!(
                "\"{}\" holds no numbers ({}), so regression cannot predict it; use task \"classification\"",
                column.name, column.reason
            );
            Err(SpecError::new("invalid-parameter", "/task", message))
        }
        (Task::Classification, _) if targets.len() > 1 => {
            let message =
                "classification predicts one target; several targets must all be numbers. Train one \
                           model per class column"
                    .to_owned();
            Err(SpecError::new("invalid-parameter", "/targets", message))
        }
        _ => Ok(task),
    }
}

fn check_targets(targets: &[&ColumnProfile], task: Task, data: &Description) -> Result<(), SpecError> {
    for column in targets {
        let name = &column.name;
        if column.distinct == 0 {
            let message = format!("\"{name}\" has no value in any row; choose another target");
            return Err(SpecError::new("no-target-values", "/target", message));
        }
        if column.distinct == 1 {
            let message = format!("\"{name}\" has the same value in every row, so there is nothing to learn");
            return Err(SpecError::new("constant-target", "/target", message));
        }
        if task == Task::Classification && column.distinct > MAX_CLASSES {
            let message = format!(
                "\"{name}\" has {} different values, and {MAX_CLASSES} classes are the most; if it is a \
                 quantity, use task \"regression\" and, if needed, types {{\"{name}\": \"number\"}} when uploading",
                column.distinct
            );
            return Err(SpecError::new("too-many-classes", "/target", message));
        }
        if task == Task::Classification && column.kind == ColumnKind::Date {
            let message = format!("\"{name}\" is a date; dates can be features but not targets");
            return Err(SpecError::new("invalid-parameter", "/target", message));
        }
        let usable = data.rows - column.missing;
        if usable < MIN_ROWS {
            let message = format!(
                "\"{name}\" has a value in {usable} rows, and at least {MIN_ROWS} are needed to train and test"
            );
            return Err(SpecError::new("too-few-rows", "/target", message));
        }
    }
    Ok(())
}

fn choose_features(
    request: &TrainRequest,
    data: &Description,
    targets: &[&ColumnProfile],
    warnings: &mut Vec<Warning>,
) -> Result<Vec<String>, SpecError> {
    let is_target = |name: &str| targets.iter().any(|target| target.name == name);
    let excluded = request.exclude.as_deref().unwrap_or_default();
    for (index, name) in excluded.iter().enumerate() {
        find(data, name, &format!("/exclude/{index}"))?;
    }
    let mut features = Vec::new();
    if let Some(names) = &request.features {
        for (index, name) in names.iter().enumerate() {
            let pointer = format!("/features/{index}");
            let column = find(data, name, &pointer)?;
            if is_target(name) {
                let message = format!("\"{name}\" is the target and cannot be a feature too");
                return Err(SpecError::new("invalid-parameter", &pointer, message));
            }
            if features.contains(name) || excluded.contains(name) {
                continue;
            }
            if matches!(column.kind, ColumnKind::Empty | ColumnKind::Constant) {
                warnings.push(dropped(column));
            } else if column.kind == ColumnKind::Text {
                let message =
                    format!("\"{name}\" is free text, which a network cannot use: {}", column.reason);
                return Err(SpecError::new("invalid-parameter", &pointer, message));
            } else {
                features.push(name.clone());
            }
        }
    } else {
        for column in &data.columns {
            if is_target(&column.name) || excluded.contains(&column.name) {
                continue;
            }
            if column.kind.is_feature() {
                features.push(column.name.clone());
            } else {
                warnings.push(dropped(column));
            }
        }
    }
    if features.is_empty() {
        let message = "no column is left to predict from; name some in \"features\"".to_owned();
        return Err(SpecError::new("invalid-parameter", "/features", message));
    }
    Ok(features)
}

fn dropped(column: &ColumnProfile) -> Warning {
    let kind = match column.kind {
        ColumnKind::Empty => "empty",
        ColumnKind::Constant => "constant",
        ColumnKind::Identifier => "identifier",
        _ => "text",
    };
    let message = format!("\"{}\" is not used: {}", column.name, column.reason);
    warning(&format!("{kind}-column-dropped"), Some(&column.name), message)
}

/// Collects every setting that is out of range, so that one answer names them all.
#[derive(Default)]
struct Settings {
    errors: Vec<SettingError>,
}

impl Settings {
    fn refuse(&mut self, pointer: &str, message: String) {
        self.errors.push(SettingError { pointer: pointer.to_owned(), message });
    }

    fn finish(self) -> Result<(), SpecError> {
        if self.errors.is_empty() {
            return Ok(());
        }
        Err(SpecError { slug: "invalid-parameter", errors: self.errors })
    }

    fn integer(&mut self, pointer: &str, value: Option<i64>, default: usize, low: i64, high: i64) -> usize {
        match value {
            None => default,
            Some(value) if (low..=high).contains(&value) => value as usize,
            Some(value) => {
                self.refuse(pointer, format!("{value} is not allowed here: from {low} to {high}"));
                default
            }
        }
    }

    fn real(&mut self, pointer: &str, value: Option<f64>, default: f64, low: f64, high: f64) -> f64 {
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
    fn choice<T: DeserializeOwned>(
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

    fn resolve(
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
            seed: request.seed.unwrap_or(42),
            time_limit_s,
            confidence: self.real("/confidence", request.confidence, 0.9, 0.5, 0.999),
            refit: request.refit.unwrap_or(false),
            model_name,
            tags: request.tags.clone().unwrap_or_default(),
        }
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

    fn validation(
        &mut self,
        request: &TrainRequest,
        data: &Description,
        task: Task,
        preset: Preset,
    ) -> Validation {
        let empty = super::spec::ValidationRequest::default();
        let wanted = request.validation.as_ref().unwrap_or(&empty);
        let default = match (&wanted.group, &wanted.time, task) {
            (Some(_), _, _) => SplitMethod::Group,
            (None, Some(_), _) => SplitMethod::Time,
            (None, None, Task::Classification) => SplitMethod::Stratified,
            (None, None, Task::Regression) => SplitMethod::Random,
        };
        let method = self.choice(
            "/validation/method",
            wanted.method.as_deref(),
            default,
            "random, stratified, group, time",
        );
        let stratified_numbers = method == SplitMethod::Stratified && task == Task::Regression;
        if stratified_numbers {
            self.refuse("/validation/method", "stratified splits need classes; use random".to_owned());
        }
        if method == SplitMethod::Group && wanted.group.is_none() {
            let message = "name the column whose equal values must stay together".to_owned();
            self.refuse("/validation/group", message);
        }
        if method == SplitMethod::Time && wanted.time.is_none() {
            self.refuse("/validation/time", "name the column that orders the rows".to_owned());
        }
        let default_folds = match (preset, method) {
            (Preset::Fast, _) | (_, SplitMethod::Time) => 1,
            (_, SplitMethod::Group) => {
                let group = data.columns.iter().find(|column| Some(&column.name) == wanted.group.as_ref());
                // Some groups are for the test part, and every fold needs one of its own.
                group.map_or(FOLDS, |column| (column.distinct as usize * 3 / 5).clamp(1, FOLDS))
            }
            (_, _) => FOLDS,
        };
        let folds = self.integer("/validation/folds", wanted.folds, default_folds, 1, 20);
        if method == SplitMethod::Time && folds > 1 {
            let message = "a split by time has one validation part: leave \"folds\" out".to_owned();
            self.refuse("/validation/folds", message);
        }
        let test_size = self.real("/validation/test_size", wanted.test_size, 0.2, 0.0, 0.9);
        if test_size == 0.0 && folds == 1 {
            let message =
                "0 is allowed only with \"folds\" of 2 or more, whose left-out rows give the metrics"
                    .to_owned();
            self.refuse("/validation/test_size", message);
        } else if test_size > 0.0 && test_size * (data.rows as f64) < 2.0 {
            let message = format!("{test_size} of {} rows leaves fewer than two to test on", data.rows);
            self.refuse("/validation/test_size", message);
        }
        let validation_size =
            self.real("/validation/validation_size", wanted.validation_size, 0.2, 0.01, 0.9);
        Validation {
            test_size,
            validation_size,
            method,
            group: wanted.group.clone(),
            time: wanted.time.clone(),
            folds,
        }
    }

    /// A model name: 1 to 120 characters, no control characters, no `/` or `@`, which separate a
    /// version or an alias.
    fn name(&mut self, pointer: &str, name: &str, given: bool) -> String {
        let bad = |c: char| c.is_control() || c == '/' || c == '@';
        let clean: String = name.trim().chars().map(|c| if bad(c) { '-' } else { c }).take(120).collect();
        if given && (clean != name || clean.is_empty()) {
            let message =
                "use 1 to 120 characters, without / and @ and without spaces at the ends".to_owned();
            self.refuse(pointer, message);
        }
        clean
    }
}

fn check_columns_of_split(spec: &Spec, data: &Description) -> Result<(), SpecError> {
    if let Some(name) = &spec.validation.group {
        find(data, name, "/validation/group")?;
    }
    if let Some(name) = &spec.validation.time {
        let column = find(data, name, "/validation/time")?;
        if !matches!(column.kind, ColumnKind::Date | ColumnKind::Number | ColumnKind::Identifier) {
            let message = format!("\"{name}\" is neither a date nor a number, so it cannot order the rows");
            return Err(SpecError::new("invalid-parameter", "/validation/time", message));
        }
    }
    Ok(())
}

/// Rows that each network is fitted on.
fn n_training_rows(rows: u64, validation: &Validation) -> usize {
    let kept_for_validation =
        if validation.folds > 1 { 1.0 / validation.folds as f64 } else { validation.validation_size };
    (rows as f64 * (1.0 - validation.test_size) * (1.0 - kept_for_validation)) as usize
}

/// Encoded features of a column, about.
fn width(column: &ColumnProfile) -> usize {
    match column.kind {
        ColumnKind::Category => (column.distinct as usize).clamp(1, MAX_LEVELS),
        ColumnKind::Date => 7,
        _ => 1 + usize::from(column.missing > 0),
    }
}

fn estimate(spec: &Spec, data: &Description) -> Estimate {
    let columns = data.columns.iter().filter(|column| spec.features.contains(&column.name));
    let inputs: usize = columns.map(width).sum();
    let outputs = match spec.task {
        Task::Regression => spec.targets.len(),
        Task::Classification => data
            .columns
            .iter()
            .find(|column| column.name == spec.targets[0])
            .map_or(2, |column| column.distinct as usize),
    };
    let columns = data.columns.iter().filter(|column| spec.features.contains(&column.name));
    let embedded = match spec.architecture {
        Architecture::RealmlpTd => columns.filter(|column| column.kind != ColumnKind::Category).count(),
        _ => 0,
    };
    let mut sizes = vec![inputs + 3 * embedded];
    sizes.extend(&spec.hidden_layers);
    sizes.push(outputs);
    let n_parameters: usize = sizes.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum();
    let rows = data.rows as usize;
    let units: usize = sizes.iter().sum();
    // The table itself, its encoding, and weights, gradients, two moments and the best copy.
    let memory_bytes = rows * (data.columns.len() * 8 + inputs * 4)
        + n_parameters * 4 * 6
        + 2 * units * 4 * spec.batch_size.max(1024);
    let training_rows = n_training_rows(data.rows, &spec.validation);
    // Forward and backward cost about 6 operations per weight and row; small steps have a floor.
    let step_s = 3e-5 + 6.0 * n_parameters as f64 * spec.batch_size as f64 / 8e10;
    let steps = (training_rows as f64 / spec.batch_size as f64).max(1.0) * spec.epochs as f64;
    let n_networks = spec.validation.folds * variants(spec).len();
    let train_s = (steps * step_s * n_networks as f64).min(spec.time_limit_s.unwrap_or(f64::MAX));
    Estimate { train_s, memory_bytes: memory_bytes as u64, n_parameters: n_parameters as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Table;
    use crate::training::test_data::{category, describe, number, waves};

    fn request(json: serde_json::Value) -> TrainRequest {
        serde_json::from_value(json).unwrap()
    }

    fn run(json: serde_json::Value) -> Result<Checked, SpecError> {
        check(&request(json), &describe(&waves()), "waves", &Limits::default())
    }

    fn refused(json: serde_json::Value) -> (&'static str, Vec<String>) {
        let error = run(json).unwrap_err();
        (error.slug, error.errors.into_iter().map(|error| error.pointer).collect())
    }

    #[test]
    fn nothing_said_means_the_last_usable_column_by_the_default_recipe() {
        let checked = run(serde_json::json!({})).unwrap();
        assert_eq!(checked.spec.targets, ["y"]);
        assert_eq!(checked.spec.features, ["a", "b", "c", "label", "z"]);
        assert_eq!(checked.spec.architecture, Architecture::RealmlpTd);
        assert_eq!(checked.spec.model_name, "waves-y");
        assert_eq!(checked.warnings[0].code, "target-chosen");
        assert!(checked.estimate.train_s > 0.0 && checked.estimate.memory_bytes > 0);
    }

    #[test]
    fn the_task_follows_the_target() {
        let task = |target: &str| run(serde_json::json!({ "target": target })).unwrap().spec.task;
        assert_eq!(task("y"), Task::Regression);
        assert_eq!(task("label"), Task::Classification);
        assert_eq!(
            refused(serde_json::json!({"target": "label", "task": "regression"})).0,
            "invalid-parameter"
        );
        assert_eq!(refused(serde_json::json!({"targets": ["y", "label"]})).0, "invalid-parameter");
    }

    #[test]
    fn an_unknown_column_is_answered_with_the_nearest_names() {
        let error = run(serde_json::json!({"target": "lable"})).unwrap_err();
        assert_eq!(error.slug, "unknown-column");
        assert!(error.to_string().contains("\"label\""), "{error}");
        assert_eq!(refused(serde_json::json!({"features": ["a", "q"]})).1, ["/features/1"]);
        assert_eq!(refused(serde_json::json!({"exclude": ["q"]})).1, ["/exclude/0"]);
    }

    #[test]
    fn every_setting_out_of_range_is_named_at_once() {
        let wild = serde_json::json!({
            "target": "y", "epochs": 1_000_000_000, "batch_size": 0, "learning_rate": -0.1, "dropout": 1.0,
            "hidden_layers": [64, 0], "activation": "relux", "validation": {"test_size": 1.5, "folds": 99},
            "early_stopping": {"patience": 0}, "confidence": 1.0, "preset": "wild"
        });
        let (slug, mut pointers) = refused(wild);
        pointers.sort_unstable();
        assert_eq!(slug, "invalid-parameter");
        let expected = [
            "/activation",
            "/batch_size",
            "/confidence",
            "/dropout",
            "/early_stopping/patience",
            "/epochs",
            "/hidden_layers/1",
            "/learning_rate",
            "/preset",
            "/validation/folds",
            "/validation/test_size",
        ];
        assert_eq!(pointers, expected);
    }

    #[test]
    fn a_million_layers_are_refused_before_any_memory_is_asked_for() {
        let layers = vec![1; 1_000_000];
        let (_, pointers) = refused(serde_json::json!({"target": "y", "hidden_layers": layers}));
        assert_eq!(pointers, ["/hidden_layers"]);
        let wide = serde_json::json!({"target": "y", "hidden_layers": vec![8192; 32]});
        assert_eq!(refused(wide).0, "model-too-large");
    }

    #[test]
    fn targets_that_cannot_be_learned_are_refused_by_name() {
        let column = |values: Vec<f64>| Table {
            columns: vec![number("x", (0..40).map(f64::from).collect()), number("y", values)],
        };
        let slug = |table: &Table, json| {
            check(&request(json), &describe(table), "t", &Limits::default()).unwrap_err().slug
        };
        let target = || serde_json::json!({"target": "y"});
        assert_eq!(slug(&column(vec![7.0; 40]), target()), "constant-target");
        assert_eq!(slug(&column(vec![f64::NAN; 40]), target()), "no-target-values");
        let mut few = vec![f64::NAN; 40];
        few[..19].iter_mut().zip(0..).for_each(|(value, i)| *value = f64::from(i));
        assert_eq!(slug(&column(few), target()), "too-few-rows");
        let names: Vec<String> = (0..1001).map(|i| format!("class {i}")).collect();
        let many = Table {
            columns: vec![
                number("x", vec![1.0; 1001]),
                category("y", &names.iter().map(|name| Some(name.as_str())).collect::<Vec<_>>()),
            ],
        };
        assert_eq!(slug(&many, target()), "too-many-classes");
    }

    #[test]
    fn columns_that_carry_nothing_are_left_out_with_a_warning() {
        let mut description = describe(&waves());
        description.columns[0].kind = ColumnKind::Identifier;
        description.columns[1].kind = ColumnKind::Constant;
        let checked =
            check(&request(serde_json::json!({"target": "y"})), &description, "waves", &Limits::default())
                .unwrap();
        assert_eq!(checked.spec.features, ["c", "label", "z"]);
        let codes: Vec<&str> = checked.warnings.iter().map(|warning| warning.code.as_str()).collect();
        assert_eq!(codes, ["identifier-column-dropped", "constant-column-dropped"]);
        let asked = request(serde_json::json!({"target": "y", "features": ["a"]}));
        let checked = check(&asked, &description, "waves", &Limits::default()).unwrap();
        assert_eq!(checked.spec.features, ["a"], "an identifier is used when it is asked for");
    }

    #[test]
    fn presets_set_the_number_of_networks_unless_the_request_does() {
        let folds = |json| run(json).unwrap().spec.validation.folds;
        assert_eq!(folds(serde_json::json!({"target": "y"})), 5);
        assert_eq!(folds(serde_json::json!({"target": "y", "preset": "fast"})), 1);
        assert_eq!(folds(serde_json::json!({"target": "y", "validation": {"folds": 3}})), 3);
        assert_eq!(folds(serde_json::json!({"target": "y", "validation": {"time": "z"}})), 1);
        // Three groups are too few to test on one and to leave each fold another.
        assert_eq!(folds(serde_json::json!({"target": "y", "validation": {"group": "c"}})), 1);
    }

    #[test]
    fn settings_survive_json() {
        let spec = run(serde_json::json!({"target": "y", "time_limit_s": 5, "tags": {"campaign": "A"}}))
            .unwrap()
            .spec;
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<Spec>(&json).unwrap(), spec);
    }
}
