//! The shipped samples, and the real and hostile files that lie beside the repository where they
//! are present.

use super::{codes_of_warnings, numbers};
use std::path::{Path, PathBuf};
use taqicfd::dataset::{self, ColumnKind, ReadError, ReadLimits, ReadOptions, Reading};

fn read_file(path: &Path) -> Result<Reading, ReadError> {
    let name = path.file_name().expect("a file").to_string_lossy();
    dataset::read(path, &name, &ReadOptions::default(), &ReadLimits::default())
}

fn sample(name: &str) -> Reading {
    read_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/samples").join(name)).expect("a sample")
}

/// The folder beside the repository, or a loud line.
fn shared(part: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")).join(part);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is absent, so its files were not read", path.display());
    None
}

#[test]
fn the_samples() {
    let airfoil = sample("airfoil_noise.csv");
    assert_eq!((airfoil.table.n_rows(), airfoil.table.columns.len()), (1503, 6));
    assert!(airfoil.table.columns.iter().all(|column| column.kind == ColumnKind::Number));
    assert!(airfoil.description.warnings.is_empty(), "{:?}", airfoil.description.warnings);
    let penguins = sample("penguins.csv");
    assert_eq!((penguins.table.n_rows(), penguins.table.columns.len()), (344, 8));
    assert_eq!(penguins.description.read.missing, ["NA"]);
    let kinds: Vec<ColumnKind> = penguins.table.columns.iter().map(|column| column.kind).collect();
    let (category, number) = (ColumnKind::Category, ColumnKind::Number);
    assert_eq!(kinds, [category, category, number, number, number, number, category, number]);
    let polar = sample("perfil_ensaio.csv");
    let report = &polar.description.read;
    assert_eq!((report.encoding.as_deref(), report.delimiter), (Some("windows-1252"), Some(';')));
    assert_eq!((report.decimal, report.thousands), (',', Some('.')));
    assert_eq!((report.header_row, report.units_row), (Some(6), Some(7)));
    assert_eq!(report.missing, ["***"]);
    assert_eq!(polar.table.column("Pressão").unwrap().unit.as_deref(), Some("hPa"));
    assert_eq!(numbers(&polar.table, "Reynolds")[0], 302_871.0);
    assert_eq!(codes_of_warnings(&polar), ["identifier-column", "encoding-guessed"]);
}

/// Where the stored expectation is a plain parse and a person would read otherwise.
#[rustfmt::skip]
const OTHERWISE: &[(&str, &str, u64, &str)] = &[
    ("MX_gasto_latin1.csv", "rows", 114, "the last line names the source of the data"),
    ("NL_begroting_multirow_header.csv", "rows", 36, "one of the 37 is the last row of the header"),
    ("AU_domestic_airline_activity.xls", "cols", 19, "two columns hold nothing but blanks"),
];

fn is_unnamed(name: &str) -> bool {
    name.starts_with("Unnamed") || name.strip_prefix('_').is_some_and(|rest| rest.parse::<u32>().is_ok())
}

/// Whether the names are those expected, alone or behind the names of their groups.
fn are_named(names: &[String], right: &[&str]) -> bool {
    let is_right = |name: &str, right: &str| {
        let number = name.rsplit_once('_').map_or(name, |(name, _)| name);
        is_unnamed(right) || name == right || number == right || name.ends_with(&format!(" {right}"))
    };
    if names.len() == right.len() {
        return names.iter().zip(right).all(|(name, right)| is_right(name, right));
    }
    let mut rest = names.iter();
    right.iter().filter(|right| !is_unnamed(right)).all(|right| rest.any(|name| is_right(name, right)))
}

#[test]
fn real_files_are_read_as_a_person_would() {
    let Some(folder) = shared("data") else { return };
    let expected = std::fs::read_to_string(folder.join("messy_expected.json")).unwrap();
    let expected: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&expected).unwrap();
    let mut n_read = 0;
    for (name, right) in &expected {
        let reading =
            read_file(&folder.join("messy").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let number = |what: &str| {
            let otherwise = OTHERWISE.iter().find(|(file, of, ..)| file == name && *of == what);
            otherwise.map_or_else(|| right[what].as_u64().unwrap(), |(_, _, n, _)| *n)
        };
        let used = reading.table.columns.iter().filter(|column| column.kind != ColumnKind::Empty);
        let names: Vec<String> = used.map(|column| column.name.clone()).collect();
        assert_eq!(reading.description.rows, number("rows"), "rows of {name}");
        assert_eq!(names.len() as u64, number("cols"), "columns of {name}: {names:?}");
        let right_names: Vec<&str> =
            right["columns"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().trim()).collect();
        let report = &reading.description.read;
        let delimiter = report.delimiter.map(String::from);
        if right["delimiter"] == "\\s+" {
            // The expectation was made without the header that these files have.
            assert_eq!(delimiter.as_deref(), Some(" "), "{name}");
        } else {
            assert!(are_named(&names, &right_names), "{name}: {names:?} for {right_names:?}");
        }
        if right["format"] == "csv" && right["delimiter"] != "\\s+" {
            assert_eq!(delimiter.as_deref(), right["delimiter"].as_str(), "{name}");
            assert_eq!(Some(report.decimal.to_string().as_str()), right["decimal"].as_str(), "{name}");
            assert_eq!(report.header_row, right["header_line"].as_u64(), "{name}");
        } else if let Some(sheet) = right["sheet"].as_str() {
            assert_eq!(report.sheet.as_deref(), Some(sheet), "{name}");
            assert_eq!(report.header_row, right["header_row"].as_u64(), "{name}");
        }
        n_read += 1;
    }
    assert!(n_read >= 20, "only {n_read} files were compared");
    let report = read_file(&folder.join("messy/NSSE_2011_multiyear-benchmark.xls")).unwrap_err();
    assert_eq!(report.slug(), "empty-file", "sheets to be looked at hold no table");
    assert!(report.detail().contains("SRtable"), "{}", report.detail());
}

#[test]
fn solver_output() {
    let Some(folder) = shared("data/messy") else { return };
    let polar = read_file(&folder.join("XFOIL_polar_NACA0012.txt")).unwrap();
    let names: Vec<&str> = polar.table.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["alpha", "CL", "CD", "CDp", "CM", "Top_Xtr", "Bot_Xtr"]);
    assert_eq!(numbers(&polar.table, "CL")[..2], [1.2022, 1.0831]);
    let forces = read_file(&folder.join("OpenFOAM_forceCoeffs_coefficient.dat")).unwrap();
    assert_eq!(forces.table.columns[7].name, "Cd(f)");
    assert_eq!(numbers(&forces.table, "Cd")[0], 11.664_78);
}

#[test]
fn a_sentinel_of_a_gas_sensor() {
    let Some(folder) = shared("data/messy") else { return };
    let reading = read_file(&folder.join("AirQuality_semicolon_datetime.csv")).unwrap();
    assert_eq!(reading.description.read.missing, ["-200"]);
    let columns = &reading.description.columns;
    let missing = |name: &str| columns.iter().find(|column| column.name == name).map(|column| column.missing);
    assert_eq!((missing("NMHC(GT)"), missing("T")), (Some(8443), Some(366)));
    assert!(codes_of_warnings(&reading).contains(&"sentinel-missing"));
}

#[test]
fn a_weather_station_of_inmet() {
    let Some(folder) = shared("data/messy") else { return };
    let reading = read_file(&folder.join("INMET_NE_RN_A318_MOSSORO_2024.CSV")).unwrap();
    let first = &reading.table.rows_json(0, 1)[0];
    assert_eq!(first["Data"], "2024-01-01T00:00:00Z");
    assert_eq!(first["Hora UTC"], "1970-01-01T00:00:00Z");
    assert_eq!(reading.table.rows_json(23, 1)[0]["Hora UTC"], "1970-01-01T23:00:00Z");
    assert_eq!(first["PRESSAO ATMOSFERICA AO NIVEL DA ESTACAO, HORARIA (mB)"], 1009.4);
    let n_numbers = reading.table.columns.iter().filter(|column| column.kind == ColumnKind::Number).count();
    assert_eq!(n_numbers, 17);
    assert_eq!(reading.description.columns[1].date_format.as_deref(), Some("%H%M UTC"));
}

#[test]
fn clean_sets_have_no_surprises() {
    let Some(folder) = shared("data") else { return };
    for (name, rows, columns, n_numbers) in [
        ("regression/concrete.csv", 1030, 9, 9),
        ("regression/abalone.csv", 4177, 9, 8),
        ("regression/temp_bias.csv", 7752, 25, 24),
        ("regression/gas_turbine.csv", 36_733, 12, 12),
        ("classification/adult.csv", 48_842, 15, 6),
        ("classification/titanic.csv", 891, 15, 6),
        ("classification/dry_bean.xlsx", 13_611, 17, 16),
        ("large/hflights.csv", 227_496, 21, 15),
    ] {
        let reading = read_file(&folder.join(name)).unwrap();
        let found = reading.table.columns.iter().filter(|column| column.kind == ColumnKind::Number).count();
        assert_eq!(
            (reading.table.n_rows(), reading.table.columns.len(), found),
            (rows, columns, n_numbers),
            "{name}: {:?}",
            reading.description.warnings
        );
    }
}

#[test]
fn hostile_files_have_their_answers() {
    let Some(folder) = shared("hostile") else { return };
    #[rustfmt::skip]
    let cases = [
        ("generated/b01_inmet_latin1_metadata_decimalcomma.csv", "240 x 8"),
        ("generated/b02_excel_ptbr_utf8bom_semicolon_comma.csv", "60 x 3"),
        ("generated/b03_excel_sep_line.csv", "30 x 2"),
        ("generated/b05_currency_percent_ptbr.csv", "30 x 3"),
        ("generated/b06_excel_errors_ptbr.csv", "10 x 2"),
        ("generated/b07_mixed_decimal_in_one_column.csv", "ambiguous-number-format"),
        ("generated/b08_comma_sep_quoted_decimal_comma.csv", "5 x 2"),
        ("generated/b11_utf16le_bom_tab.csv", "3 x 2"),
        ("generated/c03_only_newlines.csv", "empty-file"),
        ("generated/c04_header_only.csv", "empty-file"),
        ("generated/c06_nul_bytes.csv", "malformed-csv"),
        ("generated/c08_unterminated_quote.csv", "malformed-csv"),
        ("generated/c09_ragged_rows.csv", "malformed-csv"),
        ("generated/c10_cr_only_newlines.csv", "20 x 2"),
        ("generated/c11_mixed_newlines.csv", "4 x 2"),
        ("generated/c13_cell_5MB_no_newline.csv", "cell-too-large"),
        ("generated/c14_duplicate_empty_headers.csv", "5 x 5"),
        ("generated/c20_units_row_under_header.csv", "40 x 3"),
        ("generated/t01_nan_inf_tokens.csv", "27 x 2"),
        ("generated/x02_row_claims_4294967295.xlsx", "malformed-workbook"),
        ("generated/x03_dimension_lies_A1_XFD1048576.xlsx", "10 x 2"),
        ("generated/x04_sst_uniqueCount_4294967295.xlsx", "malformed-workbook"),
        ("generated/x05_xxe_etc_passwd.xlsx", "malformed-workbook"),
        ("generated/x06_xxe_ssrf_loopback.xlsx", "malformed-workbook"),
        ("generated/x08_nan_inf_cells.xlsx", "3 x 2"),
        ("generated/x09_error_cells.xlsx", "7 x 2"),
        ("generated/x11_text_numbers_ptbr.xlsx", "20 x 2"),
        ("generated/x14_row_order_reversed.xlsx", "10 x 2"),
        ("generated/x19_is_really_html.xlsx", "unsupported-media-type"),
        ("generated/x20_is_really_csv.xlsx", "6 x 2"),
        ("generated/x21_is_really_elf.xlsx", "unsupported-media-type"),
        ("generated/x22_zero_bytes.xlsx", "empty-file"),
        ("generated/x24_shared_string_amplification_1MBx2000.xlsx", "cell-too-large"),
        ("real/calamine__pass_protected.xlsx", "password-protected"),
        ("real/calamine__empty_sheet.xlsx", "empty-file"),
        ("real/poi__protected_passtika.xlsx", "password-protected"),
        ("real/poi__duplicate-filename-case-insensitive.xlsx", "malformed-workbook"),
        ("real/poi__poc-xmlbomb.xlsx", "malformed-workbook"),
        ("real/poi__54764.xlsx", "malformed-workbook"),
        ("real/phpss__oleloop.xls", "malformed-workbook"),
        ("real/poi__fuzz-POIHSSFFuzzer-5816431116615680.xls", "malformed-workbook"),
        ("real/poi__fuzz-POIHSSFFuzzer-4819588401201152.xls", "malformed-workbook"),
        ("real/poi__fuzz-POIHSSFFuzzer-6137883240824832.xls", "malformed-workbook"),
        ("real/poi__xor-encryption-abc.xls", "password-protected"),
        ("real/messytables__encrypted_no_password.xls", "password-protected"),
        ("real/poi__empty.xls", "empty-file"),
        ("real/poi__Simple.xlsb", "malformed-workbook"),
        ("real/calamine__issue_594_dos.ods", "too-many-cells"),
        ("real/calamine__too_small.xls", "malformed-workbook"),
        ("real/duckdb__invalid_utf_big.csv", "3033 x 3"),
        ("real/messytables__simple.zip", "unsupported-media-type"),
        // Under its 13 rows, the total among them no more, stand a source and a note.
        ("real/messytables__excel_pasting.csv", "13 x 9"),
        ("real/messytables__mixedGLB.csv", "133 x 19"),
        ("real/messytables__null.csv", "10 x 4"),
        ("real/messytables__utf-16le_encoded.csv", "327 x 19"),
        ("real/phpss__premiere.utf16le.csv", "2 x 3"),
        ("real/phpss__premiere.win1252.csv", "1 x 3"),
        ("real/phpss__sep.csv", "1 x 2"),
        ("real/phpss__linend.mac.csv", "1 x 2"),
        ("real/duckdb__nullbyte.csv", "malformed-csv"),
        ("real/duckdb__mixed_decimal.csv", "ambiguous-number-format"),
        ("real/duckdb__mixed_format_fail.csv", "ambiguous-number-format"),
        ("real/duckdb__14512.csv", "malformed-csv"),
        ("real/duckdb__segfault.csv", "malformed-csv"),
        ("real/duckdb__bad_csv_file_2047.csv", "malformed-csv"),
        ("real/duckdb__multiple_line_too_long.csv.gz", "unsupported-media-type"),
        ("real/duckdb__test.csv.zst", "unsupported-media-type"),
        ("real/duckdb__duplicate_header_collision.csv", "2 x 4"),
        ("real/duckdb__empty_header.csv", "2 x 3"),
        ("real/csvspectrum__comma_in_quotes.csv", "1 x 5"),
        ("real/csvspectrum__newlines_crlf.csv", "3 x 3"),
    ];
    let mut wrong = Vec::new();
    for (name, right) in cases {
        let found = match read_file(&folder.join(name)) {
            Ok(reading) => format!("{} x {}", reading.table.n_rows(), reading.table.columns.len()),
            Err(error) => error.slug().to_owned(),
        };
        if found != right {
            wrong.push(format!("{name}: {found} instead of {right}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // And the rest of them: any answer but a crash.
    for part in ["generated", "real"] {
        for entry in std::fs::read_dir(folder.join(part)).unwrap() {
            if let Err(error) = read_file(&entry.unwrap().path()) {
                assert_ne!(error.slug(), "internal");
                assert!(!error.detail().is_empty());
            }
        }
    }
}
