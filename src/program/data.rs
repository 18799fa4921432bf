//! What a dataset leaves behind when it is removed: files in both buckets, its ledger, its tables. Nobody makes them
//! by an apply; they are resources so that a plan shows what becomes of them.

use super::{
    Inputs,
    storage::{Buckets, Catalog},
};
use crate::{
    dataset::{Dataset, ledger_prefixes},
    resource::{
        Handle, Program, Resource,
        aws::{glue::Tables, s3::Prefix},
        concat,
    },
};

/// What the addresses of raw files begin with. No dataset is called so: the place follows.
pub const RAW: &str = "raw/";

/// A dataset's data.
pub(super) struct Data {
    /// The dataset.
    pub dataset: String,
    /// Its CSV files.
    pub raw: Handle<Prefix>,
    /// Its Parquet files, and what the ledger has of it.
    pub processed: Handle<Prefix>,
    /// Its tables. They belong to the database, which does not outlive the lake: who keeps his data, keeps them by not
    /// having them declared.
    pub tables: Option<Handle<Tables>>,
}

impl Data {
    /// `writer` puts something there.
    pub(super) fn written_by<R: Resource>(&self, program: &mut Program, writer: &Handle<R>) {
        program.after(writer, &self.processed);
        self.catalogued_by(program, writer);
    }

    /// `writer` keeps the tables.
    pub(super) fn catalogued_by<R: Resource>(&self, program: &mut Program, writer: &Handle<R>) {
        if let Some(tables) = &self.tables {
            program.after(writer, tables);
        }
    }
}

pub(super) fn declare(program: &mut Program, inputs: &Inputs, buckets: &Buckets, catalog: &Catalog) -> Vec<Data> {
    inputs.datasets.iter().map(|dataset| data(program, inputs, dataset, buckets, catalog)).collect()
}

fn data(program: &mut Program, inputs: &Inputs, dataset: &Dataset, buckets: &Buckets, catalog: &Catalog) -> Data {
    let raw = Prefix {
        bucket: buckets.raw.name(),
        prefix: dataset.source.clone(),
        with: Vec::new(),
        of: dataset.name.clone(),
    };
    // Named after the place, not after the dataset: a dataset that is called otherwise from now on has the same files.
    let raw = program.declare(&format!("{RAW}{}", dataset.source.trim_end_matches('/')), raw);
    let processed = Prefix {
        bucket: buckets.processed.name(),
        prefix: format!("{}/", dataset.name),
        with: ledger_prefixes(&dataset.name),
        of: dataset.name.clone(),
    };
    let processed = program.declare(&dataset.name, processed);
    let retain = inputs.on_destroy_retain;
    if retain {
        program.retain(&raw);
        program.retain(&processed);
    }
    let tables = (!retain).then(|| {
        let source = format!("/{}", dataset.source);
        let tables = Tables {
            database: catalog.database.name(),
            table: dataset.name.clone(),
            crawled: concat(["s3://".into(), (&buckets.raw.name()).into(), source.as_str().into()]),
        };
        program.declare(&dataset.name, tables)
    });
    Data { dataset: dataset.name.clone(), raw, processed, tables }
}
