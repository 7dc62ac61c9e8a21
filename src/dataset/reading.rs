//! From a file to a table: what it is, where the table lies, what its columns are, and then one
//! pass over the rows (a second one only where a column was not what its first rows promised).

use super::{
    archive::{self, malformed},
    blocks,
    body_rows::{BodyRows, LeftOut},
    columns::Building,
    date,
    delimited::{self, Dialect},
    description::{Description, ReadReport, Warning},
    encoding::{self, Survey},
    error::{Issue, Problem, ReadError},
    filling::{self, Pending},
    finish,
    format::{self, Format},
    header::{self, Layout},
    missing::Missing,
    names,
    number_format::{self, Context, Decision, Evidence},
    ole2,
    options::{ReadLimits, ReadOptions},
    row::{OwnedCell, Row, SampleRow},
    schema::{self, Forced, Look, Plan},
    sheet_cells::Kind,
    source::Source,
    table::{NumberFormat, Table},
    text_rows,
    workbook::{ChosenSheet, Workbook},
};
use std::collections::BTreeMap;

/// Rows shown with a dataset.
const PREVIEW_ROWS: usize = 20;
/// A column may change its plan from numbers to another format to text; more is not needed.
const MAX_PASSES: usize = 5;

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
                "types: column '{column}' cannot be '{kind}'; use number, category, date, boolean, text or ignore"
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
    delimited::check_quotes(source, &survey, &dialect)?;
    let mut body = Body::Delimited { source, survey: &survey, dialect: &dialect, limits };
    let mut reading = assemble(&mut body, &sample, options, limits, dialect.is_comma())?;
    let report = &mut reading.description.read;
    "csv".clone_into(&mut report.format);
    report.encoding = Some(survey.encoding.name().to_lowercase());
    report.delimiter = dialect.delimiter();
    report.reasons.insert("encoding".to_owned(), survey.reason.clone());
    report.reasons.insert("delimiter".to_owned(), dialect.reason.clone());
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
    let mut reading = assemble(&mut body, &sheet.sample, options, limits, false)
        .map_err(|error| error.in_sheet(&sheet.name))?;
    refuse_report(&reading, &sheet.name, &sheets, options)?;
    let report = &mut reading.description.read;
    kind.name().clone_into(&mut report.format);
    report.sheet = Some(sheet.name);
    report.sheets = sheets;
    report.reasons.insert("sheet".to_owned(), sheet.reason);
    Ok(reading)
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
    if is_given || reading.description.read.header_row.is_some() || !is_sparse {
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

/// The rows of a file, which can be visited again.
enum Body<'a, 'file> {
    Delimited { source: Source<'file>, survey: &'a Survey, dialect: &'a Dialect, limits: &'a ReadLimits },
    Sheet { workbook: &'a mut Workbook<'file>, sheet: &'a ChosenSheet, limits: &'a ReadLimits },
}

impl Body<'_, '_> {
    /// Fills `pending` from all rows; `count` is told of each and may refuse it.
    fn fill(
        &mut self,
        pending: Pending,
        layout: &Layout,
        missing: &Missing,
        body_rows: &mut BodyRows,
        count: &mut dyn FnMut(u64) -> Result<(), ReadError>,
    ) -> Result<Pending, ReadError> {
        if let Self::Delimited { source, survey, dialect, limits } = self
            && let Some(delimiter) = dialect.plain_delimiter().filter(|_| !survey.has_quotes)
        {
            let table = blocks::Table { layout, dialect, delimiter, limits, missing };
            return blocks::fill(pending, table, &mut survey.text(*source)?, body_rows, count);
        }
        filling::fill(pending, layout.width, missing, |push| {
            let mut push = |row: Row<'_>| {
                count(1)?;
                push(row)
            };
            let mut each = |row: Row<'_>| body_rows.pass(row, &mut push);
            match self {
                Self::Delimited { source, survey, dialect, limits } => {
                    text_rows::visit(*source, survey, dialect, layout, limits, &mut each)
                }
                Self::Sheet { workbook, sheet, limits } => {
                    workbook.visit(sheet, layout.first_data_line, limits, &mut each)
                }
            }
        })
    }
}

/// What is known of a column before its cells are read.
struct Draft {
    forced: Option<Forced>,
    /// Sample cells, and later those that did not fit.
    cells: Vec<OwnedCell>,
    evidence: Evidence,
    look: Look,
}

fn assemble(
    body: &mut Body<'_, '_>,
    sample: &[SampleRow],
    options: &ReadOptions,
    limits: &ReadLimits,
    comma_separated: bool,
) -> Result<Reading, ReadError> {
    let missing = Missing::new(options.missing.as_ref());
    let is_workbook = matches!(body, Body::Sheet { .. });
    let layout = header::find(sample, options, &missing)?;
    let (names, mut warnings) = names::unique(&layout.names, layout.width);
    let mut sample_rows = Vec::new();
    let mut body_rows = BodyRows::new(sample, &layout, is_workbook, options.keep_footer);
    for row in sample.iter().filter(|row| row.line >= layout.first_data_line) {
        // A row without its cells is an error when it comes to it, not while a plan is made.
        let _ = body_rows.pass(row.as_row(), &mut |row| {
            let cells = (0..layout.width).map(|i| row.cell(i).to_owned_cell()).collect();
            sample_rows.push(SampleRow { line: row.line(), cells });
            Ok(())
        });
    }
    let mut drafts = draft(&sample_rows, &layout, &names, options, &missing, is_workbook)?;
    let context = Context { decimal: options.decimal, comma_separated, names: &names };
    let mut decision = decide(&drafts, context)?;
    let mut plans = plans(&drafts, &decision);
    let mut left_out = LeftOut::default();
    let mut finished: Vec<Option<Building>> = names.iter().map(|_| None).collect();
    for pass in 0..MAX_PASSES {
        let mut pending = Vec::new();
        for (i, plan) in plans.iter().enumerate().filter(|(i, _)| finished[*i].is_none()) {
            let is_lenient = drafts[i].forced.is_some();
            let affix = match drafts[i].look {
                Look::NumbersWith(affix) => Some(affix),
                _ => None,
            };
            let evidence = drafts[i].evidence.clone();
            pending.push((i, Building::new(plan.clone(), is_lenient, evidence, affix)));
        }
        if pending.is_empty() {
            break;
        }
        let n_columns = names.len() as u64;
        let mut n_rows = 0u64;
        let mut body_rows = BodyRows::new(sample, &layout, is_workbook, options.keep_footer);
        let mut count = |n: u64| {
            n_rows += n;
            if n_rows * n_columns > limits.max_cells { Err(too_many_cells(limits)) } else { Ok(()) }
        };
        let pending = body.fill(pending, &layout, &missing, &mut body_rows, &mut count)?;
        left_out = body_rows.finish();
        if n_rows == 0 {
            return Err(ReadError::EmptyFile(Problem::new(
                "the file has a header but no row of data under it",
            )));
        }
        let is_last = pass + 2 >= MAX_PASSES;
        let mut changed = Vec::new();
        for (i, building) in pending {
            if building.is_done() {
                finished[i] = Some(building);
            } else {
                let draft = &mut drafts[i];
                draft.cells.extend(building.misfits.iter().map(|(_, cell)| cell.clone()));
                draft.evidence = building.evidence;
                draft.look = if is_last {
                    Look::Texts
                } else {
                    schema::look(&names[i], &draft.cells, &missing, is_workbook)
                };
                changed.push((i, building.plan, building.misfits));
            }
        }
        // The new evidence may settle, or upset, how the numbers of the file are written.
        decision = decide(&drafts, context)?;
        for (i, old, misfits) in changed {
            plans[i] = plan(&drafts[i], decision.columns[i]);
            if plans[i] == old {
                drafts[i].look = Look::Texts;
                plans[i] = Plan::Text;
            }
            if plans[i] == Plan::Text && old != Plan::Text {
                warnings.extend(finish::no_longer(&names[i], &old, &misfits));
            }
        }
    }
    let forced: Vec<Option<Forced>> = drafts.iter().map(|draft| draft.forced).collect();
    let mut buildings: Vec<Building> = finished.into_iter().flatten().collect();
    if !missing.is_given() {
        finish::remove_lone_texts(&names, &mut buildings, &forced, &decision, &mut warnings);
    }
    let mut missing_tokens = finish::missing_tokens(&buildings);
    if !missing.is_given() {
        let (tokens, found) = finish::remove_sentinels(&names, &mut buildings);
        missing_tokens.extend(tokens);
        warnings.extend(found);
    }
    warnings.extend(left_out.warnings());
    let (table, columns) = finish::table(&names, &layout, buildings, &forced, &decision, &mut warnings)?;
    Ok(Reading {
        description: Description {
            rows: table.n_rows() as u64,
            read: report(&layout, &decision, missing_tokens),
            columns,
            preview: table.rows_json(0, PREVIEW_ROWS),
            warnings,
        },
        table,
    })
}

fn draft(
    sample: &[SampleRow],
    layout: &Layout,
    names: &[String],
    options: &ReadOptions,
    missing: &Missing,
    is_workbook: bool,
) -> Result<Vec<Draft>, ReadError> {
    let forced = forced(names, &options.types)?;
    let rows = || sample.iter().filter(|row| row.line >= layout.first_data_line);
    let drafts = names.iter().zip(forced).enumerate().map(|(i, (name, forced))| {
        let cells: Vec<OwnedCell> = rows().filter_map(|row| row.cells.get(i).cloned()).collect();
        let look = schema::look(name, &cells, missing, is_workbook);
        let evidence = schema::evidence(rows().map(|row| (row.line, row.as_row().cell(i))), &look);
        Draft { forced, cells, evidence, look }
    });
    Ok(drafts.collect())
}

fn forced(names: &[String], types: &BTreeMap<String, String>) -> Result<Vec<Option<Forced>>, ReadError> {
    if let Some(unknown) = types.keys().find(|name| !names.contains(name)) {
        let some: Vec<&str> = names.iter().take(10).map(String::as_str).collect();
        return Err(ReadError::UnknownColumn(
            Problem::new(format!(
                "types: there is no column '{unknown}'; the file has {}{}",
                some.join(", "),
                if names.len() > some.len() { ", ..." } else { "" }
            ))
            .with(Issue {
                column: Some(unknown.clone()),
                message: "no such column".to_owned(),
                ..Issue::default()
            }),
        ));
    }
    Ok(names.iter().map(|name| types.get(name).and_then(|kind| Forced::from_name(kind))).collect())
}

fn decide(drafts: &[Draft], context: Context<'_>) -> Result<Decision, ReadError> {
    let is_numeric = |draft: &&Draft| match draft.forced {
        Some(forced) => forced == Forced::Number,
        None => matches!(draft.look, Look::Numbers | Look::NumbersWith(_)),
    };
    let evidence: Vec<_> =
        drafts.iter().map(|draft| Some(draft).filter(is_numeric).map(|d| &d.evidence)).collect();
    number_format::decide(&evidence, context)
}

fn plans(drafts: &[Draft], decision: &Decision) -> Vec<Plan> {
    drafts.iter().zip(&decision.columns).map(|(draft, format)| plan(draft, *format)).collect()
}

fn plan(draft: &Draft, format: Option<NumberFormat>) -> Plan {
    match (draft.forced, &draft.look) {
        (Some(Forced::Ignore), _) => Plan::Ignore,
        (Some(Forced::Number), _) => {
            Plan::Number(Some(format.unwrap_or(NumberFormat { decimal: '.', thousands: None })))
        }
        (Some(Forced::Boolean), _) | (None, Look::Booleans) => Plan::Boolean,
        (Some(Forced::Category | Forced::Text), _) | (None, Look::Texts) => Plan::Text,
        (Some(Forced::Date) | None, Look::Dates(format)) => Plan::Date(format.clone()),
        (Some(Forced::Date) | None, Look::TypedDates) => Plan::TypedDate,
        (Some(Forced::Date), _) => Plan::Date(date::commonest(draft.cells.iter())),
        (None, Look::Numbers | Look::NumbersWith(_)) => Plan::Number(format),
    }
}

fn too_many_cells(limits: &ReadLimits) -> ReadError {
    ReadError::TooManyCells(Problem::new(format!(
        "rows times columns are more than the {} cells allowed; upload a part of the table",
        limits.max_cells
    )))
}

fn report(layout: &Layout, decision: &Decision, missing: Vec<String>) -> ReadReport {
    let mut reasons = BTreeMap::new();
    reasons.insert("header_row".to_owned(), layout.reason.clone());
    if let Some(reason) = &layout.units_reason {
        reasons.insert("units_row".to_owned(), reason.clone());
    }
    reasons.insert("decimal".to_owned(), decision.reason.clone());
    ReadReport {
        format: String::new(),
        encoding: None,
        delimiter: None,
        decimal: decision.file.decimal,
        thousands: decision.file.thousands,
        header_row: layout.header_line,
        units_row: layout.units_line,
        sheet: None,
        sheets: Vec::new(),
        missing,
        reasons,
    }
}
