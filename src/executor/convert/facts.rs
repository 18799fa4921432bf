//! What the metadata of a Parquet file tells of where its rows came from.

use super::Input;
use crate::{dataset::Transform, executor::Report};

/// Names and values.
pub(super) type Facts = Vec<(&'static str, String)>;

/// What the Parquet's metadata tells. Of several files of a run none has the run's counts: they are not known yet when the
/// first of them end.
pub(super) fn facts(report: &Report, is_only: bool, transform: Option<&Transform>, inputs: &[Input<'_>]) -> Facts {
    let join = |values: Vec<&str>| values.join("\n");
    let etags: Vec<&str> = inputs.iter().filter_map(|input| input.origin.etag.as_deref()).collect();
    let mut facts = vec![
        ("lake.source", join(inputs.iter().map(|input| input.origin.uri.as_str()).collect())),
        ("lake.config_hash", report.config_hash.clone()),
    ];
    if is_only {
        facts.extend([
            ("lake.rows_read", report.read.to_string()),
            ("lake.rows_kept", report.kept.to_string()),
            ("lake.rows_filtered", report.filtered.to_string()),
            ("lake.rows_rejected", report.rejected.to_string()),
            ("lake.rows_exploded", report.exploded.to_string()),
        ]);
    }
    if !etags.is_empty() {
        facts.push(("lake.etag", join(etags)));
    }
    if let Some(transform) = transform {
        let config = serde_json::to_string(&transform.config).expect("BUG: a map of texts always serialises");
        facts.extend([
            ("lake.plugin", transform.name.clone()),
            ("lake.plugin_hash", transform.plugin_hash().to_owned()),
            ("lake.transform_config", config),
        ]);
    }
    facts
}
