//! A server process for a bench.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// A server process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Our binary with default settings on a fresh folder.
    pub(crate) fn taqicfd(folder: &Path, is_up: impl Fn(SocketAddr) -> bool) -> Self {
        let address = free_address();
        let mut command = Command::new(env!("CARGO_BIN_EXE_taqicfd"));
        command
            .arg("serve")
            .current_dir(folder)
            .env_clear()
            .env("TAQICFD_BIND", address.to_string())
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null());
        Self::start(&mut command, address, Duration::from_secs(10), is_up)
    }

    /// Starts a program that will listen at `address`, and waits until it does.
    pub(crate) fn start(
        command: &mut Command,
        address: SocketAddr,
        at_most: Duration,
        is_up: impl Fn(SocketAddr) -> bool,
    ) -> Self {
        let child = command.stdin(Stdio::null()).spawn().expect("the program starts");
        let mut server = Self { child, address };
        let begun = Instant::now();
        while !is_up(address) {
            assert!(server.is_running(), "the server ended");
            assert!(begun.elapsed() < at_most, "the server is not up after {at_most:?}");
            sleep(Duration::from_millis(2));
        }
        server
    }

    /// Whether the process that was started is still there.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_none()
    }

    /// Resident memory, where the system tells it.
    pub(crate) fn memory_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        kib.map_or(f64::NAN, |kib| kib / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An address that nobody listens at.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}
