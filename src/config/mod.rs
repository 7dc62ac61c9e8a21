//! The settings of the program: flag, else environment, else `.env`, else default.
//!
//! This is the only module that reads the environment. [`load_env_file`] must run before any other
//! thread exists, since it changes the environment of the process.

mod settings;
mod units;

pub use settings::{
    Backend, LogFormat, Logs, Prediction, Reading, Server, Settings, Storage, StorageKind, Training,
};
pub use units::{Seconds, Secret, Size};

use crate::language::Language;
use clap::{Args, Command, FromArgMatches};
use std::fmt::Write as _;

/// What is wrong with the settings, as one line for the person who starts the program.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// Adds the lines of `.env`, where there is one in this folder or above it, to the environment.
/// Names that the environment has already keep their value.
pub fn load_env_file() -> Result<(), ConfigError> {
    match dotenvy::dotenv() {
        Ok(_) => Ok(()),
        Err(error) if error.not_found() => Ok(()),
        Err(error) => Err(ConfigError(format!("cannot read .env: {error}"))),
    }
}

/// Refuses a `TAQICFD_` name that is not a setting: nearly always a typing error, and silently
/// ignoring it would leave the default in force.
pub fn check_env_names() -> Result<(), ConfigError> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    check_names(names)
}

fn check_names(names: impl Iterator<Item = String>) -> Result<(), ConfigError> {
    let known = known_names();
    for name in names.filter(|name| name.starts_with("TAQICFD_")) {
        if !known.contains(&name) {
            let nearest = known.iter().min_by_key(|candidate| edit_distance(&name, candidate));
            let hint = nearest.map_or(String::new(), |nearest| format!("; did you mean {nearest}?"));
            return Err(ConfigError(format!("{name} is not a setting{hint}")));
        }
    }
    Ok(())
}

/// Whether the person asked for output without colour (see <https://no-color.org>).
pub fn no_color() -> bool {
    #[expect(clippy::disallowed_methods, reason = "this module reads the environment")]
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// The language of the terminal: that of the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is set.
pub fn language() -> Language {
    #[expect(clippy::disallowed_methods, reason = "this module reads the environment")]
    let set = |name: &str| std::env::var(name).ok().filter(|locale| !locale.is_empty());
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set);
    locale.map_or(Language::English, |locale| Language::of_locale(&locale))
}

/// The environment name of every setting, in order.
pub fn known_names() -> Vec<String> {
    settings_command()
        .get_arguments()
        .filter_map(|argument| argument.get_env())
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// The text of `.env.example`: every setting with one line about it and its default.
pub fn example() -> String {
    let mut text = String::from(
        "# Settings of taqicfd. Copy this file to .env and change what you need.\n\
         # A flag wins over the environment, the environment over .env, .env over these defaults.\n",
    );
    let mut heading = String::new();
    for argument in settings_command().get_arguments() {
        let Some(name) = argument.get_env() else { continue };
        let section = argument.get_help_heading().unwrap_or_default();
        if section != heading {
            section.clone_into(&mut heading);
            let _ = write!(text, "\n## {heading}\n");
        }
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let values: Vec<String> = argument
            .get_possible_values()
            .iter()
            .filter(|_| argument.get_action().takes_values())
            .map(|value| value.get_name().to_owned())
            .collect();
        let choice =
            if values.is_empty() { String::new() } else { format!(" One of: {}.", values.join(", ")) };
        let default = argument.get_default_values().first().map(|value| value.to_string_lossy());
        let default =
            if argument.get_action().takes_values() { default.unwrap_or_default() } else { "false".into() };
        let help = help.trim_end_matches('.');
        let _ = writeln!(text, "\n# {help}.{choice}\n#{}={default}", name.to_string_lossy());
    }
    text
}

fn settings_command() -> Command {
    Settings::augment_args(Command::new("taqicfd"))
}

impl Settings {
    /// The defaults alone, whatever the environment says; for tests.
    pub fn defaults() -> Self {
        let command = settings_command().mut_args(|argument| argument.env(None::<&str>));
        let matches = command.get_matches_from(["taqicfd"]);
        Self::from_arg_matches(&matches).expect("every setting has a default or may be absent")
    }

    /// Checks what one value alone cannot tell, before anything is opened.
    pub fn check(mut self) -> Result<Self, ConfigError> {
        // An empty value in `.env` means "not set".
        for text in [
            &mut self.storage.s3_bucket,
            &mut self.storage.s3_prefix,
            &mut self.storage.s3_endpoint,
            &mut self.prediction.served_model,
        ] {
            text.take_if(|text| text.trim().is_empty());
        }
        for secret in [
            &mut self.storage.database_url,
            &mut self.storage.s3_access_key_id,
            &mut self.storage.s3_secret_access_key,
            &mut self.storage.s3_session_token,
        ] {
            secret.take_if(|secret| secret.reveal().trim().is_empty());
        }
        let hosts = self.server.allowed_hosts.iter().map(|host| host.trim().to_owned());
        self.server.allowed_hosts = hosts.filter(|host| !host.is_empty()).collect();
        let refuse = |text: String| Err(ConfigError(text));
        if !self.server.bind.ip().is_loopback() && !self.server.insecure_no_auth {
            return refuse(format!(
                "TAQICFD_BIND is {}: other machines could read, train and delete without logging in; listen on \
                 127.0.0.1, or say that this is wanted with --insecure-no-auth",
                self.server.bind
            ));
        }
        if self.storage.kind == StorageKind::S3 && self.storage.s3_bucket.is_none() {
            return refuse("TAQICFD_STORAGE is s3 but there is no TAQICFD_S3_BUCKET".into());
        }
        if let Some(url) = &self.storage.database_url {
            let scheme = url.reveal().split(':').next().unwrap_or_default();
            if !["sqlite", "postgres", "postgresql"].contains(&scheme) {
                return refuse("DATABASE_URL must start with sqlite: or postgres://".into());
            }
        }
        for (name, value) in [
            ("TAQICFD_LEASE_S", self.training.lease_s),
            ("TAQICFD_HEARTBEAT_S", self.training.heartbeat_s),
            ("TAQICFD_CHECKPOINT_S", self.training.checkpoint_s),
        ] {
            if value.0 < 0.001 {
                return refuse(format!("{name} is {value}: give at least 0.001 seconds"));
            }
        }
        if self.training.heartbeat_s.0 * 2.0 > self.training.lease_s.0 {
            return refuse(format!(
                "TAQICFD_HEARTBEAT_S is {}: it must be at most half of TAQICFD_LEASE_S, {}",
                self.training.heartbeat_s, self.training.lease_s
            ));
        }
        for (name, value) in [
            ("TAQICFD_MAX_CONNECTIONS", self.server.max_connections),
            ("TAQICFD_MAX_REQUESTS", self.server.max_requests),
            ("TAQICFD_READERS", self.reading.readers),
            ("TAQICFD_MAX_BATCH_ROWS", self.prediction.max_batch_rows),
            ("TAQICFD_DB_CONNECTIONS", self.storage.db_connections as usize),
        ] {
            if value == 0 {
                return refuse(format!("{name} is 0: give at least 1"));
            }
        }
        Ok(self)
    }
}

/// Levenshtein's distance, to name the setting that was meant.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.bytes().enumerate() {
            let change = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    fn settings(arguments: &[&str]) -> Settings {
        let line = std::iter::once("taqicfd").chain(arguments.iter().copied());
        let command = settings_command().mut_args(|argument| argument.env(None::<&str>));
        Settings::from_arg_matches(&command.get_matches_from(line)).unwrap()
    }

    #[test]
    fn env_example_lists_exactly_the_settings() {
        let committed = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example"));
        assert_eq!(committed, example(), "run `taqicfd config example > .env.example`");
    }

    #[test]
    fn a_mistyped_name_is_refused_with_the_nearest() {
        let error = check_names(["PATH".into(), "TAQICFD_BNID".into()].into_iter()).unwrap_err().to_string();
        assert_eq!(error, "TAQICFD_BNID is not a setting; did you mean TAQICFD_BIND?");
        assert!(check_names(known_names().into_iter()).is_ok());
    }

    #[test]
    fn the_defaults_pass_their_own_check() {
        let settings = settings(&[]).check().unwrap();
        assert_eq!(settings.server.bind.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.server.max_upload.to_string(), "100MiB");
    }

    #[test]
    fn what_cannot_work_together_is_refused() {
        let check = |arguments: &[&str], part: &str| {
            let error = settings(arguments).check().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{error}");
        };
        check(&["--bind", "0.0.0.0:80"], "--insecure-no-auth");
        check(&["--storage", "s3"], "TAQICFD_S3_BUCKET");
        check(&["--database-url", "mysql://x"], "sqlite: or postgres://");
        check(&["--lease-s", "1.5"], "at most half");
        check(&["--max-connections", "0"], "at least 1");
        check(&["--lease-s", "0", "--heartbeat-s", "0"], "TAQICFD_LEASE_S is 0");
        check(&["--heartbeat-s", "0"], "TAQICFD_HEARTBEAT_S is 0");
        check(&["--checkpoint-s", "0"], "TAQICFD_CHECKPOINT_S is 0");
        assert!(settings(&["--bind", "0.0.0.0:80", "--insecure-no-auth"]).check().is_ok());
    }

    #[test]
    fn hosts_are_trimmed_and_no_host_is_none() {
        let hosts = |text: &str| settings(&["--allowed-hosts", text]).check().unwrap().server.allowed_hosts;
        assert_eq!(hosts("lab.example, proxy.example,"), ["lab.example", "proxy.example"]);
        assert!(hosts("").is_empty());
    }

    #[test]
    fn secrets_are_not_printed() {
        let settings = settings(&["--database-url", "postgres://me:hunter2@db/x"]);
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
