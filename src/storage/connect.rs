//! Opening the database, and bringing its tables up to date.

use crate::storage::{Part, Result, StorageError, with_pool};
use sqlx::{
    Connection as _, PgPool, SqlitePool,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{str::FromStr, time::Duration};
use tokio::time::{Instant, sleep};

static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// The database: one pool of connections to either engine.
#[derive(Debug, Clone)]
pub enum Db {
    /// A file beside the uploads: nothing to install, one machine.
    Sqlite(SqlitePool),
    /// A server that several processes on several machines share.
    Postgres(PgPool),
}

/// How to connect.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Most connections held open.
    pub max_connections: u32,
    /// How long an operation waits for a free connection before it is [`StorageError::Unavailable`].
    pub acquire_timeout: Duration,
    /// How long a database that does not answer is tried again at the start.
    pub retry_for: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            max_connections: 10,
            acquire_timeout: Duration::from_secs(2),
            retry_for: Duration::from_secs(30),
        }
    }
}

impl Db {
    /// Connects to the database at `url` (`sqlite://data/taqicfd.db` or
    /// `postgres://user:password@host/database`) and checks that this program knows its schema.
    /// [`Db::migrate`] comes next.
    pub async fn connect(url: &str, options: &ConnectOptions) -> Result<Self> {
        let scheme = url.split(':').next().unwrap_or_default();
        let deadline = Instant::now() + options.retry_for;
        let mut wait = Duration::from_millis(100);
        loop {
            let opened = match scheme {
                "sqlite" => open_sqlite(url, options).await,
                "postgres" | "postgresql" => open_postgres(url, options).await,
                _ => Err(StorageError::Settings(format!(
                    "DATABASE_URL starts with {scheme:?}: write sqlite://data/taqicfd.db \
                     or postgres://user:password@host:5432/database"
                ))),
            };
            match opened {
                Ok(db) => {
                    db.check_schema().await?;
                    return Ok(db);
                }
                Err(error) if error.is_transient() && Instant::now() + wait < deadline => {
                    tracing::warn!(%error, "the database does not answer, trying again");
                    sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(5));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Applies the migrations that are still missing. Each is one transaction, so one that was cut
    /// short is done again by the next start.
    pub async fn migrate(&self) -> Result<()> {
        let migrator = self.migrator();
        let run = async || with_pool!(self, |pool| migrator.run(pool).await);
        // On PostgreSQL processes that start together queue for a lock. SQLite has none for this:
        // the one that comes second finds the tables made, and then, looking again, the migration
        // applied.
        let mut result = run().await;
        for _ in 0..5 {
            match (self, &result) {
                (Self::Sqlite(_), Err(MigrateError::Execute(_) | MigrateError::ExecuteMigration(..))) => {
                    sleep(Duration::from_millis(100)).await;
                    result = run().await;
                }
                _ => break,
            }
        }
        result.map_err(|error| match error {
            MigrateError::VersionMissing(found) => newer_schema(found, migrator),
            MigrateError::VersionMismatch(version) => StorageError::Settings(format!(
                "the database was made by a different build of this program (migration {version} differs): \
                 use the build that made it, or a new database"
            )),
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            error => StorageError::Internal(error.into()),
        })
    }

    /// Whether the database answers; for the readiness check.
    pub async fn check(&self) -> Result<()> {
        const PING: &str = "SELECT 1";
        with_pool!(self, |pool| sqlx::query(PING).execute(pool).await.map(drop))?;
        Ok(())
    }

    /// Ends all connections, after their running statements.
    pub async fn close(&self) {
        with_pool!(self, |pool| pool.close().await);
    }

    /// `sqlite` or `postgres`.
    pub fn engine(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }

    /// How a transaction that writes begins. SQLite takes its one write lock at once: a transaction
    /// that reads first and writes later could find the lock taken, and would have to start over.
    pub(super) fn begin_write(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "BEGIN IMMEDIATE",
            Self::Postgres(_) => "BEGIN",
        }
    }

    fn migrator(&self) -> &'static Migrator {
        match self {
            Self::Sqlite(_) => &SQLITE_MIGRATIONS,
            Self::Postgres(_) => &POSTGRES_MIGRATIONS,
        }
    }

    /// Refuses a database of a newer version before anything is read from it or written to it.
    async fn check_schema(&self) -> Result<()> {
        const HAS_MIGRATIONS_SQLITE: &str =
            "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'";
        const HAS_MIGRATIONS_POSTGRES: &str = "SELECT COUNT(to_regclass('_sqlx_migrations'))";
        const NEWEST_MIGRATION: &str = "SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations";
        let has_migrations = match self {
            Self::Sqlite(_) => HAS_MIGRATIONS_SQLITE,
            Self::Postgres(_) => HAS_MIGRATIONS_POSTGRES,
        };
        let found: i64 = with_pool!(self, |pool| {
            match sqlx::query_scalar::<_, i64>(has_migrations).fetch_one(pool).await? {
                0 => 0,
                _ => sqlx::query_scalar(NEWEST_MIGRATION).fetch_one(pool).await?,
            }
        });
        let migrator = self.migrator();
        if found > newest(migrator) { Err(newer_schema(found, migrator)) } else { Ok(()) }
    }
}

fn newest(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or(0)
}

fn newer_schema(found: i64, migrator: &Migrator) -> StorageError {
    StorageError::NewerSchema { found, known: newest(migrator) }
}

async fn open_sqlite(url: &str, options: &ConnectOptions) -> Result<Db> {
    let settings = SqliteConnectOptions::from_str(url)
        .map_err(|error| StorageError::Settings(format!("DATABASE_URL is not a SQLite URL: {error}")))?
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL may lose the last commits on power loss, and a 201 promises stable storage.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5));
    let path = settings.get_filename().to_owned();
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(StorageError::Settings(
            "DATABASE_URL asks for a database in memory: name a file, such as sqlite://data/taqicfd.db"
                .into(),
        ));
    }
    let named = |error: &dyn std::fmt::Display| {
        StorageError::Settings(format!(
            "the database file {} cannot be opened: {error}; check the folder and its permissions",
            path.display()
        ))
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| named(&error))?;
    }
    SqlitePoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        .test_before_acquire(false) // a file does not go away like a server
        // A full disk ends a transaction inside SQLite; sqlx, whose ROLLBACK then fails, takes it for open for ever.
        .after_release(|connection, _| {
            Box::pin(async move {
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
        .connect_with(settings)
        .await
        .map(Db::Sqlite)
        .map_err(|error| match StorageError::from(error) {
            busy @ (StorageError::Busy | StorageError::InsufficientStorage(_)) => busy,
            // A file that cannot be opened now will not be there in 30 s either.
            other => named(&other),
        })
}

async fn open_postgres(url: &str, options: &ConnectOptions) -> Result<Db> {
    let settings = PgConnectOptions::from_str(url)
        // The error is not shown: it could quote the password.
        .map_err(|_| {
            StorageError::Settings(
                "DATABASE_URL is not a PostgreSQL URL: write postgres://user:password@host:5432/database, \
             with special characters of the password percent-encoded"
                    .into(),
            )
        })?
        .application_name("taqicfd");
    let place = format!(
        "{}:{}, database {:?}, user {:?}",
        settings.get_host(),
        settings.get_port(),
        settings.get_database().unwrap_or_default(),
        settings.get_username()
    );
    PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        .connect_with(settings)
        .await
        .map(Db::Postgres)
        .map_err(|error| {
            let refused = (error.as_database_error().and_then(sqlx::error::DatabaseError::code))
                .is_some_and(|code| code.starts_with("28") || code.starts_with("3D"));
            if refused {
                return StorageError::Settings(format!(
                    "PostgreSQL at {place} refuses the connection: {error}"
                ));
            }
            match StorageError::from(error) {
                StorageError::Unavailable { source, .. } => StorageError::Unavailable {
                    part: Part::Database,
                    source: format!("PostgreSQL at {place}: {source}").into(),
                },
                other => other,
            }
        })
}
