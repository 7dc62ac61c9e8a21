//! One training from beginning to end.

use super::baseline::{baselines, lost_to};
use super::blend::{Blend, kept};
use super::calibration::calibrate;
use super::ensemble::{FittedNetworks, fit_all};
use super::event::{Event, Stop};
use super::grouped;
use super::importance::importance;
use super::notice;
use super::prepare::{Prepared, prepare};
use super::random::{Purpose, shuffled, stream};
use super::report;
use super::response::curves;
use super::score::score;
use super::session::Session;
use super::spec::Spec;
use super::split::{Rows, Split, split};
use super::team::Team;
use super::view::{View, fitting_rows, views};
use super::{Compute, Data, TrainError, Trained};
use crate::dataset::Warning;
use crate::model::domain::{Domain, joint, pairs};
use crate::model::interval::Calibration;
use crate::model::manifest::{FORMAT, FORMAT_VERSION, Manifest, Member};
use crate::model::network::Network;
use crate::model::{Model, file, plain_answers};
use serde_json::{Map, Value, json};

/// As [`train`](super::train), on the leading thread of `team`.
pub(super) fn run(
    data: &Data,
    spec: &Spec,
    compute: &Compute,
    resume: Option<&[u8]>,
    observe: &mut (dyn FnMut(Event) + Send),
    stop: &Stop,
    team: &Team,
) -> Result<Trained, TrainError> {
    let prepared = prepare(data.table, data.description, spec)?;
    let keys = prepared.split_keys();
    let rows = Rows { usable: &prepared.usable, keys: &keys, given_test: data.test_rows };
    let split = &split(&rows, spec)?;
    let (inputs, of_inputs) = prepared.inputs(&fitting_rows(split))?;
    let cases = notice::repeated_cases(&prepared);
    let mut warnings = noticed(&prepared, &keys, split, of_inputs);
    warnings.extend(cases.iter().map(|(_, warning)| warning.clone()));
    warnings.iter().for_each(|warning| observe(Event::Warning(warning.clone())));

    let (view, refit) = &views(&prepared, split, inputs)?;
    let logarithms = prepared.logarithms(&view.members[0]);
    logarithms.iter().for_each(|warning| observe(Event::Warning(warning.clone())));
    warnings.extend(logarithms);
    observe(Event::Message(format!(
        "{} rows to fit, {} to choose the epoch, {} to test; {} inputs become {} features; {} weights",
        split.folds[0].training.len(),
        split.folds[0].validation.len(),
        split.test.len(),
        view.inputs.len(),
        view.shape.inputs,
        view.shape.n_parameters()
    )));
    let session = Session { prepared: &prepared, split, view, refit: refit.as_ref(), compute, team, stop };
    let fitted = fit_all(&session, resume, observe)?;
    let mut trained = finish(&session, fitted, warnings, observe)?;
    if let Some((column, _)) = cases
        && trained.stopped.is_none()
    {
        observe(Event::Message(format!("scoring one network split by \"{column}\"")));
        let left_s = spec.time_limit_s.map(|limit| (limit - trained.train_s).max(0.0));
        match grouped::score(data, spec, &column, left_s, compute, team, stop) {
            Ok(metrics) => trained.card["grouped"] = json!({ "group": column, "metrics": metrics }),
            // Whoever stops it now is given the model, which is finished; this score is not waited for.
            Err(TrainError::Stopped(_)) => {}
            Err(error) => trained.card["grouped"] = json!({ "group": column, "error": error.to_string() }),
        }
    }
    Ok(trained)
}

/// What the user should know of the data before trusting a score.
fn noticed(prepared: &Prepared, keys: &[u64], split: &Split, of_inputs: Vec<Warning>) -> Vec<Warning> {
    let mut warnings = prepared.warnings.clone();
    warnings.extend(of_inputs);
    warnings.extend(notice::leaks(prepared));
    warnings.extend(notice::copies(prepared, split));
    warnings.extend(notice::no_test_part(split));
    warnings.extend(notice::fewer_folds(prepared, split));
    warnings.extend(notice::without_time(prepared, keys, split));
    warnings
}

/// Calibrates, scores and describes the networks, and writes the model.
fn finish(
    session: &Session,
    fitted: FittedNetworks,
    mut warnings: Vec<Warning>,
    observe: &mut (dyn FnMut(Event) + Send),
) -> Result<Trained, TrainError> {
    let (spec, split, n_folds) = (session.spec(), session.split, session.split.folds.len());
    let FittedNetworks { chosen, refitted } = fitted;
    let seconds: f64 = chosen.iter().chain(&refitted).map(|fitted| fitted.elapsed_s).sum();
    let train_s = seconds / session.lanes();
    let blend = Blend::of(session, chosen);
    if blend.weights.len() > 1 {
        observe(Event::Message(format!("the variants have the weights {:?}", blend.weights)));
    }
    let refitted = kept(&blend.weights, n_folds, refitted);
    let calibration = calibrate(session, &blend);
    let unbounded = notice::unbounded(&calibration, blend.held_out.len(), spec.confidence);
    unbounded.iter().for_each(|warning| observe(Event::Warning(warning.clone())));
    warnings.extend(unbounded);

    let mut manifest = describe(session, &blend, calibration);
    let (judged, outputs) = blend.judged(session);
    let own = plain_answers(&manifest.targets, &manifest.calibration, &outputs);
    let scores = score(&session.prepared.truth, &judged, &own, &session.stds());
    let baselines = baselines(session, &judged)?;
    let lost = lost_to(&scores, &baselines);
    lost.iter().for_each(|warning| observe(Event::Warning(warning.clone())));
    warnings.extend(lost);
    let metrics = scores.to_json(&spec.targets);
    let baselines: Map<String, Value> =
        baselines.iter().map(|(name, scores)| ((*name).to_owned(), scores.to_json(&spec.targets))).collect();
    manifest.scores = json!({ "metrics": metrics, "baselines": baselines });
    let measured = measure(session, &manifest, &blend, &judged, &outputs)?;

    let stopped = blend.fitted.iter().chain(&refitted).find_map(|fitted| fitted.stopped).map(str::to_owned);
    // All of them or none: they may be of another shape.
    let is_whole = refitted.iter().all(|fitted| fitted.stopped.is_none());
    if let Some(refit) = session.refit.filter(|_| is_whole) {
        describe_refit(session, &mut manifest, refit);
    } else if session.refit.is_some() {
        let left_out = notice::refit_left_out();
        observe(Event::Warning(left_out.clone()));
        warnings.push(left_out);
    }
    let mut card = report::card(&manifest, &blend.fitted, split, &warnings);
    measured.as_object().into_iter().flatten().for_each(|(key, value)| card[key] = value.clone());
    let last = if session.refit.is_some() && is_whole { refitted } else { blend.fitted };
    let networks: Vec<Network> = last.into_iter().map(|fitted| fitted.best.network).collect();
    let bytes = file::to_bytes(&manifest, &networks);
    let model = Model::from_bytes(&bytes, session.compute.backend).map_err(|error| TrainError::Data {
        slug: "internal",
        message: format!("the finished model cannot be read back: {error}"),
    })?;
    Ok(Trained { model, bytes, metrics, card, stopped, warnings, train_s })
}

/// The manifest of the networks of `blend`, but for their scores.
fn describe(session: &Session, blend: &Blend, calibration: Calibration) -> Manifest {
    let (spec, view) = (session.spec(), session.view);
    Manifest {
        format: FORMAT.to_owned(),
        format_version: FORMAT_VERSION,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        task: spec.task,
        inputs: view.inputs.clone(),
        targets: session.prepared.targets(&view.rows),
        shape: view.shape.clone(),
        members: blend.members.clone(),
        calibration,
        domain: domain(session, view),
        confidence: spec.confidence,
        settings: serde_json::to_value(spec).expect("settings have only string keys"),
        scores: Value::Null,
        n_training_rows: session.split.folds[0].training.len(),
    }
}

/// Makes `manifest` that of the networks that were fitted once more, on all rows, but for what was measured.
fn describe_refit(session: &Session, manifest: &mut Manifest, refit: &View) {
    manifest.inputs.clone_from(&refit.inputs);
    manifest.targets = session.prepared.targets(&refit.rows);
    manifest.shape = refit.shape.clone();
    manifest.members.iter_mut().for_each(|member| {
        let stepped = member.stepped.as_ref().and(refit.stepped.clone());
        *member = Member { weight: member.weight, stepped, ..refit.members[0].clone() };
    });
    manifest.domain = domain(session, refit);
    manifest.n_training_rows = refit.rows.len();
}

fn domain(session: &Session, view: &View) -> Domain {
    let mut rows = shuffled(view.rows.clone(), &mut stream(session.spec().seed, Purpose::Sample, 0, 1));
    rows.truncate(pairs::MAX_ROWS);
    let values = session.prepared.values(&view.inputs, &rows);
    rows.truncate(joint::MAX_ROWS);
    let part = session.prepared.part(&view.inputs, &view.members[0], &rows);
    Domain::fit(&view.inputs, &values, &part.features, view.shape.inputs)
}

/// What the card tells beside the scores, measured on the rows `judged`, to which the networks answer `outputs`.
fn measure(
    session: &Session,
    manifest: &Manifest,
    blend: &Blend,
    judged: &[usize],
    outputs: &[f64],
) -> Result<Value, TrainError> {
    let prepared = session.prepared;
    Ok(json!({
        "coverage": if session.split.test.is_empty() {
            report::unmeasured_coverage(manifest)
        } else {
            report::coverage(prepared, manifest, judged, outputs)
        },
        "domain": report::flagged(prepared, manifest, judged),
        "comparison": report::comparison(prepared, manifest, judged, outputs),
        "importance": importance(session, blend, judged)?,
        "response_curves": curves(session, manifest, blend, judged)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Table, Values};
    use crate::model::{Backend, Cell, PredictOptions, Target, TargetPrediction};
    use crate::training::test_data::{describe, number, waves};
    use crate::training::{Limits, StopReason, TrainRequest, check, train};
    use std::time::Instant;

    const COMPUTE: Compute = Compute { backend: Backend::Flex, threads: 2, checkpoint_s: 1e9 };

    fn spec(table: &Table, json: Value) -> Spec {
        let request: TrainRequest = serde_json::from_value(json).unwrap();
        check(&request, &describe(table), "waves", &Limits::default()).unwrap().spec
    }

    fn run_on(table: &Table, json: Value, compute: &Compute) -> Result<Trained, TrainError> {
        let description = describe(table);
        let data = Data { table, description: &description, test_rows: None };
        train(&data, &spec(table, json), compute, None, &mut |_| {}, &Stop::new())
    }

    fn small(target: &str) -> Value {
        json!({"target": target, "exclude": ["z"], "hidden_layers": [32, 32], "epochs": 60, "batch_size": 32})
    }

    #[test]
    fn a_smooth_function_is_learned_better_than_by_any_baseline() {
        let table = waves();
        for architecture in ["realmlp_td_s", "mlp"] {
            let mut request = small("y");
            request["architecture"] = json!(architecture);
            request["epochs"] = json!(200);
            let trained = run_on(&table, request, &COMPUTE).unwrap();
            let r2 = trained.metrics["r2"].as_f64().unwrap();
            assert!(r2 > 0.9, "{architecture}: r2 {r2}");
            assert!(trained.warnings.iter().all(|warning| warning.code != "baseline-wins"));
            let measured = trained.card["coverage"]["per_target"]["y"]["measured"].as_f64().unwrap();
            assert!(measured > 0.6, "{measured}");
        }
    }

    #[test]
    fn classes_are_told_apart() {
        let trained = run_on(&waves(), small("label"), &COMPUTE).unwrap();
        assert!(trained.metrics["accuracy"].as_f64().unwrap() > 0.85, "{}", trained.metrics);
        assert!(trained.metrics["log_loss"].as_f64().unwrap() < 0.5, "{}", trained.metrics);
        let counts = &trained.card["comparison"]["confusion_matrix"]["counts"];
        let total: u64 = counts
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|row| row.as_array().unwrap())
            .map(|n| n.as_u64().unwrap())
            .sum();
        assert_eq!(total, 60);
    }

    #[test]
    fn several_targets_share_a_network_and_keep_their_units() {
        let mut request = small("y");
        request.as_object_mut().unwrap().remove("target");
        request["targets"] = json!(["y", "z"]);
        request["exclude"] = json!([]);
        let trained = run_on(&waves(), request, &COMPUTE).unwrap();
        let per_target = &trained.metrics["per_target"];
        assert!(per_target["z"]["rmse"].as_f64().unwrap() > per_target["y"]["rmse"].as_f64().unwrap());
        assert!(per_target["z"]["r2"].as_f64().unwrap() > 0.95, "{per_target}");
    }

    #[test]
    fn the_same_seed_gives_the_same_file_and_another_seed_another() {
        let table = waves();
        let bytes = |json| run_on(&table, json, &COMPUTE).unwrap().bytes;
        let mut request = small("y");
        request["dropout"] = json!(0.1);
        request["epochs"] = json!(5);
        let first = bytes(request.clone());
        assert_eq!(bytes(request.clone()), first);
        request["seed"] = json!(43);
        assert_ne!(bytes(request), first);
    }

    #[test]
    fn folds_give_the_same_model_on_any_number_of_threads() {
        let table = waves();
        let mut request = small("y");
        request["epochs"] = json!(4);
        request["validation"] = json!({"folds": 3});
        let bytes = |threads| run_on(&table, request.clone(), &Compute { threads, ..COMPUTE }).unwrap().bytes;
        assert_eq!(bytes(2), bytes(3));
    }

    #[test]
    fn where_answers_jump_networks_with_steps_have_their_say() {
        let n = 800;
        let x: Vec<f64> = (0..n).map(|i| f64::from(i * 37 % n) / f64::from(n)).collect();
        let y = x.iter().map(|x| ((x * 23.0).floor() * 7.0) % 5.0).collect();
        let table = Table { columns: vec![number("x", x), number("y", y)] };
        for refit in [false, true] {
            let request = json!({"target": "y", "hidden_layers": [32, 32], "epochs": 30, "batch_size": 32,
                "validation": {"folds": 2}, "refit": refit});
            let trained = run_on(&table, request, &COMPUTE).unwrap();
            let members = &trained.model.manifest().members;
            let weight_of = |stepped: bool| -> f64 {
                let like = members.iter().filter(|member| member.stepped.is_some() == stepped);
                like.map(|member| member.weight).sum()
            };
            assert!(weight_of(true) > weight_of(false), "{} {}", weight_of(true), weight_of(false));
            let steps = members.iter().find_map(|member| member.stepped.as_ref()).unwrap();
            assert!(steps.len() == 1 && steps[0].count > 10, "{steps:?}");
            let read = Model::from_bytes(&trained.bytes, Backend::Flex).unwrap();
            assert_eq!(read.manifest().shape_of(members.len() - 1).stepped, *steps);
        }
    }

    #[test]
    fn the_best_preset_blends_variants_and_resumes() {
        let table = waves();
        let mut request = small("y");
        request["preset"] = json!("best");
        request["epochs"] = json!(12);
        request["validation"] = json!({"folds": 2});
        let spec = spec(&table, request);
        let description = describe(&table);
        let data = Data { table: &table, description: &description, test_rows: None };
        let whole = train(&data, &spec, &COMPUTE, None, &mut |_| {}, &Stop::new()).unwrap();
        let members = &whole.model.manifest().members;
        assert!((members.iter().map(|member| member.weight).sum::<f64>() - 2.0).abs() < 1e-9);
        let stopped = stopped_after(&table, &spec, 30, None); // in the second variant
        let resumed = train(&data, &spec, &COMPUTE, Some(&stopped), &mut |_| {}, &Stop::new()).unwrap();
        assert_eq!(resumed.bytes, whole.bytes);
    }

    /// Waves whose `y` goes over six orders of magnitude, and its rows.
    fn heavy_tail() -> Table {
        let mut table = waves();
        let column = table.columns.iter_mut().find(|column| column.name == "y").unwrap();
        let Values::Number(values) = &mut column.values else { panic!() };
        values.iter_mut().for_each(|y| *y = (4.0 * *y).exp());
        table
    }

    #[test]
    fn targets_over_many_orders_of_magnitude_are_learned_by_their_logarithms() {
        let table = heavy_tail();
        let mape = |scale: &str| {
            let mut request = small("y");
            request["target_scale"] = json!(scale);
            let trained = run_on(&table, request, &COMPUTE).unwrap();
            let told = trained.warnings.iter().any(|warning| warning.code == "logarithmic-target");
            (trained.metrics["mape"].as_f64().unwrap(), told, trained.model)
        };
        let (auto, told, model) = mape("auto");
        let (linear, not_told, _) = mape("linear");
        assert!(auto < 60.0 && linear > 4.0 * auto, "{auto} {linear}");
        assert!(told && !not_told);
        assert!(!mape("log").1, "what was asked for is no news");
        // The sensitivity is the slope of the answers.
        let row =
            |a: f64| [Cell::Number(a), Cell::Number(1.0), Cell::Text("on".into()), Cell::Text("mid".into())];
        let options = PredictOptions { explain: true, ..PredictOptions::default() };
        let value = |a: f64| {
            let answer = model.predict(&row(a), 1, &options).unwrap();
            let TargetPrediction::Number { values, .. } = &answer.targets[0] else { panic!() };
            (values[0], answer.sensitivities.unwrap()[0])
        };
        // A value that cannot be negative has no bound that is.
        let answer = model.predict(&row(-1.0), 1, &options).unwrap();
        let TargetPrediction::Number { values, bounds: Some(bounds), .. } = &answer.targets[0] else {
            panic!()
        };
        let ((low, high), value_there) = (bounds[0], values[0]);
        assert!(low > 0.0 && (high / value_there - value_there / low).abs() < 1e-6 * high / value_there);
        let slope = (value(0.101).0 - value(0.099).0) / 0.002;
        assert!((value(0.1).1 / slope - 1.0).abs() < 0.02, "{} {slope}", value(0.1).1);
    }

    #[test]
    fn a_logarithm_that_does_not_exist_is_refused_with_the_value() {
        let mut request = small("z");
        request["exclude"] = json!(["y"]);
        request["target_scale"] = json!("log");
        let error = run_on(&waves(), request, &COMPUTE).unwrap_err();
        let TrainError::Data { slug, message } = error else { panic!("{error:?}") };
        assert_eq!(slug, "invalid-parameter");
        assert!(message.contains("\"z\"") && message.contains("such as -"), "{message}");
    }

    #[test]
    fn both_backends_learn_the_same() {
        let table = waves();
        let rmse = |backend| {
            let compute = Compute { backend, ..COMPUTE };
            run_on(&table, small("y"), &compute).unwrap().metrics["rmse"].as_f64().unwrap()
        };
        let (flex, ndarray) = (rmse(Backend::Flex), rmse(Backend::Ndarray));
        // Sums are rounded in another order, which a training amplifies; the quality is the same.
        assert!((flex - ndarray).abs() < 0.3 * flex.max(ndarray), "{flex} {ndarray}");
    }

    /// Stops after `n_epochs` epochs as a shutdown does, and returns the checkpoint.
    fn stopped_after(table: &Table, spec: &Spec, n_epochs: usize, resume: Option<&[u8]>) -> Vec<u8> {
        stopped_with(&COMPUTE, table, spec, n_epochs, resume)
    }

    fn stopped_with(
        compute: &Compute,
        table: &Table,
        spec: &Spec,
        n_epochs: usize,
        resume: Option<&[u8]>,
    ) -> Vec<u8> {
        let description = describe(table);
        let data = Data { table, description: &description, test_rows: None };
        let stop = Stop::new();
        let (mut epochs, mut kept) = (0, None);
        let mut observe = |event| match event {
            Event::Epoch(_) => {
                epochs += 1;
                if epochs == n_epochs {
                    stop.request(StopReason::Shutdown);
                }
            }
            Event::Checkpoint(bytes) => kept = Some(bytes),
            _ => {}
        };
        let error = train(&data, spec, compute, resume, &mut observe, &stop).unwrap_err();
        assert_eq!(error, TrainError::Stopped(StopReason::Shutdown));
        kept.expect("a shutdown leaves a checkpoint")
    }

    #[test]
    fn a_training_stopped_twice_ends_with_the_file_of_one_never_stopped() {
        let table = waves();
        let description = describe(&table);
        let data = Data { table: &table, description: &description, test_rows: None };
        for request in [
            json!({"target": "y", "hidden_layers": [16], "epochs": 12, "batch_size": 50, "dropout": 0.2}),
            json!({"target": "label", "hidden_layers": [16], "epochs": 6, "batch_size": 50,
                   "validation": {"folds": 3}, "refit": true}),
        ] {
            let spec = spec(&table, request);
            let whole = train(&data, &spec, &COMPUTE, None, &mut |_| {}, &Stop::new()).unwrap();
            let first = stopped_after(&table, &spec, 5, None);
            let second = stopped_after(&table, &spec, 4, Some(&first));
            let resumed = train(&data, &spec, &COMPUTE, Some(&second), &mut |_| {}, &Stop::new()).unwrap();
            assert_eq!(resumed.bytes, whole.bytes);
        }
    }

    #[test]
    fn a_training_stopped_where_a_network_ends_goes_on_with_the_next() {
        let table = waves();
        let description = describe(&table);
        let data = Data { table: &table, description: &description, test_rows: None };
        // One network after the other, so that the sixth epoch is the last of the first.
        let compute = Compute { threads: 1, checkpoint_s: 0.0, ..COMPUTE };
        for early_stopping in [Value::Null, json!({"patience": 1})] {
            let spec = spec(
                &table,
                json!({"target": "label", "hidden_layers": [16], "epochs": 6, "batch_size": 50, "architecture": "mlp",
                       "early_stopping": early_stopping, "validation": {"folds": 2}, "refit": true}),
            );
            let mut epochs_of_networks = Vec::new();
            let mut observe = |event| {
                if let Event::Epoch(score) = event {
                    epochs_of_networks.push((score.fold, score.epoch));
                }
            };
            let whole = train(&data, &spec, &compute, None, &mut observe, &Stop::new()).unwrap();
            let second = epochs_of_networks.iter().position(|(fold, _)| *fold == 1).unwrap();
            let kept = stopped_with(&compute, &table, &spec, second, None);
            let (stop, mut n_epochs) = (Stop::new(), 0);
            let mut observe = |event| {
                if let Event::Epoch(_) = event {
                    n_epochs += 1;
                    // Far more than there are: it would go on for ever.
                    if n_epochs > 4 * epochs_of_networks.len() {
                        stop.request(StopReason::Cancel);
                    }
                }
            };
            let resumed = train(&data, &spec, &compute, Some(&kept), &mut observe, &stop).unwrap();
            assert_eq!(resumed.bytes, whole.bytes);
            assert_eq!(n_epochs, epochs_of_networks.len() - second);
        }
    }

    #[test]
    fn a_stop_after_the_last_network_is_heard_and_costs_no_network() {
        let table = waves();
        let description = describe(&table);
        let data = Data { table: &table, description: &description, test_rows: None };
        let compute = Compute { checkpoint_s: 0.0, ..COMPUTE };
        for target in ["y", "label"] {
            let spec = spec(&table, json!({"target": target, "preset": "fast", "epochs": 4}));
            let whole = train(&data, &spec, &compute, None, &mut |_| {}, &Stop::new()).unwrap();
            let (stop, mut kept) = (Stop::new(), None);
            let mut observe = |event| match event {
                Event::Message(text) if text.starts_with("network 1 of 1") => {
                    stop.request(StopReason::Shutdown);
                }
                Event::Checkpoint(bytes) => kept = Some(bytes),
                _ => {}
            };
            let error = train(&data, &spec, &compute, None, &mut observe, &stop).unwrap_err();
            assert_eq!(error, TrainError::Stopped(StopReason::Shutdown));
            let mut n_epochs = 0;
            let mut observe = |event| n_epochs += usize::from(matches!(event, Event::Epoch(_)));
            let resumed = train(&data, &spec, &compute, kept.as_deref(), &mut observe, &Stop::new()).unwrap();
            assert_eq!((n_epochs, resumed.bytes == whole.bytes), (0, true), "{target}");
        }
    }

    #[test]
    fn the_time_left_after_a_resume_counts_only_what_was_done_since() {
        let table = waves();
        let description = describe(&table);
        let data = Data { table: &table, description: &description, test_rows: None };
        let spec =
            spec(&table, json!({"target": "y", "preset": "fast", "epochs": 400, "hidden_layers": [8]}));
        let kept = stopped_after(&table, &spec, 200, None);
        let stop = Stop::new();
        let mut first = None;
        let mut observe = |event| {
            if let Event::Progress { fraction, eta_s, .. } = event {
                first.get_or_insert((fraction, eta_s));
                stop.request(StopReason::Cancel);
            }
        };
        train(&data, &spec, &COMPUTE, Some(&kept), &mut observe, &stop).unwrap_err();
        let (fraction, eta_s) = first.unwrap();
        assert!((fraction - 0.5).abs() < 0.01, "{fraction}");
        assert_eq!(eta_s, None, "one step is too little to tell by");
    }

    #[test]
    fn a_damaged_or_foreign_checkpoint_is_told_and_not_used() {
        let table = waves();
        let description = describe(&table);
        let data = Data { table: &table, description: &description, test_rows: None };
        let spec = spec(&table, json!({"target": "y", "hidden_layers": [8], "epochs": 4}));
        let whole = train(&data, &spec, &COMPUTE, None, &mut |_| {}, &Stop::new()).unwrap();
        let foreign = stopped_after(&table, &Spec { seed: 9, ..spec.clone() }, 2, None);
        let mut cut_short = stopped_after(&table, &spec, 2, None);
        cut_short.truncate(cut_short.len() / 2);
        for bytes in [foreign, cut_short, b"nonsense".to_vec()] {
            let mut messages = String::new();
            let mut observe = |event| {
                if let Event::Message(text) = event {
                    messages.push_str(&text);
                }
            };
            let again = train(&data, &spec, &COMPUTE, Some(&bytes), &mut observe, &Stop::new()).unwrap();
            assert_eq!(again.bytes, whole.bytes);
            assert!(messages.contains("starting again"), "{messages}");
        }
    }

    #[test]
    fn a_rate_that_is_too_high_is_said_to_be() {
        let request = json!({"target": "y", "architecture": "mlp", "optimizer": "sgd", "learning_rate": 10.0,
                             "hidden_layers": [64, 64, 64], "epochs": 200, "early_stopping": {"patience": 100_000}});
        let error = run_on(&waves(), request, &COMPUTE).unwrap_err();
        assert_eq!(error.slug(), "training-diverged");
        assert!(error.to_string().contains("lower the learning rate"), "{error}");
    }

    #[test]
    fn a_training_that_diverges_is_begun_again_at_a_lower_rate() {
        let table = waves();
        let request = json!({"target": "y", "architecture": "mlp", "optimizer": "sgd", "learning_rate": 3.0, "seed": 1,
                             "preset": "fast", "hidden_layers": [32, 32], "epochs": 20, "batch_size": 32});
        let description = describe(&table);
        let data = Data { table: &table, description: &description, test_rows: None };
        let spec = spec(&table, request);
        let mut messages = String::new();
        let mut observe = |event| {
            if let Event::Message(text) = event {
                messages.push_str(&text);
            }
        };
        train(&data, &spec, &COMPUTE, None, &mut observe, &Stop::new()).unwrap();
        assert!(messages.contains("trained again at a learning rate of 0.6"), "{messages}");
    }

    /// 20 geometries of three numbers, each at 15 angles.
    fn repeated_cases() -> Table {
        let of = |f: fn(usize, usize) -> f64| (0..300).map(|i| f(i / 15, i % 15)).collect::<Vec<f64>>();
        Table {
            columns: vec![
                number("chord", of(|case, _| 0.1 + 0.03 * case as f64)),
                number("camber", of(|case, _| ((case * 7) % 20) as f64)),
                number("thickness", of(|case, _| ((case * 3) % 20) as f64)),
                number("angle", of(|_, angle| angle as f64)),
                // What a case adds cannot be known from its geometry.
                number("lift", of(|case, angle| angle as f64 * 0.1 + ((case * 37) % 11) as f64)),
            ],
        }
    }

    #[test]
    fn cases_that_are_repeated_get_a_second_score_by_group() {
        let request = json!({"target": "lift", "preset": "fast", "epochs": 60});
        let trained = run_on(&repeated_cases(), request, &COMPUTE).unwrap();
        assert!(trained.warnings.iter().any(|warning| warning.code == "rows-look-grouped"));
        let by_group = trained.card["grouped"]["metrics"]["rmse"].as_f64().unwrap();
        let random = trained.metrics["rmse"].as_f64().unwrap();
        assert!(by_group > 2.0 * random, "{by_group} {random}");
    }

    #[test]
    fn a_stop_during_the_score_by_group_leaves_the_finished_model() {
        let table = repeated_cases();
        let description = describe(&table);
        let data = Data { table: &table, description: &description, test_rows: None };
        let spec = spec(&table, json!({"target": "lift", "preset": "fast", "epochs": 20}));
        let whole = train(&data, &spec, &COMPUTE, None, &mut |_| {}, &Stop::new()).unwrap();
        for reason in [StopReason::Shutdown, StopReason::Cancel] {
            let stop = Stop::new();
            let mut observe = |event| {
                if matches!(&event, Event::Message(text) if text.starts_with("scoring one network")) {
                    stop.request(reason);
                }
            };
            let stopped = train(&data, &spec, &COMPUTE, None, &mut observe, &stop).unwrap();
            assert_eq!(stopped.bytes, whole.bytes);
            assert!(stopped.card["grouped"].is_null() && whole.card["grouped"]["metrics"].is_object());
        }
    }

    #[test]
    fn the_score_by_group_has_the_time_that_is_left() {
        let table = repeated_cases();
        let description = describe(&table);
        let data = Data { table: &table, description: &description, test_rows: None };
        let spec = spec(&table, json!({"target": "lift", "preset": "fast", "epochs": 5}));
        let score = |left_s| {
            let team = Team::new(1).unwrap();
            team.lead(|| grouped::score(&data, &spec, "chord", left_s, &COMPUTE, &team, &Stop::new()))
        };
        assert!(score(None).unwrap()["rmse"].is_number());
        assert!(score(Some(0.0)).unwrap_err().to_string().contains("time limit"));
    }

    #[test]
    fn a_time_limit_ends_with_the_best_so_far() {
        let request = json!({"target": "y", "epochs": 100_000, "time_limit_s": 1.0});
        let started = Instant::now();
        let trained = run_on(&waves(), request, &COMPUTE).unwrap();
        assert_eq!(trained.stopped.as_deref(), Some("time_limit"));
        assert!(started.elapsed().as_secs() < 30);
    }

    /// Root mean square error of what `model` answers to the rows of `table`, of which it predicts "y" alone.
    fn error_of(model: &Model, table: &Table) -> f64 {
        let column = |name: &str| &table.column(name).unwrap().values;
        let cell = |row: usize, name: &str| match column(name) {
            Values::Number(values) if values[row].is_finite() => Cell::Number(values[row]),
            Values::Category { codes, levels } => Cell::Text(levels[codes[row] as usize].clone().into()),
            _ => Cell::Missing,
        };
        let names: Vec<&str> = model.inputs().iter().map(|input| input.name.as_str()).collect();
        let n = table.n_rows();
        let cells: Vec<Cell> = (0..n).flat_map(|row| names.iter().map(move |name| cell(row, name))).collect();
        let answer = model.predict(&cells, n, &PredictOptions::default()).unwrap();
        let (TargetPrediction::Number { values, .. }, Values::Number(truth)) =
            (&answer.targets[0], column("y"))
        else {
            panic!()
        };
        (values.iter().zip(truth).map(|(own, truth)| (own - truth).powi(2)).sum::<f64>() / n as f64).sqrt()
    }

    #[test]
    fn a_time_limit_leaves_time_to_train_again_on_all_rows() {
        let table = waves();
        for preset in ["fast", "balanced"] {
            let request = json!({"target": "y", "exclude": ["z"], "hidden_layers": [32, 32], "batch_size": 32,
                                 "epochs": 100_000, "preset": preset, "time_limit_s": 2.0, "refit": true,
                                 "architecture": "mlp", "early_stopping": {"patience": 100_000}});
            let trained = run_on(&table, request, &COMPUTE).unwrap();
            assert_eq!(trained.stopped.as_deref(), Some("time_limit"));
            let (own, promised) =
                (error_of(&trained.model, &table), trained.metrics["rmse"].as_f64().unwrap());
            assert!(own < 1.5 * promised + 0.05, "{preset}: {own}, where {promised} was promised");
        }
    }

    #[test]
    fn networks_that_do_not_reach_their_epochs_are_not_served() {
        let table = waves();
        let description = describe(&table);
        let data = Data { table: &table, description: &description, test_rows: None };
        let mut request = small("y");
        request["validation"] = json!({"folds": 2});
        request["refit"] = json!(true);
        // Enough for one step, which is no epoch.
        let refit = Spec { time_limit_s: Some(1e-9), ..spec(&table, request) };
        let without = Spec { refit: false, ..refit.clone() };
        let of = |spec| train(&data, spec, &COMPUTE, None, &mut |_| {}, &Stop::new()).unwrap();
        let (refit, without) = (of(&refit), of(&without));
        assert_eq!(refit.model.networks(), without.model.networks());
        assert_eq!(refit.model.inputs(), without.model.inputs());
        let told =
            |trained: &Trained| trained.warnings.iter().any(|warning| warning.code == "refit-left-out");
        assert!(told(&refit) && !told(&without));
    }

    /// Waves of which the last rows, for the test, have a level, a number and a target like no other's.
    fn with_unlike_test_rows(target: f64) -> (Table, Vec<usize>) {
        let mut table = waves();
        let test: Vec<usize> = (270..300).collect();
        for column in &mut table.columns {
            match &mut column.values {
                Values::Number(values) if column.name == "y" => values[290] = target,
                Values::Number(values) if column.name == "b" => values[291] = 9.0,
                Values::Category { codes, levels } if column.name == "c" => {
                    levels.push("new".to_owned());
                    codes[292] = 3;
                }
                _ => {}
            }
        }
        (table, test)
    }

    #[test]
    fn a_model_trained_again_on_all_rows_knows_them_all() {
        let (table, test) = with_unlike_test_rows(50.0);
        let description = describe(&table);
        let data = Data { table: &table, description: &description, test_rows: Some(&test) };
        let mut request = small("y");
        request["validation"] = json!({"folds": 2});
        request["epochs"] = json!(8);
        let without = spec(&table, request);
        let refit = Spec { refit: true, ..without.clone() };
        let of = |spec, resume| train(&data, spec, &COMPUTE, resume, &mut |_| {}, &Stop::new()).unwrap();
        let (without, whole) = (of(&without, None), of(&refit, None));
        let known = |trained: &Trained| {
            let input = |name: &str| trained.model.inputs().iter().find(|input| input.name == name).unwrap();
            let Target::Number { max, .. } = &trained.model.manifest().targets[0] else { panic!() };
            let knows_new = input("c").levels.contains(&"new".to_owned());
            (
                input("b").range.unwrap().1 == 9.0,
                knows_new,
                *max == 50.0,
                trained.model.manifest().n_training_rows,
            )
        };
        assert_eq!(known(&without), (false, false, false, 135));
        assert_eq!(known(&whole), (true, true, true, 300));
        assert_eq!(whole.metrics, without.metrics, "those of networks that have not seen the test rows");
        assert_eq!(whole.card["coverage"], without.card["coverage"]);

        // Two networks of eight epochs, then one more epoch of the next: a checkpoint holds networks of both shapes.
        let mut kept = None;
        let (stop, mut n_epochs) = (Stop::new(), 0);
        let mut observe = |event| match event {
            Event::Epoch(score) if score.fold >= 2 => {
                n_epochs += 1;
                stop.request(StopReason::Shutdown);
            }
            Event::Checkpoint(bytes) => kept = Some(bytes),
            _ => {}
        };
        train(&data, &refit, &COMPUTE, None, &mut observe, &stop).unwrap_err();
        assert!(n_epochs > 0);
        assert_eq!(of(&refit, kept.as_deref()).bytes, whole.bytes);
    }

    #[test]
    fn a_row_without_the_logarithm_that_is_learned_harms_nothing_but_itself() {
        let (mut table, test) = with_unlike_test_rows(0.0);
        let Values::Number(values) = &mut table.columns.last_mut().unwrap().values else { panic!() };
        values.iter_mut().filter(|y| **y != 0.0).for_each(|y| *y = (4.0 * *y).exp());
        let description = describe(&table);
        let data = Data { table: &table, description: &description, test_rows: Some(&test) };
        let mut request = small("y");
        request["refit"] = json!(true);
        request["epochs"] = json!(5);
        let spec = spec(&table, request);
        let trained = train(&data, &spec, &COMPUTE, None, &mut |_| {}, &Stop::new()).unwrap();
        assert!(trained.warnings.iter().any(|warning| warning.code == "logarithmic-target"));
        assert_eq!(trained.model.manifest().n_training_rows, 299);
        assert!(error_of(&trained.model, &table).is_finite());
    }

    #[test]
    fn patience_ends_a_training_early() {
        let request = json!({"target": "y", "architecture": "mlp", "learning_rate": 0.05, "hidden_layers": [16],
                             "epochs": 3000, "early_stopping": {"patience": 5}});
        let trained = run_on(&waves(), request, &COMPUTE).unwrap();
        assert_eq!(trained.stopped.as_deref(), Some("early_stopping"));
    }

    #[test]
    fn the_model_file_answers_as_the_model_did() {
        let table = waves();
        let trained = run_on(&table, small("y"), &COMPUTE).unwrap();
        let loaded = Model::from_bytes(&trained.bytes, Backend::Flex).unwrap();
        let inputs = loaded.inputs().len();
        let cells = [Cell::Number(0.3), Cell::Missing, Cell::Text("on".into()), Cell::Text("mid".into())];
        assert_eq!(inputs, cells.len());
        let ask = |model: &Model| model.predict(&cells, 1, &PredictOptions::default()).unwrap();
        let predictions = ask(&loaded);
        assert_eq!(predictions, ask(&trained.model));
        let TargetPrediction::Number { values, bounds, .. } = &predictions.targets[0] else { panic!() };
        let expected = (0.9_f64).sin() + 0.5 + 1.0;
        assert!((values[0] - expected).abs() < 0.4, "{values:?} is not {expected}");
        let domain = &trained.card["domain"];
        assert!(
            domain["rows"] == trained.card["split"]["test_rows"] && domain["flagged"].as_f64() < Some(0.2)
        );
        let (low, high) = bounds.as_ref().unwrap()[0];
        assert!(low < values[0] && values[0] < high);
        assert_eq!(predictions.in_domain, [true]);
    }

    #[test]
    fn without_a_test_part_no_coverage_is_claimed_and_the_scores_are_qualified() {
        let mut request = small("y");
        request["epochs"] = json!(5);
        request["validation"] = json!({"test_size": 0, "folds": 2});
        let trained = run_on(&waves(), request, &COMPUTE).unwrap();
        assert!(trained.metrics["rmse"].is_number());
        let coverage = &trained.card["coverage"];
        assert!(coverage["per_target"]["y"].is_null() && coverage["reason"].is_string(), "{coverage}");
        assert!(trained.warnings.iter().any(|warning| warning.code == "no-test-part"));
    }

    #[test]
    fn response_curves_are_means_of_what_is_answered() {
        let table = waves();
        for target in ["y", "label"] {
            let mut request = small(target);
            request["epochs"] = json!(3);
            request["exclude"] = json!(["z", "b", "c", "label", "y"]);
            request["exclude"].as_array_mut().unwrap().retain(|name| name != target);
            let trained = run_on(&table, request, &COMPUTE).unwrap();
            // With one input alone, the mean over the rows is the answer to any.
            let curve = &trained.card["response_curves"][0];
            for x in [0, 10, 20] {
                let cells = [Cell::Number(curve["x"][x].as_f64().unwrap())];
                let answer = trained.model.predict(&cells, 1, &PredictOptions::default()).unwrap();
                let (name, own) = match &answer.targets[0] {
                    TargetPrediction::Number { values, .. } => ("y", values[0]),
                    TargetPrediction::Class { probabilities, classes, .. } => {
                        (classes[0].as_str(), probabilities[0])
                    }
                };
                let shown = curve["y"][name][x].as_f64().unwrap();
                assert!((own - shown).abs() < 1e-5, "{target}: {own} is answered, {shown} shown");
            }
        }
    }

    #[test]
    fn the_mean_of_a_target_that_is_learned_by_its_logarithm_is_that_of_its_values() {
        let table = heavy_tail();
        let test: Vec<usize> = (0..60).collect();
        let description = describe(&table);
        let data = Data { table: &table, description: &description, test_rows: Some(&test) };
        let mut request = small("y");
        request["epochs"] = json!(2);
        let trained =
            train(&data, &spec(&table, request), &COMPUTE, None, &mut |_| {}, &Stop::new()).unwrap();
        let Values::Number(y) = &table.column("y").unwrap().values else { panic!() };
        let mean = y[60..].iter().sum::<f64>() / 240.0;
        let expected = y[..60].iter().map(|y| (y - mean).abs()).sum::<f64>() / 60.0;
        let mae = trained.card["baselines"]["mean"]["mae"].as_f64().unwrap();
        assert!((mae / expected - 1.0).abs() < 1e-3, "{mae} instead of {expected}");
        assert_eq!(trained.card["targets"][0]["scale"], "log");
    }

    #[test]
    fn response_curves_follow_the_function_that_was_learned() {
        let mut request = small("y");
        request["epochs"] = json!(150);
        let trained = run_on(&waves(), request, &COMPUTE).unwrap();
        let curves = trained.card["response_curves"].as_array().unwrap();
        assert_eq!(
            curves.iter().map(|curve| curve["input"].as_str().unwrap()).collect::<Vec<_>>(),
            ["a", "b"]
        );
        let (x, y) = (&curves[0]["x"], &curves[0]["y"]["y"]);
        let at = |i: usize| (x[i].as_f64().unwrap(), y[i].as_f64().unwrap());
        // y = sin(3 a) + what does not depend on a.
        let ((x0, y0), (x1, y1)) = (at(5), at(15));
        let expected = (3.0 * x1).sin() - (3.0 * x0).sin();
        assert!((y1 - y0 - expected).abs() < 0.25, "{y0} to {y1}, where {expected} more was expected");
    }

    #[test]
    fn sensitivities_are_the_slopes_of_the_answers() {
        let table = waves();
        for (target, preset) in [("y", "fast"), ("y", "balanced"), ("label", "balanced")] {
            let mut request = small(target);
            request["preset"] = json!(preset);
            request["epochs"] = json!(20);
            let model = run_on(&table, request, &COMPUTE).unwrap().model;
            let options = PredictOptions { explain: true, ..PredictOptions::default() };
            let names: Vec<&str> = model.inputs().iter().map(|input| input.name.as_str()).collect();
            let a = names.iter().position(|name| *name == "a").unwrap();
            let ask = |value: f64| {
                let cells = names.iter().map(|name| match *name {
                    "a" => Cell::Number(value),
                    "b" => Cell::Missing,
                    "y" => Cell::Number(0.7),
                    "c" => Cell::Text("on".into()),
                    _ => Cell::Text("mid".into()),
                });
                let answer = model.predict(&cells.collect::<Vec<_>>(), 1, &options).unwrap();
                let value = match &answer.targets[0] {
                    TargetPrediction::Number { values, .. } => values[0],
                    TargetPrediction::Class { probabilities, labels, .. } => probabilities[labels[0]],
                };
                (value, answer.sensitivities.unwrap())
            };
            let h = 1e-3;
            let by_difference = (ask(-0.2 + h).0 - ask(-0.2 - h).0) / (2.0 * h);
            let sensitivities = ask(-0.2).1;
            let own = sensitivities[a];
            assert!(
                (own - by_difference).abs() < 2e-3 + 0.02 * by_difference.abs(),
                "{target}, {preset}: {own} is not {by_difference}"
            );
            let n_none = sensitivities.iter().filter(|value| value.is_nan()).count();
            assert_eq!(n_none, names.iter().filter(|name| !["a", "y"].contains(name)).count());
        }
    }

    #[test]
    fn no_damage_to_a_model_file_makes_the_loader_panic() {
        let trained =
            run_on(&waves(), json!({"target": "y", "hidden_layers": [4], "epochs": 1}), &COMPUTE).unwrap();
        let whole = trained.bytes;
        for cut in [0, 1, 7, 8, 9, 100, whole.len() / 2, whole.len() - 1] {
            assert!(Model::from_bytes(&whole[..cut], Backend::Flex).is_err(), "cut at {cut}");
        }
        // Every byte of the length, then some of header and weights, set to what hurts most.
        for at in (0..200).chain((200..whole.len()).step_by(37)) {
            for byte in [0x00, 0xff, b'9', b'"'] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                let read = Model::from_foreign_bytes(&damaged, Backend::Flex);
                assert!(read.is_err() || damaged == whole, "byte {at} set to {byte}");
            }
        }
    }
}
