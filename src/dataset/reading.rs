//! From a file to a table: what it is, where the table lies, and how it is told of both.

use super::{
    archive::{self, malformed},
    assembling::{Body, assemble},
    delimited,
    description::{Description, Warning},
    encoding,
    error::{Problem, ReadError},
    format::{self, Format},
    ole2,
    options::{ReadLimits, ReadOptions},
    progress::Phase,
    quotes,
    schema::Forced,
    sheet_cells::Kind,
    source::Source,
    table::{Table, Values},
    workbook::Workbook,
};

/// A file that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The typed rows.
    pub table: Table,
    /// How they were read and what they hold.
    pub description: Description,
}

/// Reads a text table or a workbook. `filename` is used in messages only: what the file is, its
/// bytes say.
pub fn read<'a>(
    source: impl Into<Source<'a>>,
    filename: &str,
    options: &ReadOptions,
    limits: &ReadLimits,
) -> Result<Reading, ReadError> {
    let source = source.into();
    source.begin(Phase::Checking);
    check_options(options)?;
    match format::detect(source)? {
        Format::Delimited if named_as_workbook(filename) => read_delimited(source, filename, options, limits)
            .map_err(|error| match error {
                ReadError::MalformedCsv(_) | ReadError::EmptyFile(_) | ReadError::UnsupportedEncoding(_) => {
                    malformed(&format!("it is no workbook, and as text: {}", error.detail()))
                }
                other => other,
            }),
        Format::Delimited => read_delimited(source, filename, options, limits),
        Format::Zip => {
            let kind = archive::check(source, named_as_workbook(filename), limits)?;
            read_workbook(source, kind, options, limits)
        }
        Format::Ole2 => {
            ole2::check(source)?;
            read_workbook(source, Kind::Xls, options, limits)
        }
    }
}

fn check_options(options: &ReadOptions) -> Result<(), ReadError> {
    if let Some(decimal) = options.decimal.filter(|decimal| !matches!(decimal, '.' | ',')) {
        return Err(ReadError::InvalidParameter(Problem::new(format!(
            "decimal: '{decimal}' is neither . nor ,"
        ))));
    }
    for (column, kind) in &options.types {
        if Forced::from_name(kind).is_none() {
            return Err(ReadError::InvalidParameter(Problem::new(format!(
                "types: column '{column}' cannot be '{kind}'; use number, fraction, category, date, boolean, text or ignore"
            ))));
        }
    }
    Ok(())
}

fn read_delimited(
    source: Source<'_>,
    filename: &str,
    options: &ReadOptions,
    limits: &ReadLimits,
) -> Result<Reading, ReadError> {
    let survey = encoding::survey(source, options.encoding.as_deref())?;
    let (dialect, sample) = delimited::sample(source, &survey, options.delimiter, limits)?;
    quotes::check(source, &survey, &dialect)?;
    let mut body = Body::Delimited { source, survey: &survey, dialect: &dialect, limits };
    let mut reading = assemble(source, &mut body, &sample, options, limits, dialect.is_comma())?;
    let report = &mut reading.description.read;
    "csv".clone_into(&mut report.format);
    report.encoding = Some(survey.encoding.name().to_lowercase());
    report.delimiter = dialect.delimiter();
    report.reasons.insert("encoding".to_owned(), survey.reason.clone());
    report.reasons.insert("delimiter".to_owned(), dialect.reason.clone());
    if dialect.delimiter().is_none() && holds_sentences(&reading.table) {
        reading.description.warnings.push(Warning {
            code: "lines-not-cut".to_owned(),
            column: None,
            message: "no separator cuts the lines into columns, so each line is one text; if there is a table in the file, save it as a file of its own with ; , or tabs between its cells".to_owned(),
        });
    }
    if survey.is_guess {
        reading.description.warnings.push(Warning {
            code: "encoding-guessed".to_owned(),
            column: None,
            message: format!(
                "the file is not UTF-8; it was read as {} ({}). If letters look wrong, upload it again with encoding=",
                survey.encoding.name().to_lowercase(),
                survey.reason
            ),
        });
    }
    if named_as_workbook(filename) {
        reading.description.warnings.push(Warning {
            code: "content-not-as-named".to_owned(),
            column: None,
            message: "the file is named as a workbook but is text; it was read as text".to_owned(),
        });
    }
    Ok(reading)
}

fn read_workbook(
    source: Source<'_>,
    kind: Kind,
    options: &ReadOptions,
    limits: &ReadLimits,
) -> Result<Reading, ReadError> {
    let mut workbook = Workbook::open(source, kind)?;
    let sheet = workbook.choose_sheet(options.sheet.as_deref(), limits)?;
    let sheets = workbook.sheet_names().to_vec();
    let mut body = Body::Sheet { workbook: &mut workbook, sheet: &sheet, limits };
    let mut reading = assemble(source, &mut body, &sheet.sample, options, limits, false)
        .map_err(|error| error.in_sheet(&sheet.name))?;
    refuse_report(&reading, &sheet.name, &sheets, options)?;
    let report = &mut reading.description.read;
    kind.name().clone_into(&mut report.format);
    report.sheet = Some(sheet.name);
    report.sheets = sheets;
    report.reasons.insert("sheet".to_owned(), sheet.reason);
    Ok(reading)
}

/// Whether most of the different texts have three words or more: lines of prose or of a report.
fn holds_sentences(table: &Table) -> bool {
    let is_one = |text: &str| text.split_whitespace().nth(2).is_some();
    let texts: Vec<&str> = match table.columns.first().map(|column| &column.values) {
        Some(Values::Text(texts)) => texts.iter().flatten().map(String::as_str).collect(),
        Some(Values::Category { levels, .. }) => levels.iter().map(String::as_str).collect(),
        _ => return false,
    };
    texts.iter().filter(|text| is_one(text)).count() * 2 > texts.len()
}

/// A sheet laid out to be looked at has neither a header nor full columns: reading it as a table
/// would make columns that mean nothing.
fn refuse_report(
    reading: &Reading,
    sheet: &str,
    sheets: &[String],
    options: &ReadOptions,
) -> Result<(), ReadError> {
    let is_given = options.sheet.is_some() || options.header_row.is_some();
    let n_cells = reading.description.rows * reading.description.columns.len() as u64;
    let n_missing: u64 = reading.description.columns.iter().map(|column| column.missing).sum();
    let is_sparse = n_missing * 10 > n_cells * 3;
    // Years over unnamed columns name nothing.
    let is_word = |name: &str| !name.starts_with("column_") && name.parse::<f64>().is_err();
    let has_words = reading.description.columns.iter().any(|column| is_word(&column.name));
    if is_given || reading.description.read.header_row.is_some() && has_words || !is_sparse {
        return Ok(());
    }
    Err(ReadError::EmptyFile(Problem::new(format!(
        "no sheet of the workbook holds a table with a header: '{sheet}', the fullest, has no row of names and {n_missing} of {n_cells} cells are empty. Name the sheet (sheet=) and the line of its header (header_row=; 0 for none), or copy the table into a sheet of its own. The sheets are {}",
        sheets.join(", ")
    ))))
}

fn named_as_workbook(filename: &str) -> bool {
    let extension = filename.rsplit('.').next().unwrap_or_default();
    ["xlsx", "xlsm", "xls", "xlsb", "ods"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::{super::table::ColumnKind, *};

    fn check(text: &str) -> Result<Reading, ReadError> {
        read(text.as_bytes(), "a.csv", &ReadOptions::default(), &ReadLimits::default())
    }

    #[test]
    fn lines_that_nothing_cuts() {
        let warns = |text: &str| {
            let found = check(text).unwrap().description.warnings;
            found.iter().any(|warning| warning.code == "lines-not-cut")
        };
        assert!(warns("The run of May\nwas ended by hand\nand is not complete\n"));
        assert!(!warns("level\nlow\nvery high\nlow\n"), "a column of words");
        assert!(!warns("name;text\na;one two three\nb;four five six\n"), "a table");
    }

    #[test]
    fn settings_of_a_name_and_a_value_above_a_wider_table() {
        let settings: String = (0..30).map(|i| format!("Setting {i}:,{i}\n")).collect();
        let rows: String = (0..6).map(|i| format!("{i},{},3.{i}\n", 2 * i)).collect();
        let table = check(&format!("{settings}t,x,y\n{rows}")).unwrap().table;
        let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!((table.n_rows(), names), (6, vec!["t", "x", "y"]));
    }

    #[test]
    fn four_digits_are_a_time_where_the_name_says_so() {
        let kind = |name: &str| {
            let text = format!("{name},x\n2320,1\n0153,2\n1202,3\n0236,4\n");
            check(&text).unwrap().table.columns[0].kind
        };
        assert_eq!(kind("acq_time"), ColumnKind::Date);
        assert_ne!(kind("code"), ColumnKind::Date);
    }

    #[test]
    fn a_file_that_is_no_table() {
        let numbers: String = (10..40).map(|i| format!("{i}\n")).collect();
        let text = format!("x\ty\n1\t2\n3\t4\n5\t6\n7\t8\n{numbers}");
        let detail = check(&text).unwrap_err().detail().to_owned();
        assert!(detail.starts_with("only 4 of 34 lines have 2 cells"), "{detail}");
    }
}
