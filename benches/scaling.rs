//! How training grows with the number of rows: `cargo bench --bench scaling -- [PRESET] [ROWS …]`.
//!
//! Made-up tables of ten inputs and a curved target with noise, trained by `taqicfd train` with
//! otherwise default settings. Shown: the time, how many processors were busy, the peak memory, and
//! that over what the encoded table takes (eleven columns of four bytes). The exponent is the slope
//! of log time over log rows between the first and the last table: 1 is linear.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::{
    fmt::Write as _,
    fs, io,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const ROWS: [usize; 5] = [1_000, 5_000, 20_000, 50_000, 200_000];
const INPUTS: usize = 10;
/// Ticks of the processor times that the kernel counts in, on every common system.
const TICKS_PER_S: f64 = 100.0;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("SKIPPED: run with `cargo bench --bench scaling`");
        return Ok(());
    }
    let preset = arguments.iter().find(|name| ["fast", "balanced", "best"].contains(&name.as_str()));
    let preset = preset.map_or("fast", String::as_str);
    let given: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if given.is_empty() { ROWS.to_vec() } else { given };
    println!(
        "| rows | fit, s | processors busy | peak memory, MiB | over 300 MiB, times the encoded table |\n|---:|---:|---:|---:|---:|"
    );
    let mut times = Vec::new();
    for n_rows in &sizes {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("table.csv");
        fs::write(&path, table(*n_rows))?;
        let Run { seconds, busy, peak_mib } = train(&path, preset)?;
        let encoded_mib = (n_rows * (INPUTS + 1) * 4) as f64 / f64::from(1 << 20);
        let beyond = (peak_mib - 300.0).max(0.0) / encoded_mib;
        println!("| {n_rows} | {seconds:.1} | {busy:.2} | {peak_mib:.0} | {beyond:.1} |");
        times.push(seconds);
    }
    if let ([first, .., last], [least, .., most]) = (times.as_slice(), sizes.as_slice()) {
        let exponent = (last / first).ln() / (*most as f64 / *least as f64).ln();
        println!("\npreset {preset}: time grows with rows to the power of {exponent:.2}");
    }
    Ok(())
}

/// What a training took.
struct Run {
    seconds: f64,
    busy: f64,
    peak_mib: f64,
}

fn train(path: &Path, preset: &str) -> io::Result<Run> {
    let output = path.with_extension("safetensors");
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_taqicfd"))
        .args(["train", "--target", "y", "--preset", preset, "--output"])
        .arg(output)
        .arg(path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let (mut peak_kib, mut ticks) = (0.0, 0.0);
    while child.try_wait()?.is_none() {
        let of = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", child.id())).unwrap_or_default();
        let status = of("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse::<f64>().ok());
        peak_kib = peak.map_or(peak_kib, |peak| f64::max(peak, peak_kib));
        // Behind the name in brackets, fields 14 and 15 are the times in the program and in the kernel.
        let stat = of("stat");
        let fields = stat.rsplit_once(')').map_or(Vec::new(), |(_, rest)| rest.split_whitespace().collect());
        let time = |i: usize| fields.get(i).and_then(|text| text.parse::<f64>().ok());
        ticks = time(11).zip(time(12)).map_or(ticks, |(program, kernel)| program + kernel);
        sleep(Duration::from_millis(50));
    }
    let seconds = begun.elapsed().as_secs_f64();
    assert!(child.wait()?.success(), "training failed");
    Ok(Run { seconds, busy: ticks / TICKS_PER_S / seconds, peak_mib: peak_kib / 1024.0 })
}

fn table(n_rows: usize) -> String {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24) * 2.0 - 1.0
    };
    let names: Vec<String> = (0..INPUTS).map(|i| format!("x{i}")).collect();
    let mut text = format!("{},y\n", names.join(","));
    for _ in 0..n_rows {
        let x: Vec<f64> = (0..INPUTS).map(|_| random()).collect();
        let y = (3.0 * x[0]).sin() + x[1] * x[2] + (x[3] - x[4]).powi(2) + 0.5 * x[5] + 0.1 * random();
        for value in x {
            let _ = write!(text, "{value:.5},");
        }
        let _ = writeln!(text, "{y:.5}");
    }
    text
}
