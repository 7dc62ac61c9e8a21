//! Why a file could not be read: what is wrong, where, and how to mend it.

use serde::{Deserialize, Serialize};

/// How many places a problem names; a file with a thousand bad lines needs no thousand entries.
pub const MAX_ISSUES: usize = 20;

/// A file that cannot be read. Crosses from the reading process to the server as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "slug", rename_all = "kebab-case")]
pub enum ReadError {
    /// The bytes are no spreadsheet.
    #[error("{0}")]
    UnsupportedMediaType(Problem),
    /// No rows.
    #[error("{0}")]
    EmptyFile(Problem),
    /// A workbook whose structure is broken or contradicts itself.
    #[error("{0}")]
    MalformedWorkbook(Problem),
    /// A text table whose rows do not agree, or with an open quote.
    #[error("{0}")]
    MalformedCsv(Problem),
    /// A workbook that needs a password.
    #[error("{0}")]
    PasswordProtected(Problem),
    /// Bytes that are text in no encoding we read.
    #[error("{0}")]
    UnsupportedEncoding(Problem),
    /// Numbers with two readings.
    #[error("{0}")]
    AmbiguousNumberFormat(Problem),
    /// More characters in one cell than allowed.
    #[error("{0}")]
    CellTooLarge(Problem),
    /// More rows than allowed.
    #[error("{0}")]
    TooManyRows(Problem),
    /// More columns than allowed.
    #[error("{0}")]
    TooManyColumns(Problem),
    /// A box around the cells larger than allowed.
    #[error("{0}")]
    TooManyCells(Problem),
    /// An archive that grows beyond measure.
    #[error("{0}")]
    InflatedTooLarge(Problem),
    /// An override that does not fit the file.
    #[error("{0}")]
    InvalidParameter(Problem),
    /// An override for a column that the file does not have.
    #[error("{0}")]
    UnknownColumn(Problem),
    /// The file could not be opened or read: not the file's fault.
    #[error("{0}")]
    Internal(Problem),
}

/// What every [`ReadError`] carries.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// What is wrong, where, and how to mend it.
    pub detail: String,
    /// The first places, at most [`MAX_ISSUES`].
    #[serde(default)]
    pub issues: Vec<Issue>,
}

/// One place of a problem.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Issue {
    /// 1-based line of the file, or row of the sheet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<u64>,
    /// Name of the column, or its 1-based number where it has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub column: Option<String>,
    /// Sheet of a workbook.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sheet: Option<String>,
    /// What stands there, shortened.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<String>,
    /// What is wrong there.
    pub message: String,
}

impl Problem {
    /// A problem of the whole file.
    pub fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), issues: Vec::new() }
    }

    /// Adds a place; beyond [`MAX_ISSUES`] it is left out.
    #[must_use]
    pub fn with(mut self, issue: Issue) -> Self {
        if self.issues.len() < MAX_ISSUES {
            self.issues.push(issue);
        }
        self
    }
}

impl Issue {
    /// A place in a text file or sheet.
    pub fn at(line: u64, message: impl Into<String>) -> Self {
        Self { line: Some(line), message: message.into(), ..Self::default() }
    }

    /// Names the column.
    #[must_use]
    pub fn in_column(mut self, column: impl Into<String>) -> Self {
        self.column = Some(column.into());
        self
    }

    /// Names the sheet.
    #[must_use]
    pub fn in_sheet(mut self, sheet: impl Into<String>) -> Self {
        self.sheet = Some(sheet.into());
        self
    }

    /// Quotes what stands there, at most 60 characters of it.
    #[must_use]
    pub fn with_value(mut self, value: &str) -> Self {
        self.value = Some(shorten(value));
        self
    }
}

/// At most 60 characters of a cell, so that no message carries a whole document.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl ReadError {
    /// The stable name of the problem, as in the list of problem pages.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::UnsupportedMediaType(_) => "unsupported-media-type",
            Self::EmptyFile(_) => "empty-file",
            Self::MalformedWorkbook(_) => "malformed-workbook",
            Self::MalformedCsv(_) => "malformed-csv",
            Self::PasswordProtected(_) => "password-protected",
            Self::UnsupportedEncoding(_) => "unsupported-encoding",
            Self::AmbiguousNumberFormat(_) => "ambiguous-number-format",
            Self::CellTooLarge(_) => "cell-too-large",
            Self::TooManyRows(_) => "too-many-rows",
            Self::TooManyColumns(_) => "too-many-columns",
            Self::TooManyCells(_) => "too-many-cells",
            Self::InflatedTooLarge(_) => "inflated-too-large",
            Self::InvalidParameter(_) => "invalid-parameter",
            Self::UnknownColumn(_) => "unknown-column",
            Self::Internal(_) => "internal",
        }
    }

    /// What is wrong, where, and how to mend it.
    pub fn detail(&self) -> &str {
        &self.problem().detail
    }

    /// The first places.
    pub fn issues(&self) -> Vec<Issue> {
        self.problem().issues.clone()
    }

    /// Names the sheet in every place.
    #[must_use]
    pub(super) fn in_sheet(mut self, sheet: &str) -> Self {
        for issue in &mut self.problem_mut().issues {
            issue.sheet = Some(sheet.to_owned());
        }
        self
    }

    fn problem_mut(&mut self) -> &mut Problem {
        match self {
            Self::UnsupportedMediaType(problem)
            | Self::EmptyFile(problem)
            | Self::MalformedWorkbook(problem)
            | Self::MalformedCsv(problem)
            | Self::PasswordProtected(problem)
            | Self::UnsupportedEncoding(problem)
            | Self::AmbiguousNumberFormat(problem)
            | Self::CellTooLarge(problem)
            | Self::TooManyRows(problem)
            | Self::TooManyColumns(problem)
            | Self::TooManyCells(problem)
            | Self::InflatedTooLarge(problem)
            | Self::InvalidParameter(problem)
            | Self::UnknownColumn(problem)
            | Self::Internal(problem) => problem,
        }
    }

    fn problem(&self) -> &Problem {
        match self {
            Self::UnsupportedMediaType(problem)
            | Self::EmptyFile(problem)
            | Self::MalformedWorkbook(problem)
            | Self::MalformedCsv(problem)
            | Self::PasswordProtected(problem)
            | Self::UnsupportedEncoding(problem)
            | Self::AmbiguousNumberFormat(problem)
            | Self::CellTooLarge(problem)
            | Self::TooManyRows(problem)
            | Self::TooManyColumns(problem)
            | Self::TooManyCells(problem)
            | Self::InflatedTooLarge(problem)
            | Self::InvalidParameter(problem)
            | Self::UnknownColumn(problem)
            | Self::Internal(problem) => problem,
        }
    }
}

impl From<std::io::Error> for ReadError {
    fn from(error: std::io::Error) -> Self {
        // The limit on memory is mostly met by an allocation, which ends the process, but the standard
        // library also asks for some that may fail.
        if error.kind() == std::io::ErrorKind::OutOfMemory {
            return Self::TooManyCells(Problem::new(
                "the file needs more memory than reading it may take on this server. Upload a part of it, or \
                 raise the limits in the settings",
            ));
        }
        Self::Internal(Problem::new(format!("the uploaded file could not be read back: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_process_boundary() {
        let error = ReadError::MalformedCsv(
            Problem::new("row 3 has 2 fields").with(Issue::at(3, "2 fields, not 3").with_value("4,5")),
        );
        let json = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<ReadError>(&json).unwrap(), error);
        let tagged: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(tagged["slug"], error.slug(), "the JSON tag is the slug");
    }

    #[test]
    fn memory_that_cannot_be_had_is_the_size_of_the_file_and_no_fault() {
        let error = ReadError::from(std::io::Error::from(std::io::ErrorKind::OutOfMemory));
        assert_eq!(error.slug(), "too-many-cells");
        assert_eq!(ReadError::from(std::io::Error::other("a broken disk")).slug(), "internal");
    }

    #[test]
    fn a_problem_names_only_the_first_places() {
        let mut problem = Problem::new("ragged");
        for line in 0..100 {
            problem = problem.with(Issue::at(line, "short"));
        }
        assert_eq!(problem.issues.len(), MAX_ISSUES);
    }
}
