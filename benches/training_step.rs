//! Microseconds per training step (forward, backward, Adam), beside PyTorch and scikit-learn.
//!
//! `cargo bench --bench training_step`; the peers run where `TAQICFD_PEERS_PYTHON` names a Python
//! that has them (`pip install -r benches/peers/requirements.txt`). Each side runs in turn, several
//! times, and the medians are compared, since machines are noisy.

#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]

use std::process::Command;
use std::time::Instant;
use taqicfd::model::Backend;
use taqicfd::model::activation::Activation;
use taqicfd::model::network::Shape;
use taqicfd::training::fit::{State, step};
use taqicfd::training::initial::Initial;
use taqicfd::training::optimizer::Rule;
use taqicfd::training::part::{OwnedTruth, Part};
use taqicfd::training::random::{Purpose, normal, stream};
use taqicfd::training::recipe::{RateFactors, Recipe};
use taqicfd::training::schedule::Schedule;
use taqicfd::training::spec::Optimizer;
use taqicfd::training::team::Team;

const SHAPES: [(usize, &[usize], usize); 4] =
    [(8, &[64, 64], 32), (16, &[128, 128], 256), (32, &[256, 256, 256], 256), (32, &[512, 512], 1024)];
const ROUNDS: usize = 5;
const SECONDS: f64 = 1.0;

fn recipe(inputs: usize, hidden: &[usize], batch_size: usize) -> Recipe {
    Recipe {
        shape: Shape {
            inputs,
            embedded: Vec::new(),
            stepped: Vec::new(),
            categories: Vec::new(),
            hidden: hidden.to_vec(),
            outputs: 1,
            activation: Activation::Relu,
            parametric: false,
            scaling_layer: false,
            ntk: false,
        },
        rule: Rule { optimizer: Optimizer::Adam, beta2: 0.999 },
        initial: Initial::Uniform,
        schedule: Schedule::Constant,
        learning_rate: 0.001,
        rate_factors: RateFactors::EQUAL,
        weight_decay: 0.0,
        dropout: 0.0,
        regularization: Schedule::Constant,
        epochs: 1,
        batch_size,
        patience: None,
        seed: 1,
        fold: 0,
        time_limit_s: None,
        take_epoch: None,
    }
}

/// Median microseconds of a step on `backend` with `threads`.
fn ours(backend: Backend, threads: usize, inputs: usize, hidden: &[usize], batch: usize) -> f64 {
    let recipe = recipe(inputs, hidden, batch);
    let mut rng = stream(1, Purpose::Sample, 0, 0);
    let n = batch * 8;
    let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| normal(&mut rng)).collect() };
    let part = Part { features: draw(n * inputs), truth: OwnedTruth::Numbers(draw(n)) };
    let batches: Vec<Vec<usize>> = (0..8).map(|i| (i * batch..(i + 1) * batch).collect()).collect();
    let team = Team::new(threads).expect("threads");
    team.lead(|| {
        let mut state = State::initial(&recipe, &part, backend);
        let mut times = Vec::new();
        let started = Instant::now();
        while started.elapsed().as_secs_f64() < SECONDS {
            let begun = Instant::now();
            for rows in &batches {
                step(&recipe, &part, rows, &team, &mut state, 0.0);
                state.position.step += 1;
            }
            times.push(begun.elapsed().as_secs_f64() * 1e6 / batches.len() as f64);
        }
        median(&mut times)
    })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Microseconds by name, as the peers' script prints them for one shape.
fn peers(python: &str, index: usize) -> Vec<(String, f64)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/training_step.py");
    let (inputs, hidden, batch) = SHAPES[index];
    let hidden = hidden.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let output = Command::new(python)
        .args([script, &inputs.to_string(), &hidden, &batch.to_string(), &SECONDS.to_string()])
        .output()
        .expect("the peers' Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(name, value)| (name.to_owned(), value.parse().expect("a number"))).collect()
}

fn main() {
    #[expect(clippy::disallowed_methods, reason = "a bench has no settings of its own")]
    let python = std::env::var("TAQICFD_PEERS_PYTHON").ok();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if python.is_none() {
        eprintln!("SKIPPED the peers: set TAQICFD_PEERS_PYTHON to a Python that has torch and scikit-learn");
    }
    println!("microseconds per step, median of {ROUNDS} rounds; {threads} threads");
    for (index, (inputs, hidden, batch)) in SHAPES.into_iter().enumerate() {
        let mut all: Vec<(String, Vec<f64>)> = Vec::new();
        let mut add = |name: &str, value: f64| match all.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(value),
            None => all.push((name.to_owned(), vec![value])),
        };
        for _ in 0..ROUNDS {
            add("taqicfd", ours(Backend::Flex, threads, inputs, hidden, batch));
            add("taqicfd-1-thread", ours(Backend::Flex, 1, inputs, hidden, batch));
            add("taqicfd-ndarray", ours(Backend::Ndarray, threads, inputs, hidden, batch));
            for (name, value) in python.iter().flat_map(|python| peers(python, index)) {
                add(&name, value);
            }
        }
        let medians: Vec<(String, f64)> =
            all.into_iter().map(|(name, mut values)| (name, median(&mut values))).collect();
        let own = medians[0].1;
        println!("\n{inputs}-{hidden:?}-1, batch {batch}");
        for (name, value) in &medians {
            println!("  {name:<20} {value:>9.0}   {:>5.2} x taqicfd", value / own);
        }
    }
}
