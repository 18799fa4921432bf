//! A lake, put together from its parts.

use super::{Inputs, crawl, data, dataset, events, function::Ground, storage, watch};
use crate::resource::Program;

pub(super) fn declare(program: &mut Program, inputs: &Inputs) {
    let buckets = storage::buckets(program, inputs);
    let catalog = storage::catalog(program, inputs, &buckets);
    let code = storage::code(program, inputs, &buckets);
    let dead_letters = events::dead_letters(program, inputs);
    let alerts = events::alerts(program, inputs);
    let data = data::declare(program, inputs, &buckets, &catalog);
    let crawlers = crawl::declare(program, inputs, &buckets, &catalog, &data);
    let ground = Ground {
        inputs,
        buckets: &buckets,
        catalog: &catalog,
        code: &code,
        dead_letters: &dead_letters,
        crawlers: crawlers.as_ref(),
        data: &data,
    };
    let convert = ground.convert(program);
    let intake = ground.intake(program, &convert);
    let sweep = ground.sweep(program, &convert);
    events::job_rules(program, inputs, &alerts, &dead_letters);
    if let Some(crawlers) = &crawlers {
        events::crawl_rules(program, inputs, crawlers, &convert, &dead_letters);
    }
    events::sweep_schedule(program, inputs, &sweep, &dead_letters);
    events::notifications(program, inputs, &buckets, &data, (&intake, &convert));
    let functions = [("intake", &intake), ("convert", &convert), ("sweep", &sweep)];
    watch::declare(program, inputs, &functions, &dead_letters, &alerts);

    program.output("raw_bucket", buckets.raw.name());
    program.output("processed_bucket", buckets.processed.name());
    program.output("database", catalog.database.name());
    program.output("alerts_topic", alerts.arn());
    program.output("dead_letters_queue", dead_letters.url());
    for (name, deployed) in functions {
        program.output(&format!("{name}_function"), deployed.function.name());
    }
    for (dataset, crawler) in crawlers.iter().flat_map(|crawlers| &crawlers.by_dataset) {
        program.output(&format!("crawler_{dataset}"), crawler.name());
    }
    for dataset in &inputs.datasets {
        dataset::output(program, dataset, &buckets);
    }
}
