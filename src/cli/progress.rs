//! An apply while it runs: bars on a terminal, plain lines elsewhere, JSON lines when asked for.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use crate::{
    apply::Event,
    plan::{Operation, Step},
};

use super::console::{Console, Style};

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// Shows the steps of an apply.
pub struct Progress<'a> {
    console: &'a Console,
    bars: Option<(MultiProgress, ProgressBar)>,
    running: Mutex<HashMap<usize, (Instant, Option<ProgressBar>)>>,
}

impl<'a> Progress<'a> {
    /// Shows `steps` steps on `console`.
    pub fn new(console: &'a Console, steps: usize) -> Self {
        let bars = (console.is_interactive() && steps > 0).then(|| {
            let bars = MultiProgress::new();
            let total = bars.add(ProgressBar::new(steps as u64));
            total.set_style(style("{bar:24} {pos}/{len} {elapsed}"));
            (bars, total)
        });
        Progress { console, bars, running: Mutex::default() }
    }

    /// Shows what happens.
    pub fn event(&self, event: Event<'_>) {
        match event {
            Event::Started(step) => self.started(step),
            Event::Waiting(step, error) => self.json(step, "waiting", Some(&error.message), None),
            Event::Done(step) => self.ended(step, None),
            Event::Failed(step, error) => self.ended(step, Some(error.to_string())),
        }
    }

    /// Takes the bars away.
    pub fn finish(&self) {
        if let Some((_, total)) = &self.bars {
            total.finish_and_clear();
        }
    }

    fn started(&self, step: &Step) {
        let bar = self.bars.as_ref().map(|(bars, total)| {
            let bar = bars.insert_before(total, ProgressBar::new_spinner());
            bar.set_style(style("{spinner} {msg} {elapsed}"));
            bar.set_message(format!("{} {}", step.operation.verb(), step.address));
            bar.enable_steady_tick(TICK);
            bar
        });
        self.lock().insert(key(step), (Instant::now(), bar));
        self.json(step, "started", None, None);
    }

    fn ended(&self, step: &Step, error: Option<String>) {
        let Some((since, bar)) = self.lock().remove(&key(step)) else { return };
        let millis = since.elapsed().as_millis();
        self.json(step, if error.is_some() { "failed" } else { "done" }, error.as_deref(), Some(millis));
        let line = match &error {
            None if matches!(step.operation, Operation::Note(_)) => None,
            None => Some(format!("{} {} {}", self.mark(step), step.address, self.faint(format!("({millis} ms)")))),
            Some(error) => Some(format!("{} {}: {error}", self.console.paint("failed", Style::Bad), step.address)),
        };
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        match (&self.bars, line) {
            (Some((bars, total)), line) => {
                total.inc(1);
                // A terminal that has gone away is no reason to fail.
                let _ = line.map(|line| bars.println(line));
            }
            (None, Some(line)) => self.console.note(line),
            (None, None) => {}
        }
    }

    fn mark(&self, step: &Step) -> String {
        let (text, style) = match step.operation {
            Operation::Create(_) => ("created", Style::Good),
            Operation::Update(_) | Operation::Note(_) => ("updated", Style::Changed),
            Operation::Delete | Operation::DeleteDeposed(_) => ("deleted", Style::Bad),
            Operation::Forget | Operation::ForgetDeposed(_) => ("kept   ", Style::Faint),
        };
        self.console.paint(text, style)
    }

    fn faint(&self, text: String) -> String {
        self.console.paint(text, Style::Faint)
    }

    fn json(&self, step: &Step, state: &str, message: Option<&str>, millis: Option<u128>) {
        let line = json!({
            "event": format!("step_{state}"),
            "address": step.address,
            "operation": step.operation.verb(),
            "message": message,
            "milliseconds": millis.map(|millis| millis as u64),
        });
        // Progress that cannot be told is no reason to stop an apply.
        let _ = self.console.json(&line);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<usize, (Instant, Option<ProgressBar>)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A step is one place in its plan.
fn key(step: &Step) -> usize {
    std::ptr::from_ref(step) as usize
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("BUG: the templates of this file are well formed")
}
