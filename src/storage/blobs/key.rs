//! The names of blobs. The server makes every one of them from ids alone: nothing that a user
//! wrote ever becomes part of a path.
//!
//! ```text
//! uploads/{dataset_id}/original              the file as it was sent
//! uploads/{dataset_id}/table.parquet         the table that was read from it
//! checkpoints/{training_id}/{attempt}-{sequence}
//! predictions/{prediction_id}/file           a file that is to be answered
//! predictions/{prediction_id}/{attempt}      the file with its answers
//! models/{model_id}.safetensors              the model file
//! ```

use crate::id::{DatasetId, ModelId, PredictionId, TrainingId};
use std::{fmt, str::FromStr};

/// The name of one blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlobKey {
    /// The bytes of a dataset as they were sent.
    Original(DatasetId),
    /// The table that was read from them, as Parquet.
    Table(DatasetId),
    /// Where a training can be resumed.
    Checkpoint {
        /// The training.
        training_id: TrainingId,
        /// The claim that wrote it: two workers never write the same name.
        attempt: i64,
        /// Counts the checkpoints of that claim.
        sequence: u64,
    },
    /// A file that is to be answered.
    Asked(PredictionId),
    /// The file with its answers.
    Answered {
        /// The job.
        prediction_id: PredictionId,
        /// The claim that wrote it: two workers never write the same name.
        attempt: i64,
    },
    /// A model file.
    Model(ModelId),
}

/// The kinds of blobs; each can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Area {
    /// Originals and tables.
    Uploads,
    /// Checkpoints.
    Checkpoints,
    /// Files to be answered, and their answers.
    Predictions,
    /// Model files.
    Models,
}

impl Area {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Uploads, Self::Checkpoints, Self::Predictions, Self::Models];

    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Uploads => "uploads",
            Self::Checkpoints => "checkpoints",
            Self::Predictions => "predictions",
            Self::Models => "models",
        }
    }
}

impl BlobKey {
    /// What kind of blob it names.
    pub fn area(&self) -> Area {
        match self {
            Self::Original(_) | Self::Table(_) => Area::Uploads,
            Self::Checkpoint { .. } => Area::Checkpoints,
            Self::Asked(_) | Self::Answered { .. } => Area::Predictions,
            Self::Model(_) => Area::Models,
        }
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Original(dataset_id) => write!(f, "uploads/{dataset_id}/original"),
            Self::Table(dataset_id) => write!(f, "uploads/{dataset_id}/table.parquet"),
            Self::Checkpoint { training_id, attempt, sequence } => {
                write!(f, "checkpoints/{training_id}/{attempt}-{sequence}")
            }
            Self::Asked(prediction_id) => write!(f, "predictions/{prediction_id}/file"),
            Self::Answered { prediction_id, attempt } => write!(f, "predictions/{prediction_id}/{attempt}"),
            Self::Model(model_id) => write!(f, "models/{model_id}.safetensors"),
        }
    }
}

impl FromStr for BlobKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (area, rest) = text.split_once('/')?;
            match (area, rest.split_once('/')) {
                ("uploads", Some((id, "original"))) => Some(Self::Original(id.parse().ok()?)),
                ("uploads", Some((id, "table.parquet"))) => Some(Self::Table(id.parse().ok()?)),
                ("checkpoints", Some((id, name))) => {
                    let (attempt, sequence) = name.split_once('-')?;
                    Some(Self::Checkpoint {
                        training_id: id.parse().ok()?,
                        attempt: attempt.parse().ok()?,
                        sequence: sequence.parse().ok()?,
                    })
                }
                ("predictions", Some((id, "file"))) => Some(Self::Asked(id.parse().ok()?)),
                ("predictions", Some((id, attempt))) => {
                    Some(Self::Answered { prediction_id: id.parse().ok()?, attempt: attempt.parse().ok()? })
                }
                ("models", None) => Some(Self::Model(rest.strip_suffix(".safetensors")?.parse().ok()?)),
                _ => None,
            }
        };
        // Only the one spelling that Display gives is a key: another one would name another file.
        parse().filter(|key| key.to_string() == text).ok_or_else(|| format!("{text:?} names no blob"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_and_foreign_files_are_left_alone() {
        let id = uuid::Uuid::now_v7();
        for key in [
            BlobKey::Original(DatasetId(id)),
            BlobKey::Table(DatasetId(id)),
            BlobKey::Checkpoint { training_id: TrainingId(id), attempt: 2, sequence: 13 },
            BlobKey::Asked(PredictionId(id)),
            BlobKey::Answered { prediction_id: PredictionId(id), attempt: 3 },
            BlobKey::Model(ModelId(id)),
        ] {
            assert_eq!(key.to_string().parse(), Ok(key));
            assert!(key.to_string().starts_with(key.area().prefix()));
        }
        for foreign in [
            "README.md".to_owned(),
            "models/notes.safetensors".to_owned(),
            format!("models/{}.safetensors", id.to_string().to_uppercase()),
            format!("uploads/{id}/original/x"),
            format!("uploads/{id}/original~"),
            format!("checkpoints/{id}/02-1"),
            format!("predictions/{id}/+1"),
            "../models/x".to_owned(),
        ] {
            assert!(foreign.parse::<BlobKey>().is_err(), "{foreign}");
        }
    }
}
