//! What all operations have in common, added to the document.

use super::problems::{BY_OPERATION, EVERYWHERE, JSON_BODY};
use crate::http::{
    error::{Kind, Slug},
    protocols::Dialect,
};
use serde_json::json;
use utoipa::openapi::{
    Content, HeaderBuilder, KnownFormat, ObjectBuilder, OpenApi as Document, PathItem, Ref, RefOr, Response,
    ResponseBuilder, Schema, SchemaFormat,
    content::ContentBuilder,
    path::Operation,
    schema::{SchemaType, Type},
};

/// Adds to every operation the problems that the layers around it answer with, and writes all
/// problems in one way: by status, with the slugs in the description.
pub fn complete(document: &mut Document) {
    for (operation_id, slugs) in BY_OPERATION {
        add_problems(document, operation_id, slugs);
    }
    for (path, item) in &mut document.paths.paths {
        let dialect = Dialect::of(path);
        let is_probe =
            ["/healthz", "/metrics", "/version", "/v2/health/"].iter().any(|p| path.starts_with(p));
        let common = if is_probe { &[Slug::HeadersTooLarge, Slug::Internal][..] } else { EVERYWHERE };
        for operation in operations(item) {
            let takes_json = operation.request_body.as_ref().is_some_and(|body| match body {
                RefOr::T(body) => body.content.contains_key("application/json"),
                RefOr::Ref(_) => false,
            });
            for slug in common.iter().chain(if takes_json { JSON_BODY } else { &[] }) {
                add(operation, *slug, dialect);
            }
            for response in operation.responses.responses.values_mut() {
                let RefOr::T(response) = response else { continue };
                // Not even an answer that says all by itself may go without one.
                if response.description.is_empty() {
                    response.description.push_str("The answer");
                }
                response
                    .content
                    .iter_mut()
                    .for_each(|(media_type, content)| mark_binary(media_type, content));
            }
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                body.content.iter_mut().for_each(|(media_type, content)| mark_binary(media_type, content));
            }
        }
    }
}

/// Says of files that they are bytes: a generated client would take them for texts, and garble them.
fn mark_binary(media_type: &str, content: &mut RefOr<Content>) {
    let RefOr::T(content) = content else { return };
    let Some(RefOr::T(Schema::Object(schema))) = &mut content.schema else { return };
    let is_text =
        media_type.starts_with("text/") || media_type.ends_with("json") || media_type.ends_with("csv");
    if !is_text && schema.schema_type == SchemaType::Type(Type::String) {
        schema.format = Some(SchemaFormat::KnownFormat(KnownFormat::Binary));
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete, &mut item.head]
        .into_iter()
        .flatten()
}

/// Adds `slugs` to the problems of the operation called `operation_id`.
fn add_problems(document: &mut Document, operation_id: &str, slugs: &[Slug]) {
    let mut found = false;
    for (path, item) in &mut document.paths.paths {
        let dialect = Dialect::of(path);
        for operation in
            operations(item).filter(|operation| operation.operation_id.as_deref() == Some(operation_id))
        {
            found = true;
            for slug in slugs {
                add(operation, *slug, dialect);
            }
        }
    }
    debug_assert!(found, "no operation is called {operation_id}");
}

fn add(operation: &mut Operation, slug: Slug, dialect: Option<Dialect>) {
    let Kind { slug: name, title, .. } = slug.kind();
    let status = dialect.map_or(slug.kind().status, |dialect| dialect.status(slug));
    let line = format!("`{name}`: {title}");
    let entry = operation
        .responses
        .responses
        .entry(status.to_string())
        .or_insert_with(|| RefOr::T(problem_response()));
    let RefOr::T(response) = entry else { return };
    if response.description.contains(&format!("`{name}`")) {
        return;
    }
    if !response.description.is_empty() {
        response.description.push_str("\n\n");
    }
    response.description.push_str(&line);
    match dialect {
        // A probe may answer 503 with a body of its own, which the document then names already.
        Some(dialect) => {
            let content = || RefOr::T(dialect_content(dialect, slug));
            response.content.entry("application/json".into()).or_insert_with(content);
        }
        None => {
            let content = || RefOr::T(problem_content(status, name, title));
            response.content.entry("application/problem+json".into()).or_insert_with(content);
        }
    }
    if matches!(status, 429 | 503) {
        let seconds = HeaderBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(Type::Integer)))
            .description(Some("Seconds after which to try again"))
            .build();
        response.headers.entry("Retry-After".into()).or_insert(RefOr::T(seconds));
    }
}

fn problem_response() -> Response {
    ResponseBuilder::new().build()
}

fn problem_content(status: u16, slug: &str, title: &str) -> Content {
    let example = json!({
        "type": format!("/problems/{slug}"), "title": title, "status": status,
        "detail": "what is wrong here, and how to mend it", "request_id": "0191e0c4-7a6b-7c3d-8e9f-0a1b2c3d4e5f",
    });
    content("Problem", example)
}

fn dialect_content(dialect: Dialect, slug: Slug) -> Content {
    content(dialect.error_schema(), dialect.error_body(slug, "what is wrong here, and how to mend it"))
}

fn content(schema: &str, example: serde_json::Value) -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).example(Some(example)).build()
}
