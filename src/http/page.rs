//! The few pages for people: the index of routes, and one page per problem.

use super::{
    error::{Kind, Problem, Slug},
    extract::Path,
    language,
};
use crate::language::Language;
use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use std::{borrow::Cow, fmt::Write};

/// Nothing is loaded from elsewhere, and no script runs. The style is the page's own.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The routes that a person tries first, with what they do.
const ROUTES: &[(&str, &str, &str)] = &[
    ("POST", "/upload", "send a spreadsheet"),
    ("POST", "/train", "train a network on it"),
    ("POST", "/predict", "ask the network"),
    ("POST", "/v2/models/{model}/infer", "ask it as KServe, Triton and MLServer are asked"),
    ("POST", "/invocations", "ask it as MLflow and SageMaker are asked"),
    ("POST", "/v1/models/{model}:predict", "ask it as TensorFlow Serving is asked"),
    ("GET", "/models", "list the networks"),
    ("GET", "/model/{model_id}", "download one"),
    ("GET", "/datasets", "list the datasets"),
    ("GET", "/trainings", "list the trainings"),
    ("GET", "/events", "who did what, when"),
    ("GET", "/docs", "every route, to try"),
    ("GET", "/openapi.json", "every route, for programs"),
    ("GET", "/problems", "every error, and how to mend it"),
    ("GET", "/healthz", "alive"),
    ("GET", "/readyz", "able to work"),
    ("GET", "/metrics", "figures for Prometheus"),
    ("GET", "/version", "version of the program"),
];

/// `GET /`: the routes, as a page or as JSON.
pub async fn show_index(headers: HeaderMap) -> Response {
    // Browsers name HTML; programs accept anything, and are better served with JSON.
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !accept.contains("text/html") {
        let routes: Vec<_> = ROUTES
            .iter()
            .map(|(method, path, summary)| serde_json::json!({"method": method, "path": path, "summary": summary}))
            .collect();
        // Clients of KServe's version 1 look here for "alive".
        let body = serde_json::json!({"name": "taqicfd", "status": "alive", "version": env!("CARGO_PKG_VERSION"),
            "routes": routes});
        return super::extract::Json(body).into_response();
    }
    let page = Page::asked_for_by(&headers);
    let mut rows = String::new();
    for (method, path, summary) in ROUTES {
        let path = if path.contains('{') || *method != "GET" {
            (*path).to_owned()
        } else {
            format!("<a href=\"{path}\">{path}</a>")
        };
        let _ =
            writeln!(rows, "<tr><td><code>{method}</code><td><code>{path}</code><td>{}", page.text(summary));
    }
    let about = page.text("A spreadsheet goes in, a trained neural network answers.");
    page.html("taqicfd", &format!("<p>{about}<table>{rows}</table>"))
}

/// `GET /problems`: all of them.
pub async fn list_problems(headers: HeaderMap) -> Response {
    let page = Page::asked_for_by(&headers);
    let mut rows = String::new();
    for Kind { slug, status, title, .. } in Slug::ALL.iter().map(|slug| slug.kind()) {
        let _ = writeln!(
            rows,
            "<tr><td>{status}<td><a href=\"/problems/{slug}\"><code>{slug}</code></a><td>{}",
            page.text(title)
        );
    }
    page.html("What can go wrong", &format!("<table>{rows}</table>"))
}

/// `GET /problems/{slug}`: what it means and how to mend it.
pub async fn show_problem(headers: HeaderMap, Path(slug): Path<String>) -> Result<Response, Problem> {
    let page = Page::asked_for_by(&headers);
    let slug = Slug::find(&slug).ok_or_else(|| {
        Problem::new(Slug::NotFound, "no problem has this name; see /problems for all of them")
    })?;
    let Kind { slug, status, title, meaning, mend } = slug.kind();
    let status = page.text(&format!("HTTP status {status}")).into_owned();
    Ok(page.html(
        title,
        &format!(
            "<p><code>{slug}</code>, {status}<h2>{}</h2><p>{}<h2>{}</h2><p>{}<p><a href=\"/problems\">{}</a>",
            page.text("What it means"),
            page.text(meaning),
            page.text("How to mend it"),
            escape(&page.text(mend)),
            page.text("All problems"),
        ),
    ))
}

/// A page in the language of its reader.
struct Page(Language);

impl Page {
    fn asked_for_by(headers: &HeaderMap) -> Self {
        Self(language::wanted(headers))
    }

    fn text<'a>(&self, english: &'a str) -> Cow<'a, str> {
        self.0.translate(english)
    }

    fn html(&self, title: &str, body: &str) -> Response {
        let mut response = html(self.0.tag(), &self.text(title), body);
        language::declare(response.headers_mut(), self.0);
        response
    }
}

fn html(language: &str, title: &str, body: &str) -> Response {
    const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}\
        td{padding:.1rem 1rem .1rem 0;vertical-align:top}@media(prefers-color-scheme:dark){body{background:#111;\
        color:#ddd}a{color:#8bf}}";
    let page = format!(
        "<!doctype html><html lang=\"{language}\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>{body}"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)));
    (headers, page).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_problem_has_a_page() {
        for slug in Slug::ALL {
            let response = show_problem(HeaderMap::new(), Path(slug.kind().slug.to_owned())).await.unwrap();
            assert_eq!(response.status(), 200);
        }
        assert!(show_problem(HeaderMap::new(), Path("<script>".to_owned())).await.is_err());
    }
}
