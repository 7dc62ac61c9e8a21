//! What a card says about the making of the model: data, split, preprocessing, network, reproduction.

use super::{Block, Facts, items, row, shown};
use crate::dataset::date;
use crate::model::encoder::DAY_MS;
use serde_json::{Map, Value, json};

/// Levels that a table shows of a category.
const LEVELS: usize = 8;

/// Title and summary.
pub(super) fn opening(facts: &Facts) -> Vec<Block> {
    let Facts { model, card, .. } = facts;
    let title = format!("Model card: {}, version {}", shown(&model["model_name"]), shown(&model["version"]));
    let n_networks = card["network"]["n_networks"].as_u64().unwrap_or(1);
    let network =
        if n_networks > 1 { format!("{n_networks} neural networks") } else { "A neural network".to_owned() };
    let text = format!(
        "{network} for {} of {} from {} columns; trained with taqicfd {}, stored on {}.",
        shown(&model["task"]),
        shown(&model["targets"]),
        items(&card["inputs"]).len(),
        shown(&card["program_version"]),
        model["created_at"].as_str().unwrap_or("–").split('T').next().unwrap_or_default(),
    );
    let mut blocks = vec![Block::Title(title), Block::Text(text)];
    if let Some(description) = model["description"].as_str().filter(|text| !text.is_empty()) {
        blocks.push(Block::Text(description.to_owned()));
    }
    let tags = model["tags"].as_object().into_iter().flatten();
    let tags: Vec<String> = tags.map(|(tag, value)| format!("{tag}: {}", shown(value))).collect();
    if !tags.is_empty() {
        blocks.push(Block::Text(format!("Tags: {}.", tags.join("; "))));
    }
    blocks
}

/// The file and its columns.
pub(super) fn data(facts: &Facts) -> Vec<Block> {
    let Facts { card, dataset, .. } = facts;
    let mut blocks = vec![Block::Heading("Data".to_owned())];
    blocks.push(Block::Text(match dataset {
        Value::Null if !card["imported"].is_null() => {
            "The model was trained elsewhere and imported as a file, which does not hold what is known about its data \
             beyond the columns."
                .to_owned()
        }
        Value::Null => {
            "The dataset has been deleted since; its columns are those that the model remembers.".to_owned()
        }
        dataset => origin(dataset),
    }));
    let inputs = items(&card["inputs"]).iter().map(|input| {
        vec![
            shown(&input["name"]),
            shown(&input["kind"]),
            shown(&input["unit"]),
            values(input),
            percent(&input["missing_share"]),
        ]
    });
    let header = row(["input", "kind", "unit", "values among the rows of the training", "missing"]);
    blocks.push(Block::Table { header, rows: inputs.collect() });
    let targets = items(&card["targets"]).iter().map(|target| {
        vec![shown(&target["name"]), shown(&target["kind"]), shown(&target["unit"]), values(target)]
    });
    let header = row(["target", "kind", "unit", "values among the rows of the training"]);
    blocks.push(Block::Table { header, rows: targets.collect() });
    let used = |name: &Value| {
        let mut all = items(&card["inputs"]).iter().chain(items(&card["targets"]));
        all.any(|column| column["name"] == *name)
    };
    let left_out: Vec<String> = items(&dataset["columns"])
        .iter()
        .filter(|column| !used(&column["name"]))
        .map(|column| format!("{} ({})", shown(&column["name"]), shown(&column["kind"])))
        .collect();
    if !left_out.is_empty() {
        blocks.push(Block::Text(format!("Columns of the file that were left out: {}.", left_out.join(", "))));
    }
    blocks
}

fn origin(dataset: &Value) -> String {
    let read = &dataset["read"];
    let mut text = format!(
        "The file {} has {} rows, {} bytes and the SHA-256 {}.",
        shown(&dataset["filename"]),
        shown(&dataset["rows"]),
        shown(&dataset["size_bytes"]),
        shown(&dataset["sha256"])
    );
    text.push_str(&format!(" It was read as {}", shown(&read["format"])));
    for (name, key) in [
        ("encoding", "encoding"),
        ("delimiter", "delimiter"),
        ("decimal mark", "decimal"),
        ("thousands mark", "thousands"),
        ("sheet", "sheet"),
        ("header in line", "header_row"),
        ("units in line", "units_row"),
    ] {
        if !read[key].is_null() {
            let value = shown(&read[key]).replace('\t', "tab");
            let is_sign = value.chars().count() == 1 && !read[key].is_number();
            let value = if is_sign { format!("\"{value}\"") } else { value };
            text.push_str(&format!(", {name} {value}"));
        }
    }
    if !items(&read["missing"]).is_empty() {
        text.push_str(&format!("; {} meant that a value is missing", shown(&read["missing"])));
    }
    text.push('.');
    text
}

/// The range of a quantity, or the levels of a category.
fn values(column: &Value) -> String {
    let levels = [&column["levels"], &column["classes"]].map(items).concat();
    if !levels.is_empty() {
        let first = levels.iter().take(LEVELS).map(shown).collect::<Vec<_>>().join(", ");
        return match levels.len() {
            n if n > LEVELS => format!("{first} and {} more", n - LEVELS),
            _ => first,
        };
    }
    let Some((low, high)) = column["range"][0].as_f64().zip(column["range"][1].as_f64()) else {
        return shown(&Value::Null);
    };
    if column["kind"] != "date" {
        return format!("{} to {}", end(low), end(high));
    }
    // The time of the day is told where there is one.
    let whole_days = low % DAY_MS == 0.0 && high % DAY_MS == 0.0;
    let shown = |ms: f64| {
        let text = date::to_rfc3339(ms as i64);
        if whole_days { text.split('T').next().unwrap_or_default().to_owned() } else { text }
    };
    format!("{} to {}", shown(low), shown(high))
}

/// An end of a range: as it stood in the file, if that is short.
fn end(value: f64) -> String {
    let whole = format!("{value}");
    if whole.len() <= 9 { whole } else { super::number_text(value) }
}

fn percent(share: &Value) -> String {
    share
        .as_f64()
        .map_or_else(|| shown(&Value::Null), |share| format!("{} %", super::number_text(100.0 * share)))
}

/// Which rows were used for what.
pub(super) fn split(facts: &Facts) -> Vec<Block> {
    let (split, validation) = (&facts.card["split"], &facts.card["settings"]["validation"]);
    if split.is_null() {
        return Vec::new();
    }
    let by = match split["method"].as_str() {
        Some("group") => format!("so that rows with the same {} stay together", shown(&validation["group"])),
        Some("time") => format!("by {}, the latest for testing", shown(&validation["time"])),
        Some("stratified") => "at random, with equal shares of each class".to_owned(),
        _ => "at random".to_owned(),
    };
    let n_folds = split["folds"].as_u64().unwrap_or(1);
    let test = split["test_rows"].as_u64().unwrap_or(0);
    let mut text = format!("The rows were divided {by}. ");
    text.push_str(&match test {
        0 => "No rows were kept for testing: the scores are those of rows left out of the folds. ".to_owned(),
        n => format!("{n} were kept for testing and used for nothing else. "),
    });
    let (fitted, validated) = (shown(&split["training_rows"]), shown(&split["validation_rows"]));
    text.push_str(&if n_folds > 1 {
        format!(
            "The others were divided into {n_folds} folds; each network was fitted on about {fitted} rows, and the \
             {validated} left out chose its epoch and calibrated the intervals."
        )
    } else {
        format!("{fitted} were fitted on; {validated} chose the epoch and calibrated the intervals.")
    });
    if facts.card["settings"]["refit"] == true {
        text.push_str(" After the scores were taken, the networks were fitted once more on all rows.");
    }
    vec![Block::Heading("Split".to_owned()), Block::Text(text)]
}

/// What happens to the columns before a network sees them.
pub(super) fn preprocessing(facts: &Facts) -> Vec<Block> {
    let inputs = items(&facts.card["inputs"]);
    if inputs.is_empty() {
        return Vec::new();
    }
    let has = |kind: &str| inputs.iter().any(|input| input["kind"] == kind);
    let missing = inputs.iter().any(|input| input["missing_share"].as_f64().is_some_and(|share| share > 0.0));
    let mut steps = Vec::new();
    if has("number") {
        steps.push("A number stays one feature.");
    }
    if has("category") || has("boolean") {
        steps.push(
            "A category becomes one feature per level; one of two levels and a boolean become -1 or +1.",
        );
    }
    if has("date") {
        steps.push(
            "A date becomes the days since the mean date, and sine and cosine of the day, week and year where the \
             data cover them.",
        );
    }
    if missing {
        steps.push(
            "A missing number is replaced by the mean and a missing date by the mean date, with a further feature \
             that says so; a missing category has the feature 0.",
        );
    }
    steps.push(
        "Every feature is centred by its median, divided by its interquartile range, and squeezed smoothly into \
         (-3, 3).",
    );
    steps.push(
        "All of this is fitted on the rows that a network is fitted on, and travels in the model file.",
    );
    vec![
        Block::Heading("Preprocessing".to_owned()),
        Block::Items(steps.into_iter().map(str::to_owned).collect()),
    ]
}

/// The network and how it was trained.
pub(super) fn network(facts: &Facts) -> Vec<Block> {
    let Facts { card, model, .. } = facts;
    let (settings, network) = (&card["settings"], &card["network"]);
    if network.is_null() {
        return Vec::new();
    }
    let of_shape = &network["shape"];
    let mut activation = shown(&of_shape["activation"]);
    if of_shape["parametric"] == true {
        activation.push_str(", with a learned share per unit");
    }
    let embedded = items(&of_shape["embedded"]).len();
    let with_steps = &network["with_steps"];
    let steps = match (with_steps["n_networks"].as_u64(), with_steps["weight"].as_f64()) {
        (Some(n), Some(weight)) if n > 0 => {
            format!("{n}, which have {} % of the say", super::number_text(100.0 * weight))
        }
        _ => "none".to_owned(),
    };
    let patience = &settings["early_stopping"]["patience"];
    let rows = [
        ("architecture", shown(&settings["architecture"])),
        ("preset", shown(&settings["preset"])),
        ("networks", shown(&network["n_networks"])),
        ("networks with steps for every number", steps),
        ("features", format!("{}, {embedded} of them with periodic embeddings", shown(&of_shape["inputs"]))),
        ("units of the hidden layers", shown(&of_shape["hidden"])),
        ("activation", activation),
        ("parameters per network", shown(&network["n_parameters"])),
        ("dropout", shown(&settings["dropout"])),
        ("optimizer", shown(&settings["optimizer"])),
        ("learning rate", shown(&settings["learning_rate"])),
        ("weight decay", shown(&settings["weight_decay"])),
        ("batch size", shown(&settings["batch_size"])),
        ("epochs", format!("{}; taken: {}", shown(&settings["epochs"]), shown(&network["best_epochs"]))),
        (
            "early stopping",
            if patience.is_null() { "no".to_owned() } else { format!("after {} epochs", shown(patience)) },
        ),
        ("time limit", settings["time_limit_s"].as_f64().map_or("none".to_owned(), |s| format!("{s} s"))),
        ("seed", shown(&settings["seed"])),
        ("time of training", format!("{} s", shown(&model["train_s"]))),
    ];
    // The file of a model that was imported does not say how long it took.
    let n_known = rows.len() - usize::from(!card["imported"].is_null());
    let rows = rows.into_iter().take(n_known).map(|(name, value)| vec![name.to_owned(), value]).collect();
    vec![Block::Heading("Network".to_owned()), Block::Table { header: row(["setting", "value"]), rows }]
}

/// What training and reading have warned of.
pub(super) fn warnings(facts: &Facts) -> Vec<Block> {
    let list = |warnings: &Value| -> Vec<String> {
        let warning =
            |warning: &Value| format!("{}: {}", shown(&warning["code"]), shown(&warning["message"]));
        items(warnings).iter().map(warning).collect()
    };
    let (training, reading) = (list(&facts.card["warnings"]), list(&facts.dataset["warnings"]));
    let mut blocks = vec![Block::Heading("Warnings".to_owned())];
    if !facts.card["imported"].is_null() {
        blocks.push(Block::Text("The model file does not hold the warnings of the training.".to_owned()));
    } else if training.is_empty() {
        blocks.push(Block::Text("The training gave no warning.".to_owned()));
    } else {
        blocks.push(Block::Items(training));
    }
    if !reading.is_empty() {
        blocks.push(Block::Text("When the file was read:".to_owned()));
        blocks.push(Block::Items(reading));
    }
    blocks
}

/// Versions, hashes, and the request that makes the model again.
pub(super) fn reproduction(facts: &Facts) -> Vec<Block> {
    let Facts { model, card, dataset } = facts;
    let known = [
        ("taqicfd", shown(&card["program_version"])),
        ("model", shown(&model["model_id"])),
        ("SHA-256 of the model file", shown(&model["sha256"])),
        ("training", shown(&model["training_id"])),
        ("dataset", shown(&model["dataset_id"])),
        ("SHA-256 of the file", shown(&dataset["sha256"])),
        ("stored", shown(&model["created_at"])),
    ];
    let rows = known.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    let mut blocks = vec![
        Block::Heading("Versions and reproduction".to_owned()),
        Block::Table { header: row(["what", "which"]), rows },
    ];
    if card["settings"].is_object() {
        blocks.push(Block::Text(
            "The same version of taqicfd, on a processor of the same kind, makes the same model file from the same \
             data file and settings: upload the file as it was read above, and send this to POST /train, with the \
             dataset_id that the upload gives."
                .to_owned(),
        ));
        let mut body = card["settings"].clone();
        if let Some(body) = body.as_object_mut() {
            without_nulls(body);
            body.insert("dataset_id".to_owned(), json!("..."));
        }
        blocks.push(Block::Code(serde_json::to_string_pretty(&body).unwrap_or_default()));
    }
    blocks
}

/// Leaves out what was left to the program.
fn without_nulls(fields: &mut Map<String, Value>) {
    fields.retain(|_, value| !value.is_null());
    fields.values_mut().filter_map(Value::as_object_mut).for_each(without_nulls);
}
