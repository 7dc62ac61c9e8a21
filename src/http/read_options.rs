//! How a file is to be read: the options of an upload, from query parameters, form parts or JSON.

use super::error::Problem;
use crate::dataset::ReadOptions;
use std::collections::BTreeMap;

/// What the caller says about an upload.
#[derive(Debug, Default, PartialEq)]
pub struct UploadOptions {
    /// Overrides of what is detected.
    pub read: ReadOptions,
    /// What the dataset is to be called.
    pub name: Option<String>,
    /// The name of the file, where the body is the file itself.
    pub filename: Option<String>,
    /// Whether the same bytes may become a second dataset.
    pub allow_duplicate: bool,
}

impl UploadOptions {
    /// The options of a query, percent-decoded.
    pub fn from_query(query: Option<&str>) -> Result<Self, Problem> {
        let mut options = Self::default();
        let uri =
            axum::http::Uri::builder().path_and_query(format!("/?{}", query.unwrap_or_default())).build();
        let uri = uri.map_err(|_| Problem::invalid("/query", "is not a valid query string"))?;
        let super::extract::Pairs(pairs) = super::extract::Pairs::from_uri(&uri)?;
        for (name, value) in pairs {
            options.set(&name, value)?;
        }
        Ok(options)
    }

    /// Sets one option. An empty value means "detect it", which is what an empty form field says.
    pub fn set(&mut self, name: &str, value: String) -> Result<(), Problem> {
        if value.is_empty() && name != "missing" {
            return Ok(());
        }
        let pointer = format!("/{name}");
        let invalid = |message: &str| Problem::invalid(&pointer, message);
        match name {
            "name" => {
                self.name = Some(text(&value, 200).ok_or_else(|| invalid("must have 1 to 200 characters"))?)
            }
            "filename" => self.filename = Some(value),
            "sheet" => self.read.sheet = Some(value),
            "encoding" => self.read.encoding = Some(value),
            "header_row" => self.read.header_row = Some(value.parse().map_err(|_| invalid(LINE))?),
            "units_row" => self.read.units_row = Some(value.parse().map_err(|_| invalid(LINE))?),
            "delimiter" => {
                self.read.delimiter =
                    Some(delimiter(&value).ok_or_else(|| invalid("must be one character, or `tab`"))?);
            }
            "decimal" => {
                self.read.decimal = match value.as_str() {
                    "." => Some('.'),
                    "," => Some(','),
                    _ => return Err(invalid("must be . or ,")),
                };
            }
            "missing" => {
                self.read.missing.get_or_insert_default().extend(tokens(&value).map_err(|m| invalid(&m))?)
            }
            "types" => self.read.types = types(&value).map_err(|message| invalid(&message))?,
            "keep_footer" => self.read.keep_footer = flag(&value).ok_or_else(|| invalid(FLAG))?,
            "allow_duplicate" => self.allow_duplicate = flag(&value).ok_or_else(|| invalid(FLAG))?,
            _ => {
                return Err(Problem::invalid(
                    &format!("/{}", super::printable(name)),
                    "is not an option; known are name, sheet, header_row, units_row, delimiter, decimal, encoding, \
                     missing, types, keep_footer, allow_duplicate",
                ));
            }
        }
        Ok(())
    }
}

const LINE: &str = "must be a line number, counted from 1; 0 says that there is none";

const FLAG: &str = "must be true or false";

fn flag(value: &str) -> Option<bool> {
    match value {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

fn text(value: &str, limit: usize) -> Option<String> {
    let value = value.trim();
    let fits = !value.is_empty() && value.chars().count() <= limit && !value.chars().any(char::is_control);
    fits.then(|| value.to_owned())
}

fn delimiter(value: &str) -> Option<char> {
    if value.eq_ignore_ascii_case("tab") || value == "\\t" {
        return Some('\t');
    }
    let mut characters = value.chars();
    characters.next().filter(|_| characters.next().is_none())
}

/// A JSON list of texts, or one text as it is.
fn tokens(value: &str) -> Result<Vec<String>, String> {
    if value.trim_start().starts_with('[') {
        return serde_json::from_str(value)
            .map_err(|_| "must be a JSON list of texts, or one text".to_owned());
    }
    Ok(vec![value.to_owned()])
}

fn types(value: &str) -> Result<BTreeMap<String, String>, String> {
    const KINDS: [&str; 7] = ["number", "fraction", "category", "date", "boolean", "text", "ignore"];
    let types: BTreeMap<String, String> = serde_json::from_str(value)
        .map_err(|_| "must be a JSON object from column to kind, such as {\"Re\": \"number\"}".to_owned())?;
    match types.iter().find(|(_, kind)| !KINDS.contains(&kind.as_str())) {
        None => Ok(types),
        Some((column, kind)) => {
            Err(format!("the kind of `{column}` is `{kind}`; it must be one of {}", KINDS.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_from_a_query() {
        let query = "decimal=%2C&delimiter=tab&header_row=9&missing=-9999&missing=%5B%22n%2Fa%22%5D&\
                     types=%7B%22id%22%3A%22ignore%22%7D&units_row=0&keep_footer=1&name=T%C3%BAnel&allow_duplicate=true&sheet=";
        let options = UploadOptions::from_query(Some(query)).unwrap();
        assert_eq!(options.read.decimal, Some(','));
        assert_eq!(options.read.delimiter, Some('\t'));
        assert_eq!((options.read.header_row, options.read.units_row), (Some(9), Some(0)));
        assert!(options.read.keep_footer);
        assert_eq!(options.read.missing, Some(vec!["-9999".to_owned(), "n/a".to_owned()]));
        assert_eq!(options.read.types["id"], "ignore");
        assert_eq!(options.read.sheet, None);
        assert_eq!(options.name.as_deref(), Some("Túnel"));
        assert!(options.allow_duplicate);
    }

    #[test]
    fn nonsense_is_refused() {
        for query in [
            "decimal=x",
            "header_row=-1",
            "keep_footer=maybe",
            "delimiter=ab",
            "types=7",
            "types=%7B%22a%22:%22x%22%7D",
            "colour=red",
        ] {
            assert!(UploadOptions::from_query(Some(query)).is_err(), "{query}");
        }
    }
}
