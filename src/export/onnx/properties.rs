//! What the file says about itself: its inputs and outputs, its rules, its scores, rows to check it by.

use super::answers::{Note, Role};
use super::columns;
use crate::model::{Manifest, Task};
use serde_json::{Value, json};

/// How this form differs from a request, for whoever has only the file.
const RULES: [&str; 7] = [
    "Every input is a tensor [rows, 1]. A name is that of the column; \"_\" is put behind one that is there twice.",
    "Numbers are doubles in the unit of the training file, booleans 1 and 0, dates milliseconds since \
     1970-01-01T00:00:00Z, categories texts exactly as in the training file. NaN and the empty text mean missing.",
    "What is missing is imputed as in training. A row without a value that training never saw missing, or with a \
     boolean other than 0 and 1, is not answered: NaN, an empty label, an empty set, in_domain false.",
    "A category never seen counts as missing, and the row as outside the domain, as with \"unknown_category\": \
     \"missing\" of POST /predict.",
    "Intervals and sets are those of the model's own confidence; they are wider outside the domain.",
    "Give at most some 10,000 rows at once: each is compared with up to 1,000 rows of the training.",
    "taqicfd.example has rows and what taqicfd answers to them: another runtime should give the same to about 1e-5.",
];

/// The `metadata_props` of the file: texts, JSON where they hold more than one thing.
pub(super) fn properties(
    manifest: &Manifest,
    columns: &[columns::Note],
    outputs: &[Note],
    example: &Value,
) -> Vec<(&'static str, String)> {
    let inputs: Vec<Value> = manifest.inputs.iter().zip(columns).map(|(input, note)| json!({
        "name": note.name, "type": note.of.name(), "column": input.name, "kind": input.kind, "unit": input.unit,
        "range": input.range, "levels": input.levels, "missing_share": input.missing_share, "meaning": note.meaning,
    })).collect();
    let outputs: Vec<Value> = outputs
        .iter()
        .map(|note| {
            json!({
                "name": note.name, "type": note.of.name(), "width": note.width, "target": note.target,
                "role": role(note.role), "meaning": note.meaning,
            })
        })
        .collect();
    let summary = json!({
        "task": manifest.task, "confidence": manifest.confidence, "networks": manifest.members.len(),
        "parameters_per_network": manifest.shape.n_parameters(), "training_rows": manifest.n_training_rows,
        "settings": manifest.settings, "scores": manifest.scores, "program_version": manifest.program_version,
    });
    vec![
        ("taqicfd.inputs", json!(inputs).to_string()),
        ("taqicfd.outputs", json!(outputs).to_string()),
        ("taqicfd.targets", json!(manifest.targets).to_string()),
        ("taqicfd.rules", RULES.join("\n")),
        ("taqicfd.card", summary.to_string()),
        ("taqicfd.example", example.to_string()),
    ]
}

/// The `doc_string` of the file.
pub(super) fn summary(manifest: &Manifest) -> String {
    let targets: Vec<&str> = manifest.targets.iter().map(crate::model::Target::name).collect();
    let inputs: Vec<&str> = manifest.inputs.iter().map(|input| input.name.as_str()).collect();
    let what = match manifest.task {
        Task::Regression => "Predicts",
        Task::Classification => "Classifies",
    };
    format!("{what} {} from {}. The properties taqicfd.* say more.", targets.join(", "), inputs.join(", "))
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Value => "value",
        Role::Lower => "lower_bound",
        Role::Upper => "upper_bound",
        Role::Label => "label",
        Role::Probabilities => "probabilities",
        Role::Set => "prediction_set",
        Role::InDomain => "in_domain",
        Role::DomainScore => "domain_score",
    }
}
