//! Fuzzes what reads files: `cargo bench --bench fuzz -- text 600`, for so many seconds.
//!
//! ```text
//! text      the sniffer and the text reader, in this process
//! workbook  archives and their parts, each in a reading process with its limits
//! number    one cell as a number, against the standard's parser
//! model     model files, as an import reads them (`support/fuzz_model.rs`; needs no corpus)
//! ```
//!
//! Inputs are made from the corpus in `tests/corpus` by mutations that know what files are made of.
//! One that leads to a kind of outcome not seen before (another refusal, other kinds of columns,
//! other warnings) is kept and mutated further; this needs no instrumented build. A fault is written
//! to the corpus with its reason; `tests/it/reading/fuzzed.rs` replays the corpus. With `--keep` what
//! is new is written there too.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "support/fuzz_model.rs"]
mod fuzz_model;
#[path = "../tests/support/invariants.rs"]
mod invariants;

use std::{
    collections::HashSet,
    fs, io,
    io::{Cursor, Read, Write},
    panic,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use taqicfd::{
    dataset::ReadOptions,
    ingest::{IngestError, IngestRequest, IngestSettings, ingest},
};
use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

/// Longer inputs find nothing that shorter ones do not.
const MAX_BYTES: usize = 8192;
/// What text files are made of.
const WORDS: &[&str] = &[
    ";",
    ",",
    "\t",
    "|",
    "\n",
    "\r\n",
    "\r",
    "\"",
    "\"\"",
    "'",
    " ",
    "  ",
    ".",
    "-",
    "+",
    "0",
    "9",
    "1.234",
    "1.234,5",
    "1,234.5",
    "1 234,5",
    "1'234.5",
    "1e5",
    "1E+400",
    "-9999",
    "-200",
    "NA",
    "n/a",
    "***",
    "#N/D",
    "NULL",
    "NaN",
    "inf",
    "%",
    "R$ ",
    "5,5%",
    "2024-01-31",
    "31/01/2024",
    "1/2/3",
    "12:30",
    "12:30 PM",
    "0000 UTC",
    "10/03/2004 18.00.00",
    "true",
    "falso",
    "sep=;\n",
    "# ",
    "Total;",
    "Source: x\n",
    "\u{feff}",
    "\u{a0}",
    "\u{2212}",
    "é",
    "\u{1d7d8}",
    "\0",
    "\u{1b}",
    "x;y;z\n",
    "Data;Hora;Pressão\n",
    ";hPa;°C\n",
    "----\n",
    ";;;\n",
    "007",
    "a_1",
    "=1+1",
    "1;2;3\n4;5;6\n",
];
/// What the parts of a workbook are made of.
const XML: &[&str] = &[
    "<c r=\"A1\"><v>1</v></c>",
    "<c r=\"XFD1048576\"><v>1</v></c>",
    "<c t=\"s\"><v>99999</v></c>",
    "<row r=\"0\">",
    "<row r=\"4294967295\">",
    "</row>",
    "<c t=\"e\"><v>#N/A</v></c>",
    "<c t=\"b\"><v>2</v></c>",
    "<mergeCell ref=\"A1:XFD1048576\"/>",
    "<is><t>x</t></is>",
    "&amp;",
    "&lol;",
    "<!DOCTYPE x [<!ENTITY lol \"lol\">]>",
    "<!--",
    "]]>",
    "r=\"\"",
    "s=\"999\"",
    "<dimension ref=\"A1:ZZ99999999\"/>",
    "date1904=\"1\"",
    "\u{feff}",
    "\0",
    "<v>",
    "</v>",
    "<v>1e999</v>",
    "<v>-1</v>",
];

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("SKIPPED: run with `cargo bench --bench fuzz -- text 600`");
        return Ok(());
    }
    let seconds = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(60);
    let named = |target: &str| arguments.iter().any(|argument| argument == target);
    let keeps = named("--keep");
    let targets = ["text", "workbook", "number", "model"];
    for target in targets {
        if !named(target) && targets.into_iter().any(named) {
            continue;
        }
        let time = Duration::from_secs(seconds);
        if target == "model" {
            let mut random = Random::new();
            fuzz_model::run(time, &mut |n| random.below(n));
        } else {
            fuzz(target, time, keeps)?;
        }
    }
    Ok(())
}

fn fuzz(target: &str, time: Duration, keeps: bool) -> io::Result<()> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus")).join(target);
    fs::create_dir_all(&folder)?;
    let mut corpus: Vec<Vec<u8>> = Vec::new();
    for path in paths(&folder)? {
        corpus.push(fs::read(path)?);
    }
    if corpus.is_empty() {
        corpus.push(b"x;y\n1,5;2\n2,5;4\n".to_vec());
    }
    let reader = Child::new()?;
    let check = |bytes: &[u8]| -> Result<String, String> {
        match target {
            "text" => invariants::check_reading(bytes),
            "workbook" => reader.check(bytes),
            _ => invariants::check_number(&String::from_utf8_lossy(bytes)),
        }
    };
    // A panic is a finding, whose place is told; the line of the default hook would be all there is.
    panic::set_hook(Box::new(|_| {}));
    let mut random = Random::new();
    let mut kinds = HashSet::new();
    let (mut n_runs, mut n_faults) = (0u64, 0u64);
    let n_seeds = corpus.len();
    let begun = Instant::now();
    while begun.elapsed() < time && n_faults < 20 {
        let bytes = match corpus.get(n_runs as usize) {
            Some(seed) if (n_runs as usize) < n_seeds => seed.clone(),
            _ => mutate(&corpus, &mut random, target),
        };
        n_runs += 1;
        let outcome = panic::catch_unwind(|| check(&bytes)).unwrap_or_else(|_| Err("a panic".to_owned()));
        match outcome {
            Ok(kind) => {
                if kinds.insert(kind) && n_runs as usize > n_seeds {
                    if keeps {
                        fs::write(folder.join(format!("{:016x}", digest(&bytes))), &bytes)?;
                    }
                    corpus.push(bytes);
                }
            }
            Err(why) => {
                n_faults += 1;
                let path = folder.join(format!("fault-{:016x}", digest(&bytes)));
                println!("FAULT in {target}: {why}: {}", path.display());
                fs::write(path, &bytes)?;
            }
        }
    }
    let _ = panic::take_hook();
    println!(
        "{target}: {n_runs} executions in {:.0} s, {} kinds of outcome from {n_seeds} seeds, {n_faults} faults",
        begun.elapsed().as_secs_f64(),
        kinds.len()
    );
    Ok(())
}

fn paths(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    paths.sort();
    Ok(paths)
}

/// FNV-1a, for the name of a file.
fn digest(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Reads files in a process of its own, as the server does.
struct Child {
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    settings: IngestSettings,
}

impl Child {
    fn new() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut settings = IngestSettings::new(folder.path().join("scratch"))?;
        settings.executable = env!("CARGO_BIN_EXE_taqicfd").into();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { folder, runtime, settings })
    }

    fn check(&self, bytes: &[u8]) -> Result<String, String> {
        let file = self.folder.path().join("upload");
        fs::write(&file, bytes).map_err(|error| error.to_string())?;
        let options = ReadOptions::default();
        let request = IngestRequest { file: &file, filename: "fuzz.xlsx", options: &options };
        let begun = Instant::now();
        let outcome = self.runtime.block_on(ingest(request, &self.settings));
        if begun.elapsed() > Duration::from_secs(10) {
            return Err(format!("reading took {:?}", begun.elapsed()));
        }
        match outcome {
            Ok(ingested) => {
                let codes: Vec<&str> =
                    ingested.description.warnings.iter().map(|w| w.code.as_str()).collect();
                Ok(format!("{} columns, {codes:?}", ingested.description.columns.len().min(9)))
            }
            // What the refusal says in numbers is not its kind.
            Err(IngestError::Read(error)) => {
                Ok(format!("{} {}", error.slug(), error.detail().replace(|c: char| c.is_ascii_digit(), ""))
                    .chars()
                    .take(120)
                    .collect())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

fn mutate(corpus: &[Vec<u8>], random: &mut Random, target: &str) -> Vec<u8> {
    let seed = &corpus[random.below(corpus.len())];
    let other = &corpus[random.below(corpus.len())];
    if target == "workbook"
        && random.below(4) > 0
        && let Some(bytes) = mutate_part(seed, random)
    {
        return bytes;
    }
    let words = if target == "workbook" { XML } else { WORDS };
    let mut bytes = seed.clone();
    for _ in 0..=random.below(6) {
        mutate_once(&mut bytes, other, words, random);
    }
    bytes.truncate(MAX_BYTES.max(seed.len()));
    bytes
}

fn mutate_once(bytes: &mut Vec<u8>, other: &[u8], words: &[&str], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let end = (at + random.below(24)).min(bytes.len());
    match random.below(9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = random.below(256) as u8,
        2 => drop(bytes.drain(at..end)),
        3 => {
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece.repeat(1 + random.below(4)));
        }
        4 if !other.is_empty() => {
            let start = random.below(other.len());
            let piece = &other[start..(start + random.below(80)).min(other.len())];
            bytes.splice(at..end, piece.iter().copied());
        }
        5 => {
            // A line again, or a cell of it elsewhere.
            let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
            if let Some(line) = lines.get(random.below(lines.len().max(1))) {
                let copy = line.repeat(1 + random.below(30));
                bytes.extend(copy);
            }
        }
        6 => {
            let word = words[random.below(words.len())];
            bytes.splice(at..end, word.bytes());
        }
        _ => {
            let word = words[random.below(words.len())];
            bytes.splice(at..at, word.bytes());
        }
    }
}

/// Changes one part of a workbook and packs it again, so that the change is behind no checksum.
fn mutate_part(bytes: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).ok()?;
    let mut parts = Vec::new();
    for i in 0..archive.len() {
        let mut part = archive.by_index(i).ok()?;
        let mut content = Vec::new();
        part.by_ref().take(1 << 20).read_to_end(&mut content).ok()?;
        parts.push((part.name().ok()?.into_owned(), content));
    }
    let chosen = random.below(parts.len().max(1));
    let part = &mut parts.get_mut(chosen)?.1;
    let copy = part.clone();
    for _ in 0..=random.below(4) {
        mutate_once(part, &copy, XML, random);
    }
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        writer.start_file(name, SimpleFileOptions::default()).ok()?;
        writer.write_all(&content).ok()?;
    }
    Some(writer.finish().ok()?.into_inner())
}

/// Xorshift: the fuzzer's choices need no better.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        let seed = now ^ u64::from(std::process::id());
        println!("choices from {seed}");
        Self(seed)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 |= 1;
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n.max(1)
    }
}
