//! The only module that knows HTTP and the shapes of JSON: every route on one screen.

pub mod aliases;
pub mod base64;
pub mod body;
pub mod compare;
pub mod connection;
pub mod correlations;
pub mod datasets;
pub mod download;
pub mod error;
pub mod events;
pub mod extract;
pub mod follow;
pub mod from_errors;
pub mod health;
mod hosts;
pub mod idempotency;
pub mod import;
pub mod json;
pub mod language;
pub mod list;
pub mod messages;
pub mod model_card;
pub mod model_file;
pub mod models;
pub mod multipart;
pub mod observe;
pub mod openapi;
pub mod page;
pub mod predict;
pub mod predictions;
pub mod protocols;
pub mod read_options;
pub mod readings;
pub mod receive;
pub mod schema;
pub mod server;
pub mod train;
pub mod trainings;
pub mod upload;

pub use server::serve;

use crate::app::App;
use axum::{Router, middleware::from_fn_with_state, routing::get};
use error::{Problem, Slug};
use utoipa_axum::router::OpenApiRouter;

/// All routes, with the layer around them.
pub fn router(app: App) -> Router {
    let (routes, document) = documented_routes();
    routes
        .merge(openapi::router(&document))
        .route("/", get(page::show_index))
        .route("/problems", get(page::list_problems))
        .route("/problems/{slug}", get(page::show_problem))
        .fallback(|| async {
            Problem::new(Slug::NotFound, "no route has this address; see / for the routes")
        })
        .layer(from_fn_with_state(app.clone(), observe::observe))
        .with_state(app)
}

/// The OpenAPI document.
pub fn document() -> utoipa::openapi::OpenApi {
    documented_routes().1
}

fn documented_routes() -> (Router<App>, utoipa::openapi::OpenApi) {
    let (routes, mut document) = OpenApiRouter::with_openapi(openapi::base())
        .merge(upload::routes())
        .merge(train::routes())
        .merge(predict::routes())
        .merge(predictions::routes())
        .merge(models::routes())
        .merge(model_file::routes())
        .merge(aliases::routes())
        .merge(compare::routes())
        .merge(import::routes())
        .merge(datasets::routes())
        .merge(readings::routes())
        .merge(correlations::routes())
        .merge(trainings::routes())
        .merge(events::routes())
        .merge(health::routes())
        .merge(protocols::routes())
        .split_for_parts();
    openapi::complete(&mut document);
    (routes, document)
}

/// At most 60 characters of a text from outside, without control characters, for a message.
fn printable(text: &str) -> String {
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    if text.chars().count() > 60 {
        shown.push('…');
    }
    shown
}
