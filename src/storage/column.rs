//! How the crate's own types are kept in columns: the same on both engines, through the types
//! that sqlx knows.

use crate::id::{DatasetId, ModelId, PredictionId, ReadingId, TrainingId};
use crate::storage::{BlobKey, JobStatus, LogLevel, ModelStatus, ReadingStatus};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Database, Decode, Encode, Type, encode::IsNull, error::BoxDynError};
use uuid::Uuid;

/// A structured document in a column of JSON text. Text, because `jsonb` would lose the order of
/// the keys and refuse `\u0000`.
#[derive(Debug, Clone)]
pub(super) struct Document<T>(pub(super) T);

/// A count or a size in a column of 64-bit integers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count(pub(super) u64);

/// Stores `$rust` as `$stored`, by the two functions given.
macro_rules! stored_as {
    ($rust:ty as $stored:ty $(where [$($generic:tt)*])?, $to:expr, $from:expr) => {
        impl<DB: Database, $($($generic)*)?> Type<DB> for $rust
        where
            $stored: Type<DB>,
        {
            fn type_info() -> DB::TypeInfo {
                <$stored as Type<DB>>::type_info()
            }

            fn compatible(stored: &DB::TypeInfo) -> bool {
                <$stored as Type<DB>>::compatible(stored)
            }
        }

        impl<'q, DB: Database, $($($generic)*)?> Encode<'q, DB> for $rust
        where
            $stored: Encode<'q, DB>,
        {
            fn encode_by_ref(&self, buffer: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
                let to: fn(&$rust) -> Result<$stored, BoxDynError> = $to;
                <$stored as Encode<'q, DB>>::encode(to(self)?, buffer)
            }
        }

        impl<'r, DB: Database, $($($generic)*)?> Decode<'r, DB> for $rust
        where
            $stored: Decode<'r, DB>,
        {
            fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
                let from: fn($stored) -> Result<$rust, BoxDynError> = $from;
                from(<$stored as Decode<'r, DB>>::decode(value)?)
            }
        }
    };
}

stored_as!(DatasetId as Uuid, |id| Ok(id.0), |id| Ok(Self(id)));
stored_as!(ReadingId as Uuid, |id| Ok(id.0), |id| Ok(Self(id)));
stored_as!(ReadingStatus as String, |status| Ok(status.as_str().to_owned()), |text| Ok(text.parse()?));
stored_as!(TrainingId as Uuid, |id| Ok(id.0), |id| Ok(Self(id)));
stored_as!(PredictionId as Uuid, |id| Ok(id.0), |id| Ok(Self(id)));
stored_as!(ModelId as Uuid, |id| Ok(id.0), |id| Ok(Self(id)));
stored_as!(JobStatus as String, |status| Ok(status.as_str().to_owned()), |text| Ok(text.parse()?));
stored_as!(ModelStatus as String, |status| Ok(status.as_str().to_owned()), |text| Ok(text.parse()?));
stored_as!(LogLevel as String, |level| Ok(level.as_str().to_owned()), |text| Ok(text.parse()?));
stored_as!(BlobKey as String, |key| Ok(key.to_string()), |text| Ok(text.parse()?));
stored_as!(Count as i64, |count| Ok(i64::try_from(count.0)?), |count| Ok(Self(u64::try_from(count)?)));
stored_as!(
    Document<T> as String where [T: Serialize + DeserializeOwned],
    |document| Ok(serde_json::to_string(&document.0)?),
    |text| Ok(Self(serde_json::from_str(&text)?))
);

/// The texts of a plain enum, in the database and in the API. `$unknown` makes the error of a text that is none of these.
macro_rules! texts {
    ($name:ty, { $($variant:ident: $text:literal),+ $(,)? }, $unknown:expr) => {
        impl $name {
            /// The text in the database and in the API.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> std::result::Result<Self, String> {
                let unknown: fn(&str) -> String = $unknown;
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(unknown(text)),
                }
            }
        }
    };
}
pub(super) use texts;

/// Reads `$record` from a row of either engine with one expression.
macro_rules! from_row {
    ($record:ty, |$row:ident| $body:expr) => {
        impl sqlx::FromRow<'_, sqlx::sqlite::SqliteRow> for $record {
            fn from_row($row: &sqlx::sqlite::SqliteRow) -> sqlx::Result<Self> {
                use sqlx::Row;
                $body
            }
        }

        impl sqlx::FromRow<'_, sqlx::postgres::PgRow> for $record {
            fn from_row($row: &sqlx::postgres::PgRow) -> sqlx::Result<Self> {
                use sqlx::Row;
                $body
            }
        }
    };
}
pub(super) use from_row;
