//! A progress bar on a terminal; nothing where nobody looks.

use std::io::{self, IsTerminal, Write};

const WIDTH: usize = 32;

/// The bar. It writes to standard error, which stays free of results.
#[derive(Debug)]
pub(super) struct Bar {
    visible: bool,
    shown: bool,
}

impl Bar {
    /// A bar that is seen only on a terminal.
    pub(super) fn new() -> Self {
        Self { visible: io::stderr().is_terminal(), shown: false }
    }

    /// Draws it.
    pub(super) fn show(&mut self, fraction: f64, message: &str) {
        if self.visible {
            self.shown = true;
            let _ = write!(io::stderr(), "\r\x1b[2K{}", line(fraction, message));
            let _ = io::stderr().flush();
        }
    }

    /// Leaves the last state on its line.
    pub(super) fn end(&mut self) {
        if self.shown {
            let _ = writeln!(io::stderr());
            self.shown = false;
        }
    }
}

fn line(fraction: f64, message: &str) -> String {
    let fraction = if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 };
    let filled = (fraction * WIDTH as f64).round() as usize;
    format!("[{}{}] {:3.0} %  {message}", "#".repeat(filled), "-".repeat(WIDTH - filled), fraction * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills() {
        assert_eq!(line(0.5, "epoch 1"), format!("[{}{}]  50 %  epoch 1", "#".repeat(16), "-".repeat(16)));
        assert!(line(7.0, "").contains("100 %"));
        assert!(line(f64::NAN, "").contains("  0 %"));
    }
}
