//! From the sample to a plan for each column, and from the rows to columns by it. A column that was
//! not what its first rows promised is planned anew and read again.

use super::{
    beside::Beside,
    blocks,
    body_rows::{BodyRows, LeftOut},
    columns::Building,
    date,
    delimited::Dialect,
    description::{Description, ReadReport, Warning},
    encoding::Survey,
    error::{Issue, Problem, ReadError},
    filling::{self, Pending},
    finish,
    header::{self, Layout},
    missing::Missing,
    names, notices,
    number_format::{self, Context, Decision, Evidence},
    options::{ReadLimits, ReadOptions},
    progress::Phase,
    reading::Reading,
    row::{OwnedCell, Row, SampleRow},
    schema::{self, Forced, Look, Plan},
    source::Source,
    table::NumberFormat,
    text_rows,
    workbook::{ChosenSheet, Workbook},
};
use std::collections::BTreeMap;

/// Rows shown with a dataset.
const PREVIEW_ROWS: usize = 20;

/// A column may change its plan from numbers to another format to text; more is not needed.
const MAX_PASSES: usize = 5;

/// The rows of a file, which can be visited again.
pub(super) enum Body<'a, 'file> {
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
            && let Some(delimiter) = dialect
                .plain_delimiter()
                .filter(|_| !survey.has_quotes && layout.further.is_empty() && layout.beside.is_none())
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
                Self::Sheet { workbook, sheet, limits } => workbook.visit(sheet, layout, limits, &mut each),
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

pub(super) fn assemble(
    source: Source<'_>,
    body: &mut Body<'_, '_>,
    sample: &[SampleRow],
    options: &ReadOptions,
    limits: &ReadLimits,
    comma_separated: bool,
) -> Result<Reading, ReadError> {
    let missing = Missing::new(options.missing.as_ref());
    let is_workbook = matches!(body, Body::Sheet { .. });
    let mut layout = header::find(sample, is_workbook, options, &missing)?;
    if !is_workbook {
        layout.names = layout.names.iter().map(|name| names::unquoted(name).to_owned()).collect();
    }
    let (names, mut warnings) = names::unique(&layout.names, layout.width);
    let mut sample_rows = Vec::new();
    let mut body_rows = BodyRows::new(sample, &layout, is_workbook, options.keep_footer);
    for row in sample.iter().filter(|row| layout.holds(row.line)) {
        // A row without its cells is an error when it comes to it, not while a plan is made.
        let _ = body_rows.pass(row.as_row(), &mut |row| {
            let cells = (0..layout.width).map(|i| row.cell(i).to_owned_cell()).collect();
            sample_rows.push(SampleRow { line: row.line(), cells });
            Ok(())
        });
    }
    let mut drafts = draft(&sample_rows, &layout, &names, options, &missing, is_workbook)?;
    let context = Context {
        decimal: options.decimal,
        usual: options.usual.decimal.filter(|_| !comma_separated),
        comma_separated,
        names: &names,
    };
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
            let has_marks = drafts[i].look == Look::NumbersMarked;
            let building = Building::new(plan.clone(), is_lenient, evidence, affix)
                .with_marks(has_marks)
                .with_fractions(drafts[i].forced == Some(Forced::Fraction));
            pending.push((i, building));
        }
        if pending.is_empty() {
            break;
        }
        let n_columns = names.len() as u64;
        let mut n_rows = 0u64;
        let mut body_rows = BodyRows::new(sample, &layout, is_workbook, options.keep_footer);
        let mut count = |n: u64| {
            n_rows += n;
            source.add_rows(n);
            if n_rows * n_columns > limits.max_cells { Err(too_many_cells(limits)) } else { Ok(()) }
        };
        source.begin(Phase::Reading);
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
                warnings.extend(notices::no_longer(&names[i], &old, &misfits));
            }
        }
    }
    source.begin(Phase::Describing);
    let forced: Vec<Option<Forced>> = drafts.iter().map(|draft| draft.forced).collect();
    let mut buildings: Vec<Building> = finished.into_iter().flatten().collect();
    if !missing.is_given() {
        finish::remove_lone_texts(&names, &mut buildings, &forced, &decision, &mut warnings);
    }
    let mut missing_tokens = finish::missing_tokens(&buildings);
    if !missing.is_given() {
        let first = layout.header_line.unwrap_or(layout.first_data_line);
        let above = sample.iter().filter(|row| row.line < first);
        let (tokens, found) = finish::remove_sentinels(&names, &mut buildings, above);
        missing_tokens.extend(tokens);
        warnings.extend(found);
    }
    warnings.extend(left_out.warnings());
    warnings.extend(layout.table_above.map(|(first, last)| Warning {
        code: "table-above-left-out".to_owned(),
        column: None,
        message: format!(
            "lines {first} to {last} above the table look like another table and were left out; to read that one, name the line of its header (header_row=), or save it as a file of its own"
        ),
    }));
    warnings.extend(further_tables(&layout));
    warnings.extend(layout.beside.iter().flat_map(Beside::warnings));
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

fn further_tables(layout: &Layout) -> Option<Warning> {
    let lines: Vec<String> =
        layout.further.iter().take(10).map(|further| further.header_line.to_string()).collect();
    let more = if layout.further.len() > lines.len() { ", ..." } else { "" };
    (!lines.is_empty()).then(|| Warning {
        code: "further-tables-left-out".to_owned(),
        column: None,
        message: format!(
            "{} other table(s) begin under this one and were left out (header in line {}{more}); to read one of them, name the line of its header (header_row=)",
            layout.further.len(),
            lines.join(", ")
        ),
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
    let forced = forced(names, options)?;
    let rows = || sample.iter().filter(|row| layout.holds(row.line));
    let drafts = names.iter().zip(forced).enumerate().map(|(i, (name, forced))| {
        let forced = if layout.reads(i) { forced } else { Some(Forced::Ignore) };
        let cells: Vec<OwnedCell> = rows().filter_map(|row| row.cells.get(i).cloned()).collect();
        let look = schema::look(name, &cells, missing, is_workbook);
        let evidence = schema::evidence(rows().map(|row| (row.line, row.as_row().cell(i))), &look);
        Draft { forced, cells, evidence, look }
    });
    Ok(drafts.collect())
}

fn forced(names: &[String], options: &ReadOptions) -> Result<Vec<Option<Forced>>, ReadError> {
    let ReadOptions { types, usual, .. } = options;
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
    let by_order = |name: &String| types.get(name).and_then(|kind| Forced::from_name(kind));
    let by_usage = |name: &String| usual.categories.contains(name).then_some(Forced::Category);
    Ok(names.iter().map(|name| by_order(name).or_else(|| by_usage(name))).collect())
}

fn decide(drafts: &[Draft], context: Context<'_>) -> Result<Decision, ReadError> {
    let is_numeric = |draft: &&Draft| match draft.forced {
        Some(forced) => matches!(forced, Forced::Number | Forced::Fraction),
        None => matches!(draft.look, Look::Numbers | Look::NumbersWith(_) | Look::NumbersMarked),
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
        (Some(Forced::Number | Forced::Fraction), _) => {
            Plan::Number(Some(format.unwrap_or(NumberFormat { decimal: '.', thousands: None })))
        }
        (Some(Forced::Boolean), _) | (None, Look::Booleans) => Plan::Boolean,
        (Some(Forced::Category | Forced::Text), _) | (None, Look::Texts) => Plan::Text,
        (Some(Forced::Date) | None, Look::Dates(format)) => Plan::Date(format.clone()),
        (Some(Forced::Date) | None, Look::TypedDates) => Plan::TypedDate,
        (Some(Forced::Date), _) => Plan::Date(date::commonest(draft.cells.iter())),
        (None, Look::Numbers | Look::NumbersWith(_) | Look::NumbersMarked) => Plan::Number(format),
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
