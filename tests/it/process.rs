//! The real binary as a process, for tests that kill it.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// A running `taqicfd serve`; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: String,
    log: PathBuf,
    spawned: Instant,
}

impl Server {
    /// Spawns the server with everything it keeps under `folder`. Nothing of this process's
    /// environment reaches it: settings of whoever runs the tests must not change their outcome.
    pub(crate) fn spawn(folder: &Path, settings: &[(&str, &str)]) -> Self {
        let port = free_port();
        let log = folder.join("server.log");
        let output = File::options().create(true).append(true).open(&log).expect("the folder is writable");
        let child = Command::new(env!("CARGO_BIN_EXE_taqicfd"))
            .arg("serve")
            .current_dir(folder)
            .env_clear()
            .env("TAQICFD_BIND", format!("127.0.0.1:{port}"))
            .env("TAQICFD_DATA_DIR", folder.join("data"))
            .env("TAQICFD_MODELS_DIR", folder.join("models"))
            .env("RUST_LOG", "warn")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output)
            .spawn()
            .expect("the binary starts");
        Self { child, address: format!("http://127.0.0.1:{port}"), log, spawned: Instant::now() }
    }

    /// The address of a route.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// Waits until the server is ready and returns the time since it was spawned.
    pub(crate) async fn ready(
        &mut self,
        http: &reqwest::Client,
        at_most: Duration,
    ) -> Result<Duration, String> {
        loop {
            let answer = http.get(self.url("/readyz")).timeout(Duration::from_secs(1)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(self.spawned.elapsed());
            }
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return Err(format!("the server ended with {status}; {}", self.log_tail()));
            }
            if self.spawned.elapsed() > at_most {
                return Err(format!("the server is not ready after {at_most:?}; {}", self.log_tail()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// SIGKILL, and waits until the process is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
    }

    /// SIGTERM, and waits for the end.
    pub(crate) async fn terminate(mut self, at_most: Duration) -> Result<ExitStatus, String> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("our own child");
        let asked = Instant::now();
        while asked.elapsed() < at_most {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(format!("the server has not ended {at_most:?} after SIGTERM; {}", self.log_tail()))
    }

    /// The last lines of its log.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let lines: Vec<String> = text.unwrap_or_default().lines().map(str::to_owned).collect();
        format!("the end of its log:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}
