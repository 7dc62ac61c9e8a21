//! What the tests of storage and of jobs share: databases, and records to put into them.

use chrono::{DateTime, Duration, TimeZone, Utc};
use std::collections::BTreeMap;
use taqicfd::{
    dataset::{Description, ReadOptions, ReadReport},
    id::{DatasetId, ModelId, TrainingId},
    storage::{Claimed, ConnectOptions, DatasetRecord, Db, NewModel, NewTraining, StorageError, trainings},
};
use tempfile::TempDir;
use uuid::Uuid;

/// A fresh, migrated database.
pub(crate) struct Store {
    pub(crate) db: Db,
    url: String,
    pub(crate) folder: TempDir,
}

/// Runs each function on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::storage_support::Store::sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                if let Some(store) = $crate::storage_support::Store::postgres().await {
                    super::$name(store).await;
                }
            })*
        }
    };
}
pub(crate) use on_both;

impl Store {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/test.db", folder.path().display());
        Self::open(url, folder).await
    }

    pub(crate) async fn postgres() -> Option<Self> {
        let url = crate::postgres::database_url().await?;
        Some(Self::open(url, tempfile::tempdir().unwrap()).await)
    }

    async fn open(url: String, folder: TempDir) -> Self {
        // The claims below race on purpose; waiting is not what they test.
        let options = ConnectOptions {
            acquire_timeout: std::time::Duration::from_secs(30),
            ..ConnectOptions::default()
        };
        let db = Db::connect(&url, &options).await.unwrap();
        db.migrate().await.unwrap();
        Self { db, url, folder }
    }

    /// The URL of a database of the same kind that nobody has opened yet.
    pub(crate) async fn another_database(&self) -> Option<String> {
        match &self.db {
            Db::Sqlite(_) => Some(format!("sqlite://{}/another.db", self.folder.path().display())),
            Db::Postgres(_) => crate::postgres::database_url().await,
        }
    }

    pub(crate) async fn connect_again(&self) -> Result<Db, StorageError> {
        Db::connect(&self.url, &ConnectOptions::default()).await
    }

    /// As if a newer version of the program had been here.
    pub(crate) async fn add_future_migration(&self) {
        const FUTURE: &str = "
            INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
            SELECT 9999, 'future', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
        match &self.db {
            Db::Sqlite(pool) => sqlx::query(FUTURE).execute(pool).await.map(drop).unwrap(),
            Db::Postgres(pool) => sqlx::query(FUTURE).execute(pool).await.map(drop).unwrap(),
        }
    }
}

pub(crate) fn start_time() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 24, 12, 0, 0).unwrap()
}

pub(crate) fn seconds(n: i64) -> Duration {
    Duration::seconds(n)
}

pub(crate) fn minutes(n: i64) -> Duration {
    Duration::minutes(n)
}

pub(crate) fn dataset(name: &str) -> DatasetRecord {
    DatasetRecord {
        dataset_id: DatasetId::new(),
        name: name.into(),
        filename: format!("{name}.csv"),
        sha256: format!("sha of {name}"),
        size_bytes: 11_613,
        description: description(),
        options: ReadOptions { sheet: Some("Dados".into()), ..ReadOptions::default() },
        rows: 3,
        created_at: start_time(),
    }
}

fn description() -> Description {
    Description {
        rows: 3,
        read: ReadReport {
            format: "csv".into(),
            encoding: Some("windows-1252".into()),
            delimiter: Some(';'),
            decimal: ',',
            thousands: Some('.'),
            header_row: Some(9),
            units_row: None,
            sheet: None,
            sheets: Vec::new(),
            missing: vec!["-9999".into()],
            reasons: BTreeMap::new(),
        },
        columns: Vec::new(),
        preview: Vec::new(),
        warnings: Vec::new(),
    }
}

pub(crate) fn new_training(model_name: &str) -> NewTraining {
    NewTraining {
        training_id: TrainingId::new(),
        dataset_id: DatasetId::new(),
        model_name: model_name.into(),
        tags: BTreeMap::from([("campaign".into(), "A".into())]),
        request: serde_json::json!({"epochs": 256, "architecture": "mlp"}),
        warnings: Vec::new(),
    }
}

pub(crate) fn new_model(model_name: &str, metrics: serde_json::Value) -> NewModel {
    NewModel {
        model_id: ModelId::new(),
        model_name: model_name.into(),
        task: "regression".into(),
        targets: vec!["Cl".into(), "Cd".into()],
        dataset_id: DatasetId::new(),
        metrics,
        card: serde_json::json!({"seed": 42, "inputs": [{"name": "Re"}]}),
        size_bytes: 812_345,
        sha256: "ab".repeat(32),
        train_s: 4.125,
        tags: BTreeMap::from([("campaign".into(), "A".into())]),
        description: String::new(),
    }
}

/// Claims as a new worker at the start time.
pub(crate) async fn claim(store: &Store) -> Option<Claimed> {
    claim_at(store, start_time()).await
}

/// Claims as a new worker.
pub(crate) async fn claim_at(store: &Store, now: DateTime<Utc>) -> Option<Claimed> {
    trainings::claim(&store.db, Uuid::now_v7(), now, seconds(30), 3).await.unwrap()
}
