//! How the numeric columns of a dataset go together.

use super::{
    datasets,
    error::Problem,
    extract::{Json, Path, Query},
};
use crate::{
    app::App,
    dataset::{
        correlation::{Method, Numeric},
        parquet, spelling,
    },
};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// A matrix of more columns is not read by anyone; with a target there is no such limit.
const MAX_COLUMNS: usize = 100;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show_correlations))
}

/// Which correlations.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CorrelationQuery {
    /// Only those with this column, the strongest first.
    target: Option<String>,
    /// `pearson` (of the values, if absent) or `spearman` (of the ranks).
    #[param(pattern = "^(pearson|spearman)$")]
    method: Option<String>,
}

/// How the numeric columns of a dataset go together.
#[derive(Debug, Serialize, ToSchema)]
pub struct Correlations {
    /// `pearson` or `spearman`.
    #[schema(example = "pearson")]
    method: String,
    /// Rows that were looked at: all, or every k-th of more than 200,000.
    rows_used: u64,
    /// The numeric columns: numbers, dates, and true and false as 1 and 0. Those of the matrix, or the others than
    /// the target, the strongest first.
    columns: Vec<String>,
    /// Without a target: one row per column. Null where a column is constant or fewer than three rows have both values.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!([[1.0, 0.83], [0.83, 1.0]]))]
    matrix: Option<Vec<Vec<Option<f64>>>>,
    /// The column they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    target: Option<String>,
    /// With a target: its coefficient with each of `columns`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    with_target: Option<Vec<Option<f64>>>,
}

/// Show how the numeric columns go together
///
/// Correlation coefficients, over the rows in which both columns have a value. A strong one is no cause; a target
/// that depends on a column in a curve may have a coefficient of 0 with it.
#[utoipa::path(get, path = "/datasets/{dataset_id}/correlations", tag = "datasets",
    params(("dataset_id" = uuid::Uuid, Path), CorrelationQuery), responses((status = 200, body = Correlations)))]
pub async fn show_correlations(
    State(app): State<App>,
    Path(dataset_id): Path<String>,
    Query(query): Query<CorrelationQuery>,
) -> Result<Json<Correlations>, Problem> {
    let record = datasets::find(app.db()?, &dataset_id).await?;
    let method = match query.method.as_deref() {
        None | Some("pearson") => Method::Pearson,
        Some("spearman") => Method::Spearman,
        Some(_) => return Err(Problem::invalid("/method", "must be pearson or spearman")),
    };
    let work = move |table: &[u8]| {
        let table = parquet::read(table).map_err(Problem::internal)?;
        answer(&Numeric::of(&table, method), method, query.target)
    };
    datasets::with_table(&app, record.dataset_id, work).await.map(Json)
}

fn answer(numeric: &Numeric, method: Method, target: Option<String>) -> Result<Correlations, Problem> {
    let n = numeric.names.len();
    let mut answer = Correlations {
        method: if method == Method::Pearson { "pearson" } else { "spearman" }.to_owned(),
        rows_used: numeric.n_rows as u64,
        columns: numeric.names.clone(),
        matrix: None,
        target: None,
        with_target: None,
    };
    let Some(target) = target else {
        if n > MAX_COLUMNS {
            return Err(Problem::invalid(
                "/target",
                format!("is needed where there are more than {MAX_COLUMNS} numeric columns; there are {n}"),
            ));
        }
        let row = |a| (0..n).map(|b| numeric.coefficient(a, b).r).collect();
        answer.matrix = Some((0..n).map(row).collect());
        return Ok(answer);
    };
    let Some(at) = numeric.names.iter().position(|name| *name == target) else {
        let near = spelling::nearest(&target, numeric.names.iter().map(String::as_str), 3);
        return Err(Problem::invalid(
            "/target",
            format!("is no numeric column of the dataset; near it are {}", near.join(", ")),
        ));
    };
    let others = (0..n).filter(|i| *i != at);
    let mut found: Vec<(usize, Option<f64>)> = others.map(|i| (i, numeric.coefficient(at, i).r)).collect();
    found.sort_by(|(_, a), (_, b)| {
        b.map(f64::abs).partial_cmp(&a.map(f64::abs)).unwrap_or(std::cmp::Ordering::Equal)
    });
    answer.columns = found.iter().map(|(i, _)| numeric.names[*i].clone()).collect();
    answer.with_target = Some(found.into_iter().map(|(_, r)| r).collect());
    answer.target = Some(target);
    Ok(answer)
}
