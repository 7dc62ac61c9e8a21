//! A private PostgreSQL server for the tests: found, started, and gone with the test process.
//!
//! Without PostgreSQL's programs the tests that want it say `SKIPPED` and pass, unless
//! `TAQICFD_TEST_REQUIRE_POSTGRES=1` makes that a failure.

use sqlx::{Connection, PgConnection};
use std::{
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

struct Cluster {
    port: u16,
    /// Ends the server and removes its folder when its standard input closes, that is, when this
    /// process ends in whatever way.
    _watchdog: Child,
}

/// The URL of a fresh, empty database; `None`, said loudly, where there is no PostgreSQL.
pub(crate) async fn database_url() -> Option<String> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let Some(cluster) = CLUSTER.get_or_init(start) else {
        eprintln!("SKIPPED: PostgreSQL's initdb and postgres are neither in PATH nor in /usr/lib/postgresql");
        return None;
    };
    let server = format!("postgres://postgres@127.0.0.1:{}", cluster.port);
    let name = format!("test_{}", uuid::Uuid::now_v7().simple());
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut admin = loop {
        match PgConnection::connect(&format!("{server}/postgres")).await {
            Ok(connection) => break connection,
            Err(error) => assert!(Instant::now() < deadline, "PostgreSQL does not start: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
    Some(format!("{server}/{name}"))
}

fn start() -> Option<Cluster> {
    let Some(programs) = find_programs() else {
        #[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the program")]
        let required = std::env::var("TAQICFD_TEST_REQUIRE_POSTGRES").is_ok_and(|value| value == "1");
        assert!(!required, "TAQICFD_TEST_REQUIRE_POSTGRES=1, but PostgreSQL is not installed");
        return None;
    };
    let folder = std::env::temp_dir().join(format!("taqicfd-postgres-{}", uuid::Uuid::now_v7().simple()));
    std::fs::create_dir(&folder).unwrap();
    // The server refuses to run as root, so another user may have to write here.
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let data = folder.join("data");
    let initdb = command(&programs.join("initdb"))
        .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
        .arg(&data)
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(initdb.status.success(), "initdb: {}", String::from_utf8_lossy(&initdb.stderr));

    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let server = command(&programs.join("postgres"))
        .arg("-D")
        .arg(&data)
        .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
        .args(["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200"])
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let watchdog = Command::new("sh")
        .args([
            "-c",
            "cat >/dev/null; kill -INT $(head -1 \"$1/data/postmaster.pid\"); sleep 1; rm -rf \"$1\"",
            "sh",
        ])
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(server); // it goes on; the watchdog ends it
    Some(Cluster { port, _watchdog: watchdog })
}

/// Runs a program of PostgreSQL, as its own user where the tests run as root.
fn command(program: &Path) -> Command {
    if rustix::process::geteuid().is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// The folder of `initdb` and `postgres`: Debian keeps them out of PATH.
fn find_programs() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "PATH is where programs are found")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    folders.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}
