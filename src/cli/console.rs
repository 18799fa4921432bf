//! Where output goes: data to stdout, everything for people to stdout as well, or to stderr when stdout is JSON.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is where the program prints")]

use std::io::{IsTerminal, Write};

use serde::Serialize;

use super::{context::Global, error::CliError};

/// How the user wants to be told.
#[derive(Debug, Clone)]
pub struct Console {
    json: bool,
    /// JSON documents are left to somebody else.
    silent: bool,
    quiet: bool,
    color: bool,
    /// Progress may redraw lines.
    interactive: bool,
}

/// A colour by its meaning.
#[derive(Debug, Clone, Copy)]
pub enum Style {
    /// Made, done.
    Good,
    /// Changed.
    Changed,
    /// Gone, failed.
    Bad,
    /// Names.
    Strong,
    /// What may be skipped.
    Faint,
}

impl Console {
    /// The console that the global options describe.
    pub fn new(global: &Global) -> Self {
        let people = if global.json { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
        let plain = global.no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Console {
            json: global.json,
            silent: false,
            quiet: global.quiet,
            color: people && !plain,
            interactive: std::io::stderr().is_terminal() && !global.json && !global.quiet,
        }
    }

    /// The console of a command within another: what it says is for people only, and where stdout is for machines,
    /// nothing is said.
    pub fn without_documents(&self) -> Self {
        Console { silent: self.json, ..self.clone() }
    }

    /// Whether stdout is for machines.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether progress may be drawn on stderr.
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Whether text may be coloured.
    pub fn is_colored(&self) -> bool {
        self.color
    }

    /// A line of the result for people. A reader that has gone away is no error.
    pub fn say(&self, line: impl std::fmt::Display) {
        if self.silent {
            return;
        }
        let _ = if self.json { writeln!(std::io::stderr(), "{line}") } else { writeln!(std::io::stdout(), "{line}") };
    }

    /// A line on what is going on: nothing when quiet or when stdout is JSON.
    pub fn note(&self, line: impl std::fmt::Display) {
        if !self.quiet && !self.json {
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    }

    /// A line of warning, on stderr.
    pub fn warn(&self, line: impl std::fmt::Display) {
        eprintln!("{} {line}", self.paint("warning:", Style::Changed));
    }

    /// One JSON document on a line of stdout, when the user asked for JSON.
    pub fn json(&self, value: &impl Serialize) -> Result<(), CliError> {
        if self.json && !self.silent {
            let text = serde_json::to_string(value)?;
            let _ = writeln!(std::io::stdout(), "{text}");
        }
        Ok(())
    }

    /// Text without a line end, as it stands.
    pub fn raw(&self, text: &str) {
        print!("{text}");
    }

    /// What went wrong, with hints, on stderr.
    pub fn error(&self, error: &CliError) {
        match error.as_config() {
            Some(config) => {
                let theme = if self.color && std::io::stderr().is_terminal() {
                    miette::GraphicalTheme::unicode()
                } else {
                    miette::GraphicalTheme::unicode_nocolor()
                };
                let mut text = String::new();
                if miette::GraphicalReportHandler::new_themed(theme).render_report(&mut text, config).is_err() {
                    text = config.to_string();
                }
                eprintln!("{text}");
            }
            None => eprintln!("{} {error}", self.paint("error:", Style::Bad)),
        }
        for hint in error.hints() {
            eprintln!("hint: {hint}");
        }
    }

    /// `text` in a colour, or as it is.
    pub fn paint(&self, text: impl std::fmt::Display, style: Style) -> String {
        if !self.color {
            return text.to_string();
        }
        let code = match style {
            Style::Good => "32",
            Style::Changed => "33",
            Style::Bad => "31",
            Style::Strong => "1",
            Style::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}
