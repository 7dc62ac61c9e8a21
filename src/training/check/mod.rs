//! From a request to settings: defaults, ranges, and whether the data allow it.

mod columns;
mod estimate;
mod settings;
mod validation;

use super::spec::{Checked, SettingError, SpecError, TrainRequest};
use crate::dataset::{ColumnProfile, Description, Warning, spelling};
use columns::{check_targets, choose_features, choose_targets, choose_task};
use estimate::estimate;
use settings::Settings;
use validation::check_columns_of_split;

/// Fewer usable rows than this cannot be split and learned from.
pub const MIN_ROWS: u64 = 20;
/// More classes than this are refused.
pub const MAX_CLASSES: u64 = 1000;
/// A category with more levels than this keeps its commonest ones.
pub const MAX_LEVELS: usize = 200;

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
    let task = choose_task(request, &targets, &mut warnings)?;
    check_targets(request, &targets, task, data)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::ColumnKind;
    use crate::dataset::Table;
    use crate::model::manifest::Task;
    use crate::training::spec::{Architecture, Spec};
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
    fn whole_numbers_of_few_values_may_be_classes() {
        let of = |f: fn(usize) -> f64| (0..100).map(f).collect::<Vec<f64>>();
        let table = Table {
            columns: vec![
                number("x", of(|i| (i * 37 % 100) as f64)),
                number("sick", of(|i| (i % 2) as f64)),
                number("grade", of(|i| (i % 7) as f64)),
                number("share", of(|i| (i % 5) as f64 / 4.0)),
                number("half", of(|i| (i % 2) as f64 / 2.0)),
            ],
        };
        let mut description = describe(&table);
        for (column, (min, max)) in
            description.columns.iter_mut().zip([(0.0, 99.0), (0.0, 1.0), (0.0, 6.0), (0.0, 1.0), (0.0, 0.5)])
        {
            (column.min, column.max) = (Some(min), Some(max));
        }
        let checked = |json| {
            let checked = check(&request(json), &description, "t", &Limits::default()).unwrap();
            (checked.spec.task, checked.warnings.into_iter().map(|warning| warning.code).collect::<Vec<_>>())
        };
        let of = |target: &str| checked(serde_json::json!({ "target": target }));
        assert_eq!(of("sick"), (Task::Classification, vec!["numbers-as-classes".to_owned()]));
        assert_eq!(of("grade"), (Task::Regression, vec!["few-whole-values".to_owned()]));
        for target in ["x", "share", "half"] {
            assert_eq!(of(target), (Task::Regression, Vec::new()));
        }
        let asked = |task: &str| checked(serde_json::json!({"target": "sick", "task": task}));
        assert_eq!(asked("regression"), (Task::Regression, Vec::new()), "what was asked for is no news");
        assert_eq!(asked("classification"), (Task::Classification, Vec::new()));
        let several = checked(serde_json::json!({"targets": ["sick", "grade"]}));
        assert_eq!(several, (Task::Regression, Vec::new()), "several targets are all numbers");
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
        let both = request(serde_json::json!({"targets": ["x", "y"]}));
        let refusal = check(&both, &describe(&column(vec![7.0; 40])), "t", &Limits::default()).unwrap_err();
        assert_eq!(refusal.errors[0].pointer, "/targets/1", "where the request has it");
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
        assert_eq!(folds(serde_json::json!({"target": "y"})), 10);
        let many = Description { rows: 2001, ..describe(&waves()) };
        let target = request(serde_json::json!({"target": "y"}));
        let checked = check(&target, &many, "waves", &Limits::default()).unwrap();
        assert_eq!(checked.spec.validation.folds, 5, "many rows need fewer folds");
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
