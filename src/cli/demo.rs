//! `lake demo`

mod mailbox;
mod steps;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    apply,
    cloud::process,
    console::{Console, Style},
    context::Context,
    destroy,
    error::CliError,
    graph,
};

/// Steps that are told, and those of them with `--keep`.
const STEPS: usize = 20;
const STEPS_KEPT: usize = 11;

/// Tells the whole story on the embedded cloud, from nothing, checks every step, and cleans up.
///
/// A project in a temporary folder is planned and applied, CSV files are put, go through a transform and become Parquet,
/// bad rows are set aside, a mail comes; the transform is configured anew and the files are converted again; destroy
/// leaves nothing. Exits with 1 when a step falls short.
///
/// Example: lake demo --keep
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leaves lake and cloud as they are after the data are in, and says how to go on.
    #[arg(long)]
    keep: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let temporary = tempfile::Builder::new().prefix("lake-demo-").tempdir()?;
    let folder = temporary.path().join("flights");
    let inner = context.in_folder(&folder).within_another();
    let mut story = Story::new(&context.console, if args.keep { STEPS_KEPT } else { STEPS });
    let told = tokio::select! {
        told = tell(&mut story, &inner, &folder, args.keep) => told,
        _ = tokio::signal::ctrl_c() => Err(CliError::failed("interrupted")),
    };
    if told.is_ok() && args.keep {
        let folder = temporary.keep().join("flights");
        go_on(&context.console, &folder);
        return story.end(Some(&folder));
    }
    // Also after a failure: nothing that the demo started outlives it.
    let stopped = process::stop(&inner).await;
    temporary.close()?;
    told?;
    stopped?;
    story.end(None)
}

/// The steps of the story, counted and timed.
struct Story<'a> {
    console: &'a Console,
    begun: Instant,
    count: usize,
    steps: Vec<(String, Duration)>,
}

impl<'a> Story<'a> {
    fn new(console: &'a Console, count: usize) -> Self {
        Story { console, begun: Instant::now(), count, steps: Vec::new() }
    }

    /// Tells one step: what is done, what it says, how long it took.
    async fn step<T>(
        &mut self,
        headline: &str,
        work: impl Future<Output = Result<T, CliError>>,
    ) -> Result<T, CliError> {
        let number = format!("[{}/{}]", self.steps.len() + 1, self.count);
        self.console.note(format!(
            "\n{} {}",
            self.console.paint(number, Style::Faint),
            self.console.paint(headline, Style::Strong)
        ));
        let begun = Instant::now();
        let done = work.await.map_err(|error| {
            let told = CliError::failed(format!("the demo fell short at `{headline}`: {error}"));
            error.hints().iter().fold(told, CliError::hint)
        })?;
        let time = begun.elapsed();
        self.console.note(self.console.paint(format!("{:.2} s", time.as_secs_f64()), Style::Faint));
        self.steps.push((headline.to_owned(), time));
        Ok(done)
    }

    fn end(&self, kept: Option<&Path>) -> Result<(), CliError> {
        let seconds = self.begun.elapsed().as_secs_f64();
        let good = self.console.paint("all of it worked", Style::Good);
        self.console.note(format!("\n{good}: {} steps in {seconds:.1} s", self.steps.len()));
        debug_assert_eq!(self.steps.len(), self.count);
        let step = |(headline, time): &(String, Duration)| json!({ "step": headline, "seconds": time.as_secs_f64() });
        let steps: Vec<Value> = self.steps.iter().map(step).collect();
        self.console.json(&json!({ "ok": true, "seconds": seconds, "steps": steps, "kept": kept }))
    }
}

async fn tell(story: &mut Story<'_>, context: &Context, folder: &Path, keep: bool) -> Result<(), CliError> {
    story.step("lake new flights: a dataset, a transform, a mail address", steps::project(context, folder)).await?;
    story.step("lake plan", steps::plan(context)).await?;
    story.step("lake apply --yes", apply::run(apply::Args::yes(), context)).await?;
    story.step("a mail asks whoever is to be told, who opens its link", steps::confirm_mail(context)).await?;
    let months =
        story.step("lake put flights data/flights-2013-*.csv --wait", steps::put_months(context, folder)).await?;
    let bad =
        story.step("lake put flights data/flights-bad-rows.csv --wait", steps::put_bad_rows(context, folder)).await?;
    let placed: Vec<_> = months.into_iter().chain(bad).collect();
    story
        .step("every row is accounted for: read = kept + filtered + rejected", steps::account(context, &placed))
        .await?;
    let classes = story.step("lake show flights", steps::show_table(context)).await?;
    story.step("lake show flights --rejects", steps::show_rejects(context)).await?;
    story.step("the mail that tells of the bad rows", steps::show_mail(context, &placed)).await?;
    story.step("lake status; lake runs", steps::status_and_runs(context)).await?;
    if keep {
        return Ok(());
    }
    story.step("lake.toml: late_minutes = 30, and lake plan", steps::reconfigure(context, folder)).await?;
    story.step("lake apply --yes", apply::run(apply::Args::yes(), context)).await?;
    story.step("lake backfill flights --yes", steps::backfill(context)).await?;
    story.step("the table says so", steps::compare(context, &classes)).await?;
    story.step("lake apply --yes, once more: no changes", steps::apply_again(context)).await?;
    story.step("lake graph", graph::run(graph::Args::tree(), context)).await?;
    story.step("lake destroy --yes", destroy::run(destroy::Args::yes(), context)).await?;
    story.step("nothing is left, by the cloud's own listings", steps::prove_empty(context)).await?;
    story.step("lake cloud stop", async { process::stop(context).await.map(drop) }).await
}

fn go_on(console: &Console, folder: &Path) {
    console.say(format!("\nthe lake stays in {}; go on with", folder.display()));
    for next in [
        format!("cd {}", folder.display()),
        "lake show flights --limit 20".to_owned(),
        "eval \"$(lake cloud env)\" && aws s3 ls".to_owned(),
        "lake destroy --yes && lake cloud stop".to_owned(),
    ] {
        console.say(format!("  {next}"));
    }
}
