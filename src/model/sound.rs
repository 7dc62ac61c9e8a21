//! Whether a manifest can be computed with: a model file may come from anywhere.

use super::embedding::steps;
use super::interval::{Calibration, Scores, UsualError};
use super::manifest::{Manifest, Target, Task};

/// Whether the parts of a manifest fit each other; the weights are checked against it afterwards.
pub(super) fn check(manifest: &Manifest) -> Result<(), &'static str> {
    let n_outputs = match (manifest.task, manifest.targets.as_slice(), &manifest.calibration) {
        (Task::Regression, targets, Calibration::AbsoluteResiduals { residuals, usual }) => {
            // A range that is turned around could not hold an answer back.
            let all_numbers =
                targets.iter().all(|target| matches!(target, Target::Number { min, max, .. } if min <= max));
            let sound =
                usual.iter().flatten().all(UsualError::is_sound) && residuals.iter().all(Scores::is_sound);
            if !all_numbers || residuals.len() != targets.len() || !sound {
                return Err("the targets do not fit the task");
            }
            targets.len()
        }
        (
            Task::Classification,
            [Target::Class { classes, .. }],
            Calibration::ClassScores { scale, scores },
        ) => {
            if !scale.is_sound() || !scores.is_sound() {
                return Err("the probabilities cannot be calibrated");
            }
            classes.len()
        }
        _ => return Err("the targets do not fit the task"),
    };
    if n_outputs == 0 || n_outputs != manifest.shape.outputs {
        return Err("the outputs do not fit the targets");
    }
    let n_numbers = if manifest.task == Task::Regression { n_outputs } else { 0 };
    if manifest.shape.inputs == 0 || manifest.shape.hidden.contains(&0) {
        return Err("a layer of the network is empty");
    }
    if !(0.0 < manifest.confidence && manifest.confidence < 1.0) {
        return Err("the confidence is not between 0 and 1");
    }
    let mut names = std::collections::HashSet::new();
    if !manifest.inputs.iter().all(|input| names.insert(&input.name)) {
        return Err("two inputs have one name");
    }
    if manifest.shape.embedded.iter().any(|feature| *feature >= manifest.shape.inputs) {
        return Err("a feature that does not exist is embedded");
    }
    let own_steps = manifest.members.iter().filter_map(|member| member.stepped.as_ref());
    let mut steps = own_steps.chain([&manifest.shape.stepped]).flatten();
    if steps.any(|of| of.feature >= manifest.shape.inputs || !(1..=steps::MAX).contains(&of.count)) {
        return Err("the steps do not fit the features");
    }
    let mut free = 0;
    for of in &manifest.shape.categories {
        let end = of.first.checked_add(of.count).filter(|end| *end <= manifest.shape.inputs);
        match end {
            Some(end) if of.first >= free && of.count > 0 => free = end,
            _ => return Err("an embedded category does not fit the features"),
        }
    }
    for member in &manifest.members {
        if !member.encoder.matches(&manifest.inputs) || member.encoder.width() != manifest.shape.inputs {
            return Err("an encoder does not fit the inputs");
        }
        if !(member.weight.is_finite() && member.weight > 0.0) {
            return Err("the weight of a network is not a positive number");
        }
        let n_scales = [0, n_numbers];
        if member.target_scales.len() != n_numbers || !n_scales.contains(&member.logarithmic.len()) {
            return Err("the scales do not fit the targets");
        }
        let has_logarithm = |(k, target): (usize, &Target)| {
            !member.is_logarithmic(k) || matches!(target, Target::Number { min, .. } if *min > 0.0)
        };
        let is_alike = member.logarithmic == manifest.members[0].logarithmic;
        if !is_alike || !manifest.targets.iter().enumerate().all(has_logarithm) {
            return Err("a logarithm does not fit its target");
        }
    }
    if !manifest.domain.matches(&manifest.inputs, manifest.shape.inputs) {
        return Err("the domain does not fit the inputs");
    }
    if manifest.members.is_empty() || manifest.inputs.is_empty() {
        return Err("there is no network or no input");
    }
    Ok(())
}
