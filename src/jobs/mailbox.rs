//! Where the training thread puts what it tells. It never waits for the database: what is written
//! down less often than it is told is merged here.

use super::live::lock;
use crate::clock::Clock;
use crate::dataset::Warning;
use crate::storage::{LogLevel, NewEpoch, NewLog, Progress};
use crate::training::Event;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Log lines kept while the database is away; epochs are bounded by the settings of the training.
const MAX_LOG_LINES: usize = 10_000;

/// Shared by the training thread and the tasks that write.
#[derive(Debug, Clone)]
pub(super) struct Mailbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    news: Mutex<News>,
    checkpoint: Mutex<Option<Vec<u8>>>,
    has_checkpoint: Notify,
}

/// What was told since the last look. Progress: the newest. Epochs: every one. Warnings: all so far.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct News {
    pub(super) progress: Progress,
    pub(super) warnings: Vec<Warning>,
    pub(super) epochs: Vec<NewEpoch>,
    pub(super) logs: Vec<NewLog>,
    /// Whether there is anything to write.
    pub(super) changed: bool,
}

impl News {
    /// Adds a log line; the oldest go where there are too many.
    fn log(&mut self, log: NewLog) {
        if self.logs.len() >= MAX_LOG_LINES {
            self.logs.remove(0);
        }
        self.logs.push(log);
        self.changed = true;
    }
}

impl Mailbox {
    /// Starts from what an earlier attempt has told.
    pub(super) fn new(clock: Clock, progress: Progress, warnings: Vec<Warning>) -> Self {
        Self(Arc::new(Inner {
            clock,
            news: Mutex::new(News { progress, warnings, ..News::default() }),
            checkpoint: Mutex::new(None),
            has_checkpoint: Notify::new(),
        }))
    }

    /// Takes an event in.
    pub(super) fn put(&self, event: Event) {
        let at = self.0.clock.now();
        match event {
            Event::Message(message) => self.log(LogLevel::Info, message),
            Event::Progress { fraction, message, eta_s } => {
                let mut news = lock(&self.0.news);
                news.progress = Progress { fraction, message, eta_s };
                news.changed = true;
            }
            Event::Epoch(score) => {
                let mut news = lock(&self.0.news);
                let epoch = NewEpoch {
                    fold: i64::from(score.fold),
                    epoch: i64::from(score.epoch),
                    train_loss: score.train_loss,
                    validation_loss: Some(score.validation_loss),
                    learning_rate: score.learning_rate,
                    at,
                };
                news.epochs.push(epoch);
                news.changed = true;
            }
            Event::Checkpoint(bytes) => {
                *lock(&self.0.checkpoint) = Some(bytes);
                self.0.has_checkpoint.notify_one();
            }
            Event::Warning(warning) => self.warn(warning),
        }
    }

    /// Adds a log line.
    pub(super) fn log(&self, level: LogLevel, message: String) {
        lock(&self.0.news).log(NewLog { at: self.0.clock.now(), level, message });
    }

    /// Adds a warning, and a log line about it, unless it was given before.
    pub(super) fn warn(&self, warning: Warning) {
        let mut news = lock(&self.0.news);
        if !news.warnings.contains(&warning) {
            let message = warning.message.clone();
            news.log(NewLog { at: self.0.clock.now(), level: LogLevel::Warning, message });
            news.warnings.push(warning);
        }
    }

    /// All warnings so far.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        lock(&self.0.news).warnings.clone()
    }

    /// Takes what is to be written; `None` if nothing is new.
    pub(super) fn take(&self) -> Option<News> {
        let mut news = lock(&self.0.news);
        if !news.changed {
            return None;
        }
        let taken = News {
            epochs: std::mem::take(&mut news.epochs),
            logs: std::mem::take(&mut news.logs),
            ..news.clone()
        };
        news.changed = false;
        Some(taken)
    }

    /// Puts back what could not be written, before what came since.
    pub(super) fn put_back(&self, mut unwritten: News) {
        let mut news = lock(&self.0.news);
        unwritten.epochs.append(&mut news.epochs);
        unwritten.logs.append(&mut news.logs);
        news.epochs = unwritten.epochs;
        news.logs = unwritten.logs;
        let excess = news.logs.len().saturating_sub(MAX_LOG_LINES);
        news.logs.drain(..excess);
        news.changed = true;
    }

    /// Takes the newest checkpoint.
    pub(super) fn take_checkpoint(&self) -> Option<Vec<u8>> {
        lock(&self.0.checkpoint).take()
    }

    /// Waits for a checkpoint.
    pub(super) async fn checkpoint(&self) {
        self.0.has_checkpoint.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::EpochScore;

    fn epoch(epoch: u32) -> Event {
        Event::Epoch(EpochScore { fold: 0, epoch, train_loss: 1.0, validation_loss: 1.0, learning_rate: 0.1 })
    }

    fn progress(fraction: f64) -> Event {
        Event::Progress { fraction, message: String::new(), eta_s: None }
    }

    #[test]
    fn the_newest_progress_wins_and_no_epoch_is_lost() {
        let mailbox = Mailbox::new(Clock::System, Progress::default(), Vec::new());
        assert_eq!(mailbox.take(), None, "nothing was told yet");
        for n in 1..=3 {
            mailbox.put(epoch(n));
            mailbox.put(progress(f64::from(n) / 10.0));
        }
        let first = mailbox.take().unwrap();
        assert_eq!(first.progress.fraction, 0.3);
        mailbox.put(epoch(4));
        mailbox.put(progress(0.4));
        mailbox.put_back(first); // the database was away
        let second = mailbox.take().unwrap();
        assert_eq!(second.epochs.iter().map(|epoch| epoch.epoch).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(second.progress.fraction, 0.4, "what was put back is older");
        assert_eq!(mailbox.take(), None);
    }

    #[test]
    fn a_warning_is_given_once() {
        let warning =
            Warning { code: "constant-column".into(), column: Some("x".into()), message: "m".into() };
        let mailbox = Mailbox::new(Clock::System, Progress::default(), vec![warning.clone()]);
        mailbox.put(Event::Warning(warning.clone()));
        assert_eq!(mailbox.take(), None, "an earlier attempt gave it");
        mailbox.put(Event::Warning(Warning { code: "other".into(), ..warning }));
        let news = mailbox.take().unwrap();
        assert_eq!((news.warnings.len(), news.logs.len()), (2, 1));
    }

    #[test]
    fn log_lines_are_bounded_while_the_database_is_away() {
        let mailbox = Mailbox::new(Clock::System, Progress::default(), Vec::new());
        for n in 0..MAX_LOG_LINES + 5 {
            mailbox.put(Event::Message(n.to_string()));
        }
        let news = mailbox.take().unwrap();
        assert_eq!(news.logs.len(), MAX_LOG_LINES);
        assert_eq!(news.logs[0].message, "5", "the oldest go");
        mailbox.put(Event::Message("last".into()));
        mailbox.put_back(news);
        let news = mailbox.take().unwrap();
        assert_eq!((news.logs.len(), news.logs.last().unwrap().message.as_str()), (MAX_LOG_LINES, "last"));
    }
}
