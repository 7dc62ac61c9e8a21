//! How right and how fast files are read: `cargo bench --bench reading`.
//!
//! ```text
//! 1  ../shared/data/messy   against messy_expected.json, with no override: shape, names, numbers, gaps
//! 2  speed                  generated files, beside pandas where TAQICFD_PEERS_PYTHON names a Python
//!                            (`-- speed`: this part only; `-- speed csv csv-comma xlsx`: these files)
//! ```
//!
//! Where the expectation is a plain parse and the reader knows better, the row says why.

#![expect(clippy::print_stdout, reason = "a benchmark reports on stdout")]

use serde_json::{Map, Value};
use std::{
    env,
    fmt::Write as _,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};
use taqicfd::dataset::{self, ColumnKind, ReadError, ReadLimits, ReadOptions, Reading, Values};
use zip::{ZipWriter, write::SimpleFileOptions};

/// What a person reads otherwise than the plain parse of the expectation.
const OTHERWISE: &[(&str, &str)] = &[
    ("AU_domestic", "two columns of blanks left out; empty texts among numbers are missing, not text"),
    ("AirQuality", "-200 found as the mark of a missing value"),
    ("DE_BMBF", "codes with leading zeros are no numbers"),
    ("florida_data", "108 of its columns hold numbers, cell by cell"),
    ("INMET_legacy", "hours 0000 and 1200 are times, no numbers"),
    ("MX_gasto", "the last line names the source: left out, so its column is one of numbers"),
    ("NL_begroting", "the 37th row is the header's last; thousands read"),
    ("XFOIL", "the header is read"),
    ("OpenFOAM", "the header is read"),
];
const CSV_BYTES: u64 = 100_000_000;
const XLSX_ROWS: u32 = 100_000;
const XLSX_COLUMNS: u32 = 20;

fn main() -> io::Result<()> {
    // `cargo test --benches` builds and runs this without `--bench`; it takes minutes.
    if !env::args().any(|argument| argument == "--bench") {
        println!("SKIPPED: run with `cargo bench --bench reading`");
        return Ok(());
    }
    let shared = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared"));
    if env::args().any(|argument| argument == "speed") {
        return speed();
    }
    if shared.exists() {
        messy(&shared.join("data"))?;
    } else {
        println!("SKIPPED: {} is absent, so no real file was read", shared.display());
    }
    speed()
}

fn read(path: &Path) -> Result<Reading, ReadError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    dataset::read(path, &name, &ReadOptions::default(), &ReadLimits::default())
}

fn messy(folder: &Path) -> io::Result<()> {
    let expected: Map<String, Value> =
        serde_json::from_str(&fs::read_to_string(folder.join("messy_expected.json"))?)?;
    println!("| messy file | rows | columns | names | numeric | missing | |\n|---|---|---|---|---|---|---|");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder.join("messy"))?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.sort();
    let (mut n_exact, mut n_explained) = (0, 0);
    for path in &files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let why = OTHERWISE.iter().find(|(start, _)| name.starts_with(start)).map(|(_, why)| *why);
        let (cells, is_exact) = match (read(path), expected.get(&name)) {
            (Ok(reading), Some(right)) => compare(&reading, right),
            (Err(error), None) => (format!("refused: {} | | | | ", error.slug()), true),
            (Err(error), Some(_)) => (format!("REFUSED: {} | | | | ", error.slug()), false),
            (Ok(_), None) => ("READ, though it holds no table | | | | ".to_owned(), false),
        };
        n_exact += usize::from(is_exact);
        n_explained += usize::from(!is_exact && why.is_some());
        let note = if is_exact { "exact" } else { why.unwrap_or("DIFFERS") };
        println!("| {name} | {cells} | {note} |");
    }
    println!(
        "\n{n_exact} of {} exact, {n_explained} more read otherwise for the reason given\n",
        files.len()
    );
    Ok(())
}

/// The cells of the table, `found` or `found/expected`, and whether all agree.
fn compare(reading: &Reading, right: &Value) -> (String, bool) {
    let used: Vec<usize> = (0..reading.table.columns.len())
        .filter(|i| reading.table.columns[*i].kind != ColumnKind::Empty)
        .collect();
    let is_number = |i: &&usize| matches!(reading.table.columns[**i].values, Values::Number(_));
    let n_missing: u64 = used.iter().map(|i| reading.description.columns[*i].missing).sum();
    let n_cells = reading.description.rows * used.len() as u64;
    let names: Vec<&str> = used.iter().map(|i| reading.table.columns[*i].name.as_str()).collect();
    let right_names: Vec<&str> =
        right["columns"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    // Names may be skipped where a column was left out.
    let mut rest = names.iter();
    let n_named = right_names.iter().filter(|right| {
        let mut ahead = rest.clone();
        let is_found = ahead.any(|name| is_named(name, right));
        if is_found {
            rest = ahead;
        }
        is_found
    });
    let n_named = n_named.count();
    let pairs = [
        (reading.description.rows.to_string(), right["rows"].to_string()),
        (used.len().to_string(), right["cols"].to_string()),
        (n_named.to_string(), right_names.len().to_string()),
        (used.iter().filter(is_number).count().to_string(), right["numeric_cols"].to_string()),
        missing_shares(n_missing as f64 / n_cells.max(1) as f64, right["missing"].as_f64().unwrap_or(0.0)),
    ];
    let is_exact = pairs.iter().all(|(found, right)| found == right);
    let cell = |(found, right): &(String, String)| {
        if found == right { found.clone() } else { format!("{found}/{right}") }
    };
    (pairs.iter().map(cell).collect::<Vec<_>>().join(" | "), is_exact)
}

/// The expectation has four digits after the point.
fn missing_shares(found: f64, right: f64) -> (String, String) {
    if (found - right).abs() < 1e-4 {
        return (format!("{right:.4}"), format!("{right:.4}"));
    }
    (format!("{found:.4}"), format!("{right:.4}"))
}

/// Whether a name is the one expected; a column without a name may be called anything.
fn is_named(name: &str, right: &str) -> bool {
    let right = right.trim();
    let is_unnamed = right.starts_with("Unnamed")
        || right.strip_prefix('_').is_some_and(|rest| rest.parse::<u32>().is_ok());
    is_unnamed
        || name == right
        || name.ends_with(&format!(" {right}"))
        || name.rsplit_once('_').is_some_and(|(start, n)| start == right && n.parse::<u32>().is_ok())
}

fn speed() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let cases = [
        ("csv", "numeric CSV, 100 MB", folder.path().join("numeric.csv")),
        ("csv-comma", "decimal-comma CSV, 100 MB", folder.path().join("comma.csv")),
        ("xlsx", "XLSX, 100,000 x 20", folder.path().join("sheet.xlsx")),
    ];
    let named: Vec<String> = env::args().filter(|name| cases.iter().any(|case| case.0 == name)).collect();
    #[expect(clippy::disallowed_methods, reason = "a bench has no settings of its own")]
    let python = env::var_os("TAQICFD_PEERS_PYTHON");
    if python.is_none() {
        println!("SKIPPED: pandas was not timed; set TAQICFD_PEERS_PYTHON to a Python that has it");
    }
    println!("| file | read, s | read and stored, s | pandas, s | pandas / stored |\n|---|---|---|---|---|");
    let is_wanted = |kind: &str| named.is_empty() || named.iter().any(|name| name == kind);
    for (kind, what, path) in cases.iter().filter(|case| is_wanted(case.0)) {
        match *kind {
            "csv" => write_csv(path, ',', '.')?,
            "csv-comma" => write_csv(path, ';', ',')?,
            _ => write_xlsx(path)?,
        }
        let n_runs = if *kind == "xlsx" { 1 } else { 3 };
        let (mut best_read, mut best_stored) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..n_runs {
            let start = Instant::now();
            let reading = read(path).map_err(io::Error::other)?;
            best_read = best_read.min(start.elapsed().as_secs_f64());
            let table = folder.path().join("table.parquet");
            dataset::parquet::write(&reading.table, &table).map_err(io::Error::other)?;
            File::open(&table)?.sync_all()?;
            best_stored = best_stored.min(start.elapsed().as_secs_f64());
        }
        let peer = python.as_ref().map(|python| pandas(python.as_ref(), kind, path)).transpose()?;
        let (shown, ratio) = peer.map_or(("-".to_owned(), "-".to_owned()), |seconds| {
            (format!("{seconds:.2}"), format!("{:.2}", seconds / best_stored))
        });
        println!("| {what} | {best_read:.2} | {best_stored:.2} | {shown} | {ratio} |");
    }
    Ok(())
}

fn pandas(python: &Path, kind: &str, path: &Path) -> io::Result<f64> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/reading.py");
    let output = Command::new(python).arg(script).arg(kind).arg(path).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let seconds = said.split_whitespace().next().and_then(|word| word.parse().ok());
    seconds.ok_or_else(|| io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Numbers that look measured and are the same in every run.
fn number(i: u64) -> f64 {
    let mixed = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    mixed as f64 / 1000.0 - 4000.0
}

fn write_csv(path: &Path, delimiter: char, decimal: char) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let names: Vec<String> = (0..12).map(|column| format!("x{column}")).collect();
    writeln!(file, "{}", names.join(&delimiter.to_string()))?;
    let (mut n_bytes, mut i) = (0, 0);
    let mut line = String::new();
    while n_bytes < CSV_BYTES {
        line.clear();
        for column in 0..12 {
            i += 1;
            let separator = if column == 0 { "" } else { &delimiter.to_string() };
            write!(line, "{separator}{:.3}", number(i)).map_err(io::Error::other)?;
        }
        if decimal != '.' {
            line = line.replace('.', &decimal.to_string());
        }
        line.push('\n');
        file.write_all(line.as_bytes())?;
        n_bytes += line.len() as u64;
    }
    file.flush()
}

fn write_xlsx(path: &Path) -> io::Result<()> {
    let mut file = ZipWriter::new(BufWriter::new(File::create(path)?));
    let package = "http://schemas.openxmlformats.org/package/2006";
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let content = "application/vnd.openxmlformats-officedocument.spreadsheetml";
    let parts = [
        (
            "[Content_Types].xml",
            format!(
                r#"<?xml version="1.0"?><Types xmlns="{package}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="{content}.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="{content}.worksheet+xml"/></Types>"#
            ),
        ),
        (
            "_rels/.rels",
            format!(
                r#"<?xml version="1.0"?><Relationships xmlns="{package}/relationships"><Relationship Id="rId1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
            ),
        ),
        (
            "xl/workbook.xml",
            format!(
                r#"<?xml version="1.0"?><workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>"#
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            format!(
                r#"<?xml version="1.0"?><Relationships xmlns="{package}/relationships"><Relationship Id="rId1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#
            ),
        ),
    ];
    for (name, xml) in parts {
        file.start_file(name, SimpleFileOptions::default())?;
        file.write_all(xml.as_bytes())?;
    }
    file.start_file("xl/worksheets/sheet1.xml", SimpleFileOptions::default())?;
    write!(file, r#"<?xml version="1.0"?><worksheet xmlns="{main}"><sheetData>"#)?;
    let mut line = String::new();
    for row in 0..=XLSX_ROWS {
        line.clear();
        write!(line, r#"<row r="{}">"#, row + 1).map_err(io::Error::other)?;
        for column in 0..XLSX_COLUMNS {
            let at = format!("{}{}", char::from(b'A' + column as u8), row + 1);
            if row == 0 {
                write!(line, r#"<c r="{at}" t="inlineStr"><is><t>x{column}</t></is></c>"#)
            } else {
                let i = u64::from(row * XLSX_COLUMNS + column);
                write!(line, r#"<c r="{at}"><v>{:.3}</v></c>"#, number(i))
            }
            .map_err(io::Error::other)?;
        }
        line.push_str("</row>");
        file.write_all(line.as_bytes())?;
    }
    file.write_all(b"</sheetData></worksheet>")?;
    file.finish()?.flush()
}
