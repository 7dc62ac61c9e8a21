//! Lists, page by page (`limit`, `cursor`, `Link: rel="next"`).

use super::{error::Problem, extract::Json};
use crate::storage::Page;
use axum::{
    http::{HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

/// Which page.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Items per page; 50 if absent.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl ListQuery {
    /// The page, checked.
    pub fn page(&self) -> Result<Page, Problem> {
        page(self.limit, self.cursor.clone())
    }
}

/// The page, checked.
pub fn page(limit: Option<u32>, cursor: Option<String>) -> Result<Page, Problem> {
    let limit = limit.unwrap_or(50);
    if !(1..=500).contains(&limit) {
        return Err(Problem::invalid("/limit", "must be 1 to 500"));
    }
    Ok(Page { limit, cursor })
}

/// The answer, with a link to the next page where there is one.
pub fn paged<T: Serialize>(
    uri: &Uri,
    next_cursor: Option<String>,
    body: impl FnOnce(Option<String>) -> T,
) -> Response {
    let link = next_cursor.as_deref().map(|cursor| next_link(uri, cursor));
    let mut response = Json(body(next_cursor)).into_response();
    if let Some(link) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// The same address with another cursor, which is hexadecimal and needs no escaping.
fn next_link(uri: &Uri, cursor: &str) -> String {
    let others = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="))
        .map(|pair| format!("{pair}&"))
        .collect::<String>();
    format!("<{}?{others}cursor={cursor}>; rel=\"next\"", uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_keeps_the_other_parameters() {
        let check = |uri: &'static str, expected: &str| {
            assert_eq!(next_link(&Uri::from_static(uri), "7f"), expected);
        };
        check("/models", "</models?cursor=7f>; rel=\"next\"");
        check(
            "/models?limit=2&cursor=aa&task=regression",
            "</models?limit=2&task=regression&cursor=7f>; rel=\"next\"",
        );
    }

    #[test]
    fn limits_have_limits() {
        assert!(page(Some(0), None).is_err() && page(Some(501), None).is_err());
        assert_eq!(page(None, None).unwrap().limit, 50);
    }
}
