//! A Python for the tests that call other programs' libraries.

use std::{env, path::PathBuf, process::Command};

/// A Python that can import `modules`; `None`, said loudly, where there is none. Those that `.ci/run`
/// installs must be there where `TAQICFD_TEST_REQUIRE_PYTHON` is set.
pub(crate) fn python(modules: &str, is_in_ci: bool) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "settings of the tests, not of the program")]
    let [tests, peers, required] =
        ["TAQICFD_TEST_PYTHON", "TAQICFD_PEERS_PYTHON", "TAQICFD_TEST_REQUIRE_PYTHON"].map(env::var_os);
    // `.ci/run` makes two beside the build: this program is target/release/deps/it-...
    let beside = |name: &str| {
        let program = env::current_exe().unwrap();
        program.ancestors().nth(3).map(|target| target.join(name).join("bin/python"))
    };
    let has_modules = |python: &PathBuf| {
        let check = format!("import {modules}");
        Command::new(python).args(["-c", &check]).output().is_ok_and(|output| output.status.success())
    };
    let candidates =
        [tests.map(PathBuf::from), peers.map(PathBuf::from), beside("ci-venv"), beside("ci-clients")];
    let found = candidates.into_iter().flatten().find(has_modules);
    if found.is_none() {
        assert!(
            !is_in_ci || required.is_none(),
            "TAQICFD_TEST_REQUIRE_PYTHON is set, and no Python has {modules}"
        );
        eprintln!("SKIPPED: no Python has {modules}; install them and name it in TAQICFD_TEST_PYTHON");
    }
    found
}
