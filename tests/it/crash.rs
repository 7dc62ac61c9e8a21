//! The crasher: clients upload, train, predict and delete while the server is killed with SIGKILL at
//! random moments. After each start everything that was acknowledged must be there, and nothing half
//! done may be seen.
//!
//! `TAQICFD_CRASH_ROUNDS` (5) and `TAQICFD_CRASH_SEED` (from the clock) change a run; the seed repeats
//! the choices, not the timing.

mod audit;
mod client;
mod world;

use crate::process::Server;
use audit::Audit;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use world::{Dice, Recipe, World};

const CLIENTS: u64 = 3;
/// Promised after a crash.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// Short leases and frequent checkpoints, so that a resumed training is seen within a round; and no
/// limit on crashes, since here they are not the training's fault.
const SETTINGS: &[(&str, &str)] = &[
    ("TAQICFD_LEASE_S", "1.5"),
    ("TAQICFD_HEARTBEAT_S", "0.3"),
    ("TAQICFD_CHECKPOINT_S", "0.3"),
    ("TAQICFD_MAX_ATTEMPTS", "1000000"),
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_on_sqlite() {
    run("sqlite", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_on_postgres() {
    if let Some(url) = crate::postgres::database_url().await {
        run("PostgreSQL", Some(&url)).await;
    }
}

async fn run(engine: &str, database_url: Option<&str>) {
    let rounds = number_from_env("TAQICFD_CRASH_ROUNDS").unwrap_or(5);
    let seed = number_from_env("TAQICFD_CRASH_SEED").unwrap_or_else(|| {
        SystemTime::UNIX_EPOCH.elapsed().expect("the clock is after 1970").as_nanos() as u64
    });
    eprintln!("crash test on {engine}: {rounds} rounds, TAQICFD_CRASH_SEED={seed}");
    let folder = tempfile::Builder::new().prefix("taqicfd-crash-").tempdir().expect("a temporary folder");
    let mut settings = SETTINGS.to_vec();
    if let Some(url) = database_url {
        settings.push(("DATABASE_URL", url));
    }
    if let Err(failure) = rounds_of_kills(folder.path(), &settings, rounds, seed).await {
        let kept = folder.keep();
        panic!("{failure}\nTAQICFD_CRASH_SEED={seed} on {engine}; everything is kept in {}", kept.display());
    }
}

fn number_from_env(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a test has no settings of its own")]
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

async fn rounds_of_kills(
    folder: &Path,
    settings: &[(&str, &str)],
    rounds: u64,
    seed: u64,
) -> Result<(), String> {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
    let recipes = reference(&http).await?;
    let world = Arc::new(World::new(recipes));
    let mut dice = Dice::new(seed);
    let mut slowest = Duration::ZERO;
    for _ in 0..rounds {
        let mut server = Server::spawn(folder, settings);
        if dice.chance(0.15) {
            // A crash while starting: during migrations, recovery or the sweep.
            tokio::time::sleep(Duration::from_millis(dice.below(250))).await;
            server.kill();
            continue;
        }
        slowest = slowest.max(server.ready(&http, READY_WITHIN).await?);
        Audit::take(&http, &server, &world).await?;
        if world.known().training_data.is_empty() {
            client::upload_training_data(&http, &server, &world).await?;
        }
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| tokio::spawn(client::work(http.clone(), server.url(""), world.clone(), dice.fork())))
            .collect();
        tokio::time::sleep(Duration::from_millis(500 + dice.below(2500))).await;
        server.kill();
        for client in clients {
            client.await.expect("a client does not panic")?;
        }
    }

    let mut server = Server::spawn(folder, settings);
    slowest = slowest.max(server.ready(&http, READY_WITHIN).await?);
    drain(&http, &server, &world).await?;
    let audit = Audit::take(&http, &server, &world).await?;
    let status = server.terminate(Duration::from_secs(15)).await?;
    if !status.success() {
        return Err(format!("SIGTERM ended the server with {status}"));
    }
    sweep_leaves_nothing(&http, folder, settings, &audit).await?;
    eprintln!(
        "{rounds} rounds: {}; slowest start {:.2} s; {}",
        world.summary(),
        slowest.as_secs_f64(),
        audit.summary()
    );
    Ok(())
}

/// Trains every recipe once without interruption, on a server of its own.
async fn reference(http: &reqwest::Client) -> Result<Vec<Recipe>, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::spawn(folder.path(), &[]);
    server.ready(http, READY_WITHIN).await?;
    let mut recipes = Vec::new();
    for draft in world::drafts() {
        recipes.push(client::train_to_the_end(http, &server, draft).await?);
    }
    Ok(recipes)
}

/// Waits until every training has ended.
async fn drain(http: &reqwest::Client, server: &Server, world: &World) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let open = audit::open_trainings(http, server).await?;
        if open.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > Duration::from_secs(60 + 20 * world.n_trainings() as u64) {
            return Err(format!("still not ended: {open:?}; {}", server.log_tail()));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Makes every file and folder two hours old, starts the server, and waits for its sweep: only files that rows
/// name may stay.
async fn sweep_leaves_nothing(
    http: &reqwest::Client,
    folder: &Path,
    settings: &[(&str, &str)],
    audit: &Audit,
) -> Result<(), String> {
    for path in audit::tree(folder) {
        let file = std::fs::File::open(&path).map_err(|error| error.to_string())?;
        file.set_modified(SystemTime::now() - Duration::from_hours(2)).map_err(|error| error.to_string())?;
    }
    let mut server = Server::spawn(folder, settings);
    server.ready(http, READY_WITHIN).await?;
    let begun = Instant::now();
    loop {
        let strangers = audit.strangers(folder);
        if strangers.is_empty() {
            break;
        }
        if begun.elapsed() > Duration::from_secs(10) {
            return Err(format!("left after the sweep: {strangers:?}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The sweep must not have taken anything else either.
    audit.same_as(&Audit::of(http, &server).await?)
}
