//! `lake.toml` files, good and bad, and what a person reads about them.

mod transforms;

use super::*;
use crate::dataset::{
    CatalogMode, Column, ColumnType, Compression, CsvOptions, DateOrder, Mark, MaxRejects, Newline, ParquetOptions,
    Ragged, SchemaChange,
};
use insta::assert_snapshot;
use miette::{GraphicalReportHandler, GraphicalTheme};
use proptest::prelude::*;

const MINIMAL: &str = "[lake]\nname = \"flights\"\n";

const FULL: &str = r#"
[lake]
name = "flights"
region = "eu-west-1"
alerts = ["data-team@example.com"]

[stack.prod]
cloud = "aws"
region = "eu-central-1"
profile = "data"
endpoint_url = "https://aws.example.com:4566"
executor = "lake.toml"
on_destroy = "delete"

[stack.test]
cloud = "aws"

[dataset.weather]
source = "in/weather/"

[dataset.flights]
source = "in/flights/"
catalog = "direct"
schema_change = "reject"
max_rejects = "2.5%"
[dataset.flights.csv]
delimiter = "\t"
quote = "'"
header = false
nulls = ["NA", "-"]
encoding = "latin1"
ragged = "pad"
[dataset.flights.transform]
path = "lake.toml"
memory_mb = 256
timeout_seconds = 5
config = { late_minutes = 0x1E, ratio = 0.50, mode = "x", strict = true }
[dataset.flights.schema]
year = "int32"
carrier = "string"
fare = "decimal(10,2)"
[dataset.flights.parquet]
compression = "snappy"
row_group_bytes = 8_388_608
"#;

/// A folder in which `executor = "lake.toml"` and a plugin of that path exist.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE_NAME), FULL).unwrap();
    folder
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, FILE_NAME, Path::new("/nowhere"))
}

/// What a person reads on a terminal without colour.
fn report(text: &str) -> String {
    let error = parse(text).expect_err("this lake.toml is bad");
    let mut report = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(110);
    handler.render_report(&mut report, &error).unwrap();
    report.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Each problem as two lines: place and message, then the advice.
fn problems(text: &str) -> String {
    let error = parse(text).expect_err("this lake.toml is bad");
    let line = |problem: &Problem| format!("{problem}\n  {}", problem.advice().unwrap_or("-"));
    error.problems().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_option_is_read() {
    let folder = project();
    let config = Config::load(folder.path()).unwrap();
    assert_eq!(config.root, folder.path());
    assert_eq!(
        config.lake,
        Lake { name: "flights".into(), region: "eu-west-1".into(), alerts: vec!["data-team@example.com".into()] }
    );
    assert_eq!(
        config.stack("prod").unwrap(),
        &Stack {
            name: "prod".into(),
            target: Target::Aws {
                profile: Some("data".into()),
                endpoint_url: Some("https://aws.example.com:4566".into())
            },
            on_destroy: OnDestroy::Delete,
            executor: Some(folder.path().join(FILE_NAME)),
            state: None,
            region: "eu-central-1".into(),
        }
    );
    let [weather, flights] = config.datasets.as_slice() else { panic!("two datasets, in file order") };
    let by_default = Dataset { catalog: CatalogMode::Crawler, ..Dataset::new("weather", "in/weather/") };
    assert_eq!(weather, &by_default);
    let column = |name: &str, ty| Column { name: name.into(), ty };
    assert_eq!(
        flights,
        &Dataset {
            name: "flights".into(),
            source: "in/flights/".into(),
            catalog: CatalogMode::Direct,
            csv: CsvOptions {
                delimiter: Some('\t'),
                quote: Some('\''.into()),
                header: Some(false),
                nulls: Some(vec!["NA".into(), "-".into()]),
                encoding: Some("windows-1252".into()),
                ragged: Ragged::Pad,
                ..CsvOptions::default()
            },
            schema: Some(vec![
                column("year", ColumnType::Int32),
                column("carrier", ColumnType::String),
                column("fare", ColumnType::Decimal { precision: 10, scale: 2 }),
            ]),
            schema_change: Some(SchemaChange::Reject),
            max_rejects: Some(MaxRejects::Percent { millionths: 25_000 }),
            transform: None,
            partition_by: Vec::new(),
            parquet: ParquetOptions {
                compression: Compression::Snappy,
                row_group_bytes: 8 << 20,
                ..ParquetOptions::default()
            },
        }
    );
    let transform = &config.transforms["flights"];
    assert_eq!(transform.path, folder.path().join(FILE_NAME));
    let told: Vec<_> = transform.config.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(told, ["late_minutes=30", "mode=x", "ratio=0.5", "strict=true"]);
    assert_eq!((transform.memory_mb, transform.call_seconds), (256, 5));
    assert_eq!(config.transforms.len(), 1);
}

#[test]
fn the_example_is_read_as_it_stands_and_with_every_commented_option() {
    let text = include_str!("../../examples/flights/lake.toml");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flights");
    let parse = |text: &str| Config::parse(text, FILE_NAME, &folder);
    let config = parse(text).unwrap();
    assert_eq!(config.datasets, [Dataset { catalog: CatalogMode::Crawler, ..Dataset::new("flights", "flights/") }]);
    assert_eq!(config.stacks.keys().collect::<Vec<_>>(), ["local"]);
    assert!(config.transforms["flights"].path.ends_with("plugins/clean-flights"));

    let is_option = |line: &str| line.starts_with('[') || line.split_once(" =").is_some_and(|(key, _)| !key.is_empty());
    let uncommented: Vec<&str> =
        text.lines().map(|line| line.strip_prefix("# ").filter(|rest| is_option(rest)).unwrap_or(line)).collect();
    let config = parse(&uncommented.join("\n")).unwrap();
    assert!(config.stack("prod").is_ok());
    let data = include_str!("../../examples/flights/data/flights-2013-01.csv");
    let columns: Vec<&str> = data.lines().next().unwrap().split(',').collect();
    let contract: Vec<&str> =
        config.datasets[0].schema.as_ref().unwrap().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(contract, columns);
    assert_eq!(config.datasets[0].partition_by, ["origin"]);
    assert_eq!(
        config.datasets[0].parquet,
        ParquetOptions {
            compression_level: Some(1),
            target_file_bytes: Some(256 << 20),
            bloom_filters: vec!["carrier".into()],
            sort_by: vec!["time_hour".into()],
            ..ParquetOptions::default()
        }
    );
}

#[test]
fn a_lake_of_one_line_has_the_local_stack_on_the_embedded_cloud() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(config.stack("local").unwrap(), &Stack::embedded("local", DEFAULT_REGION));
    assert_eq!(config.stack("local").unwrap().on_destroy, OnDestroy::Delete);
    assert!(config.datasets.is_empty() && config.lake.alerts.is_empty());
}

#[test]
fn buckets_on_aws_are_kept_unless_the_stack_says_otherwise() {
    let config = parse("[lake]\nname = \"a\"\nregion = \"eu-west-1\"\n[stack.prod]\ncloud = \"aws\"").unwrap();
    let stack = config.stack("prod").unwrap();
    assert_eq!((stack.on_destroy, stack.region.as_str()), (OnDestroy::Retain, "eu-west-1"));
}

#[test]
fn the_hash_follows_the_meaning_not_the_spelling_nor_the_folder() {
    let (one, other) = (project(), project());
    let hash = |folder: &Path, text: &str| Config::parse(text, FILE_NAME, folder).unwrap().hash;
    let first = hash(one.path(), FULL);
    assert_eq!(first.len(), 16);
    assert_eq!(first, hash(other.path(), &FULL.replace("# ", "#").replace("8_388_608", "0x80_0000")));
    assert_ne!(first, hash(one.path(), &FULL.replace("int32", "int64")));
    assert_ne!(first, hash(one.path(), &FULL.replace("in/weather/", "weather/")));
    assert_ne!(first, hash(one.path(), &FULL.replace("mode = \"x\"", "mode = \"y\"")));
    assert_ne!(first, hash(one.path(), &FULL.replace("memory_mb = 256", "memory_mb = 128")));
}

#[test]
fn an_unknown_key_is_shown_with_its_line_and_the_likely_one() {
    let text = format!("{MINIMAL}\n[dataset.f]\nsource = \"f/\"\n[dataset.f.parquet]\nconpression = \"zstd\"\n");
    assert_snapshot!(report(&text), @r#"
     × lake.toml:7: unknown key `conpression` in [dataset.f.parquet]
      ╭─[lake.toml:7:1]
    6 │ [dataset.f.parquet]
    7 │ conpression = "zstd"
      · ─────┬─────
      ·      ╰── not a key of lake.toml
      ╰────
     help: did you mean `compression`?
    "#);
}

#[test]
fn every_problem_of_a_file_is_shown_at_once() {
    let text =
        "[lake]\nname = \"Flights\"\nregion = 7\n\n[stack.prod]\ncloud = \"azure\"\n\n[dataset.f]\nsource = \"f\"\n";
    assert_snapshot!(report(text), @r#"
      × lake.toml:2: "Flights" cannot be used as `lake.name` (and 3 more problems)
       ╭─[lake.toml:2:8]
     1 │ [lake]
     2 │ name = "Flights"
       ·        ────┬────
       ·            ╰── refused
     3 │ region = 7
       ╰────
      help: allowed are lower-case letters, digits and hyphens, beginning with a letter

    Error:
      × lake.toml:3: `lake.region` must be a string, not an integer
       ╭─[lake.toml:3:10]
     2 │ name = "Flights"
     3 │ region = 7
       ·          ┬
       ·          ╰── a string belongs here
     4 │
       ╰────

    Error:
      × lake.toml:6: `azure` is not a value of `stack.prod.cloud`
       ╭─[lake.toml:6:9]
     5 │ [stack.prod]
     6 │ cloud = "azure"
       ·         ───┬───
       ·            ╰── not known
     7 │
       ╰────
      help: possible values: embedded, aws

    Error:
      × lake.toml:9: "f" cannot be used as `dataset.f.source`
       ╭─[lake.toml:9:10]
     8 │ [dataset.f]
     9 │ source = "f"
       ·          ─┬─
       ·           ╰── refused
       ╰────
      help: it must end with `/`, so that it cannot match half a name
    "#);
    assert_eq!(
        parse(text).unwrap_err().to_string(),
        "lake.toml:2: \"Flights\" cannot be used as `lake.name` (and 3 more problems)"
    );
}

#[test]
fn overlapping_sources_point_at_both() {
    let text = format!("{MINIMAL}[dataset.a]\nsource = \"in/\"\n\n\n\n[dataset.b]\nsource = \"in/b/\"\n");
    assert_snapshot!(report(&text), @r#"
     × lake.toml:9: the sources of datasets `a` and `b` overlap
      ╭─[lake.toml:9:10]
    3 │ [dataset.a]
    4 │ source = "in/"
      ·          ──┬──
      ·            ╰── `a` is here
    5 │
    6 │
    7 │
    8 │ [dataset.b]
    9 │ source = "in/b/"
      ·          ───┬───
      ·             ╰── a file under both would belong to two datasets
      ╰────
     help: give each dataset a prefix of its own, neither of them the beginning of the other
    "#);
}

#[test]
fn what_is_not_toml_is_shown_where_it_begins() {
    assert_snapshot!(report("[lake]\nname = flights\n"), @r#"
     × lake.toml:2: invalid boolean, expected `false`
      ╭─[lake.toml:2:8]
    1 │ [lake]
    2 │ name = flights
      ·        ───┬───
      ·           ╰── here
      ╰────
     help: strings stand in quotes, such as name = "flights"
    "#);
    assert_snapshot!(report("[lake]\nname = \"a\"\nname = \"b\"\n"), @r#"
     × lake.toml:3: duplicate key
      ╭─[lake.toml:3:1]
    2 │ name = "a"
    3 │ name = "b"
      · ──┬─
      ·   ╰── here
      ╰────
    "#);
}

#[test]
fn a_place_for_state_is_a_bucket_and_a_prefix_and_is_refused_at_its_line_otherwise() {
    let place = |url: &str| {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("{MINIMAL}[stack.prod]\nstate = \"{url}\"\n");
        fs::write(folder.path().join(FILE_NAME), text).unwrap();
        let config = Config::load(folder.path()).unwrap();
        let state = config.stack("prod").unwrap().state.clone().unwrap();
        (state.bucket.clone(), state.prefix.clone(), state.folder("prod"))
    };
    let triple = |one: &str, two: &str, three: &str| (one.to_owned(), two.to_owned(), three.to_owned());
    assert_eq!(place("s3://my-state/team/lake/"), triple("my-state", "team/lake", "team/lake/prod"));
    assert_eq!(place("s3://my-state"), triple("my-state", "", "prod"));

    let text = format!("{MINIMAL}[stack.prod]\nstate = \"gs://bucket/key\"\n");
    assert_snapshot!(problems(&text), @r#"
    lake.toml:4: `stack.prod.state` cannot be used: it does not begin with `s3://`
      it looks like `s3://bucket/prefix`; without it, state is kept in the project's folder, under state/prod/
    "#);
    for (url, reason) in [
        ("s3://", "cannot be the name of a bucket"),
        ("s3://No/x", "cannot be the name of a bucket"),
        ("s3://a..b/x", "cannot be the name of a bucket"),
        ("s3://bucket//x", "between single slashes"),
        ("s3://bucket/a/../b", "between single slashes"),
    ] {
        let told = problems(&format!("{MINIMAL}[stack.prod]\nstate = \"{url}\"\n"));
        assert!(told.contains(reason), "{url}: {told}");
    }
}

#[test]
fn the_lake_needs_a_name_and_sound_values() {
    assert_snapshot!(problems(""), @r#"
    lake.toml:1: there is no section [lake]
      begin the file with `[lake]`, and `name = "my-lake"` below it
    "#);
    assert_snapshot!(problems("[lake]\nregion = \"eu-west-1\"\n"), @r"
    lake.toml:1: [lake] has no `name`
      `name` is a short name that every physical name begins with
    ");
    assert_snapshot!(problems("lake = \"flights\"\n"), @r"
    lake.toml:1: `lake` must be a table, not a string
      write `[lake]` on a line of its own, and its keys below
    ");
    assert_snapshot!(problems("name = \"flights\"\n[lake]\nname = 1\n"), @r"
    lake.toml:1: unknown key `name` at the top level
      `name` belongs in [lake]
    lake.toml:3: `lake.name` must be a string, not an integer
      -
    ");
    let alerts = "[\"a@b.c\", \"x\", 1, \"a@b.c\"]";
    let text = format!("[lake]\nname = \"sthree\"\nregion = \"Ireland\"\nalerts = {alerts}\n");
    assert_snapshot!(problems(&text), @r#"
    lake.toml:2: "sthree" cannot be used as `lake.name`
      S3 reserves bucket names that begin with `sthree-`
    lake.toml:3: "Ireland" cannot be used as `lake.region`
      a region's code looks like `eu-west-1`
    lake.toml:4: "x" cannot be used as `lake.alerts`
      an address looks like `someone@example.com`
    lake.toml:4: every item of `lake.alerts` must be a string, not an integer
      -
    lake.toml:4: "a@b.c" cannot be used as `lake.alerts`
      it is listed twice
    "#);
    assert_snapshot!(problems("[lake]\nname = \"a\"\nalerts = \"a@b.c\"\n"), @r"
    lake.toml:3: `lake.alerts` must be a list of strings, not a string
      -
    ");
}

#[test]
fn stacks_need_sound_values() {
    let text = format!(
        "{MINIMAL}[stack.Prod]\n[stack.local]\nprofile = \"x\"\nendpoint_url = \"http://localhost\"\n\
         [stack.aws]\ncloud = \"aws\"\nendpoint_url = \"localhost:4566\"\nexecutor = \"missing/lake\"\n\
         on_destroy = \"keep\"\nregoin = \"eu-west-1\"\n"
    );
    assert_snapshot!(problems(&text), @r#"
    lake.toml:3: "Prod" cannot be the name of a stack
      allowed are lower-case letters, digits and hyphens, beginning with a letter
    lake.toml:5: `stack.local.profile` has no meaning on the embedded cloud
      add `cloud = "aws"` to [stack.local], or take `profile` out
    lake.toml:6: `stack.local.endpoint_url` has no meaning on the embedded cloud
      add `cloud = "aws"` to [stack.local], or take `endpoint_url` out
    lake.toml:7: [stack.aws] has no region
      write `region = "eu-west-1"` here or in [lake]
    lake.toml:9: `stack.aws.endpoint_url` cannot be used: it must begin with `http://` or `https://`
      it looks like `https://aws.example.com:4566`
    lake.toml:10: "missing/lake" cannot be used as `stack.aws.executor`
      /nowhere/missing/lake: No such file or directory (os error 2)
    lake.toml:11: `keep` is not a value of `stack.aws.on_destroy`
      possible values: retain, delete
    lake.toml:12: unknown key `regoin` in [stack.aws]
      did you mean `region`?
    "#);
}

#[test]
fn with_a_transform_the_contract_does_not_say_which_columns_the_table_has() {
    let sorted_by_another = |transform: &str| {
        let dataset = format!("[dataset.d]\nsource = \"d/\"\n{transform}[dataset.d.schema]\nid = \"int64\"\n");
        problems(&format!("{MINIMAL}{dataset}[dataset.d.parquet]\nsort_by = [\"made\"]\n[dataset.d.csv]\nquote = 1\n"))
    };
    assert!(sorted_by_another("").contains("no column `made`"));
    assert!(!sorted_by_another("transform = \"made\"\n").contains("no column `made`"));
}

#[test]
fn parquet_options_name_columns_of_the_contract_and_levels_of_the_codec() {
    let text = format!(
        "{MINIMAL}[dataset.d]\nsource = \"d/\"\n[dataset.d.schema]\nid = \"int64\"\nflag = \"boolean\"\n\
         [dataset.d.parquet]\ncompression_level = 22\nbloom_filters = [\"id\", \"flag\"]\n\
         sort_by = [\"id\", \"no\", \"id\"]\n"
    );
    assert_snapshot!(problems(&text), @r"
    lake.toml:9: `dataset.d.parquet.compression_level` is out of range
      from 1 (fast, the default) to 19 (small)
    lake.toml:10: `dataset.d.parquet.bloom_filters`: `flag` is boolean
      a bloom filter helps where there are many values, not two
    lake.toml:11: `dataset.d.parquet.sort_by`: the dataset has no column `no`
      its columns are those of the dataset's `schema`
    lake.toml:11: `dataset.d.parquet.sort_by` names `id` twice
      take one of them out
    ");
}

#[test]
fn a_dataset_is_partitioned_by_columns_that_make_folders() {
    let text = format!(
        "{MINIMAL}[dataset.d]\nsource = \"d/\"\npartition_by = [\"day\", \"at\", \"no\", \"day\"]\n\
         [dataset.d.schema]\nid = \"int64\"\nday = \"date\"\nat = \"timestamp\"\n\
         [dataset.d.parquet]\nsort_by = [\"day\"]\ntarget_file_bytes = 100\n\
         [dataset.e]\nsource = \"e/\"\npartition_by = [\"a\"]\n[dataset.e.schema]\na = \"date\"\n"
    );
    assert_snapshot!(problems(&text), @r"
    lake.toml:5: `dataset.d.partition_by`: `at` is timestamp
      a table is partitioned by text, whole numbers, dates or booleans
    lake.toml:5: `dataset.d.partition_by`: the dataset has no column `no`
      its columns are those of the dataset's `schema`
    lake.toml:5: `dataset.d.partition_by` names `day` twice
      take one of them out
    lake.toml:11: `dataset.d.parquet.sort_by`: `day` is a partition column
      in each file it has one value only
    lake.toml:12: `dataset.d.parquet.target_file_bytes` is out of range
      from 1048576 to 68719476736; the default is none: one file
    lake.toml:15: `dataset.e.partition_by` names every column of the table
      take one out: at least one must be in the files
    ");
    let text =
        "[dataset.d]\nsource = \"d/\"\npartition_by = [\"year\"]\n[dataset.d.parquet]\ntarget_file_bytes = 1048576\n";
    let config = parse(&format!("{MINIMAL}{text}")).unwrap();
    assert_eq!(config.datasets[0].partition_by, ["year"]);
    assert_eq!(config.datasets[0].parquet.target_file_bytes, Some(1 << 20));
    let flat = Dataset { partition_by: Vec::new(), ..config.datasets[0].clone() };
    assert_ne!(config.datasets[0].config_hash(), flat.config_hash());
}

#[test]
fn datasets_need_sound_values() {
    let text = format!(
        "{MINIMAL}[dataset._lake]\nsource = \"a/\"\n[dataset.b]\n[dataset.c]\nsource = \"/c/\"\n\
         compression = \"zstd\"\ndelimiter = \";\"\n[dataset.d]\nsource = \"d/\"\ncsv = 1\n[dataset.d.parquet]\n\
         compression = \"ZSTD\"\nrow_group_bytes = 10\n"
    );
    assert_snapshot!(problems(&text), @r#"
    lake.toml:3: "_lake" cannot be the name of a dataset
      names that begin with an underscore are lake's own
    lake.toml:5: [dataset.b] has no `source`
      `source` is the prefix in the raw bucket where its files arrive, such as "b/"
    lake.toml:7: "/c/" cannot be used as `dataset.c.source`
      it must not begin with `/`: keys in S3 do not
    lake.toml:8: unknown key `compression` in [dataset.c]
      `compression` belongs in [dataset.c.parquet]
    lake.toml:9: unknown key `delimiter` in [dataset.c]
      `delimiter` belongs in [dataset.c.csv]
    lake.toml:12: `dataset.d.csv` must be a table, not an integer
      write `[dataset.d.csv]` on a line of its own, and its keys below
    lake.toml:14: `ZSTD` is not a value of `dataset.d.parquet.compression`
      did you mean `zstd`?
    lake.toml:15: `dataset.d.parquet.row_group_bytes` is out of range
      from 1048576 to 67108864; the default is 33554432
    "#);
    assert_snapshot!(problems(&format!("{MINIMAL}[[dataset]]\nname = \"f\"\n")), @r"
    lake.toml:3: `dataset` must be a table, not an array
      write `[dataset.NAME]` on a line of its own, and its keys below
    ");
}

#[test]
fn what_becomes_of_files_that_differ_is_said_in_known_words_and_a_contract_does_not_evolve() {
    let text = format!(
        "{MINIMAL}[dataset.a]\nsource = \"a/\"\nschema_change = \"evolv\"\nmax_rejects = \"5\"\nragged = \"pad\"\n\
         [dataset.a.csv]\nragged = \"drop\"\n\
         [dataset.b]\nsource = \"b/\"\nschema_change = \"evolve\"\nmax_rejects = -1\n[dataset.b.schema]\nx = \"date\"\n\
         [dataset.c]\nsource = \"c/\"\nmax_rejects = 0.1\n"
    );
    assert_snapshot!(problems(&text), @r#"
    lake.toml:5: `evolv` is not a value of `dataset.a.schema_change`
      did you mean `evolve`?
    lake.toml:6: "5" cannot be used as `dataset.a.max_rejects`
      it must be a number of rows, or a share of them from "0%" to "100%" with at most four decimals
    lake.toml:7: unknown key `ragged` in [dataset.a]
      `ragged` belongs in [dataset.a.csv]
    lake.toml:9: `drop` is not a value of `dataset.a.csv.ragged`
      possible values: reject, pad, fail
    lake.toml:12: [dataset.b] cannot evolve: its contract says which columns it has
      with a contract, `freeze` refuses files with other columns, and `reject` sets aside the rows that have a value in one; add new columns to the contract, or take it out
    lake.toml:13: `dataset.b.max_rejects` is out of range
      a number of rows from 0 on, or a share such as "1%"
    lake.toml:18: `dataset.c.max_rejects` must be an integer, not a float
      -
    "#);
    let read =
        |lines: &str| parse(&format!("{MINIMAL}[dataset.a]\nsource = \"a/\"\n{lines}")).unwrap().datasets.remove(0);
    let contract = "[dataset.a.schema]\nx = \"date\"\n";
    assert_eq!(read(&format!("schema_change = \"reject\"\n{contract}")).schema_change(), SchemaChange::Reject);
    assert_eq!(read(contract).schema_change(), SchemaChange::Freeze);
    assert_eq!(read("max_rejects = 0\n").max_rejects, Some(MaxRejects::Rows(0)));
}

#[test]
fn csv_options_are_single_ascii_characters_and_a_known_encoding() {
    let text = format!(
        "{MINIMAL}[dataset.a]\nsource = \"a/\"\n[dataset.a.csv]\ndelimiter = \"tab\"\nquote = \"»\"\n\
         header = \"yes\"\nnulls = \"NA\"\nencoding = \"utf-9\"\n\
         [dataset.b]\nsource = \"b/\"\n[dataset.b.csv]\ndelimiter = \"|\"\nquote = \"|\"\nnulls = [\"NA\", 0]\n\
         [dataset.c]\nsource = \"c/\"\n[dataset.c.csv]\ndelimiter = \"\\n\"\nquote = \"\"\n"
    );
    assert_snapshot!(problems(&text), @r#"
    lake.toml:6: "tab" cannot be used as `dataset.a.csv.delimiter`
      it must be one ASCII character, such as "," or "\t"
    lake.toml:7: "»" cannot be used as `dataset.a.csv.quote`
      it must be one ASCII character, such as "," or "\t"
    lake.toml:8: `dataset.a.csv.header` must be true or false, not a string
      -
    lake.toml:9: `dataset.a.csv.nulls` must be a list of strings, not a string
      -
    lake.toml:10: `utf-9` is not an encoding that lake knows
      labels are those of the WHATWG: `utf-8`, `utf-16le`, `utf-16be`, `windows-1252`, `iso-8859-2`, …
    lake.toml:15: the quote and the delimiter are the same character
      leave both out: lake finds them out from the file
    lake.toml:16: every item of `dataset.b.csv.nulls` must be a string, not an integer
      -
    lake.toml:20: "\n" cannot be used as `dataset.c.csv.delimiter`
      '\n' cannot be it
    "#);
}

#[test]
fn each_item_of_a_dialect_can_be_set() {
    let text = format!(
        "{MINIMAL}[dataset.a]\nsource = \"a/\"\n[dataset.a.csv]\nquote = \"\"\nescape = \"\\\\\"\nnewline = \"cr\"\n\
         skip_lines = 3\nheader_rows = 2\ncomment = \"#\"\ndate_order = \"dmy\"\ndecimal_comma = true\n\
         [dataset.a.csv.column_nulls]\nprice = [\"-\", \"n/a\"]\n"
    );
    let config = parse(&text).unwrap();
    assert_eq!(
        config.datasets[0].csv,
        CsvOptions {
            quote: Some(Mark::NONE),
            escape: Some('\\'.into()),
            newline: Some(Newline::Cr),
            skip_lines: Some(3),
            header_rows: Some(2),
            comment: Some('#'),
            date_order: Some(DateOrder::Dmy),
            decimal_comma: Some(true),
            column_nulls: BTreeMap::from([("price".into(), vec!["-".into(), "n/a".into()])]),
            ..CsvOptions::default()
        }
    );
}

#[test]
fn a_dialect_that_contradicts_itself_is_refused() {
    let text = format!(
        "{MINIMAL}[dataset.a]\nsource = \"a/\"\n[dataset.a.csv]\ndelimiter = \"#\"\ncomment = \"#\"\nescape = \"#\"\n\
         header = true\nheader_rows = 0\nskip_lines = -1\nnewline = \"crlf\"\ndate_order = \"ymd\"\n\
         column_nulls = {{ \"A b\" = [\"-\"], c = \"-\" }}\n"
    );
    assert_snapshot!(problems(&text), @r#"
    lake.toml:7: the comment and the delimiter are the same character
      one of them must be another
    lake.toml:8: the escape and the delimiter are the same character
      one of them must be another
    lake.toml:10: `header` and `header_rows` of [dataset.a.csv] say different things
      set one of them: header_rows = 0 is no header
    lake.toml:11: `dataset.a.csv.skip_lines` is out of range
      from 0 to 10000
    lake.toml:12: `crlf` is not a value of `dataset.a.csv.newline`
      possible values: lf, cr
    lake.toml:13: `ymd` is not a value of `dataset.a.csv.date_order`
      possible values: dmy, mdy
    lake.toml:14: "A b" cannot be a column of [dataset.a.csv.column_nulls]
      allowed are lower-case letters, digits and underscores, beginning with a letter or underscore
    lake.toml:14: `dataset.a.csv.column_nulls.c` must be a list of strings, not a string
      -
    "#);
}

#[test]
fn contracts_have_lower_case_columns_of_known_types() {
    let text = format!(
        "{MINIMAL}[dataset.a]\nsource = \"a/\"\n[dataset.a.schema]\nyear = \"int\"\nYear = \"int64\"\n\
         \"Dep Time\" = \"timestmap\"\nfare = \"decimal(40,2)\"\nx = 1\n\"日\" = \"date\"\n\
         [dataset.b]\nsource = \"b/\"\n[dataset.b.schema]\n"
    );
    assert_snapshot!(problems(&text), @r#"
    lake.toml:6: `int` is not a column type
      did you mean `int64`?
    lake.toml:7: "Year" cannot be a column of [dataset.a.schema]
      catalogs know lower case only: it would collide with the column `year`
    lake.toml:8: "Dep Time" cannot be a column of [dataset.a.schema]
      write `dep_time`: header names are matched to it without case
    lake.toml:8: `timestmap` is not a column type
      did you mean `timestamp`?
    lake.toml:9: `decimal(40,2)` is not a column type
      types: boolean, int32, int64, double, decimal(1..38,scale), date, timestamp, string
    lake.toml:10: `dataset.a.schema.x` must be a string, not an integer
      -
    lake.toml:11: "日" cannot be a column of [dataset.a.schema]
      allowed are lower-case letters, digits and underscores, beginning with a letter or underscore
    lake.toml:14: [dataset.b.schema] has no columns
      write `column = "type"` lines, or take the section out to have the types found out
    "#);
}

#[test]
fn secrets_in_the_file_are_never_repeated() {
    let text = format!(
        "{MINIMAL}[stack.prod]\ncloud = \"aws\"\nregion = \"eu-west-1\"\n\
         endpoint_url = \"http://me:hunter2@localhost\"\naws_secret_access_key = \"hunter2\"\n[stack.local]\n\
         endpoint_url = \"http://me:hunter2@localhost\"\n"
    );
    let (shown, error) = (report(&text), parse(&text).unwrap_err());
    assert!(!format!("{shown}{error}{error:?}").contains("hunter2"), "{shown}");
    assert_eq!(error.problems().count(), 3);

    let broken = "[lake\npassword = \"hunter2\"\nurl = \"https://me:hunter2@host\" oops\n";
    assert!(!report(broken).contains("hunter2"), "also when the file is not TOML");
}

#[test]
fn a_folder_without_a_lake_says_how_to_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let error = Config::load(folder.path()).unwrap_err();
    assert!(error.to_string().starts_with("there is no lake.toml in "), "{error}");
    assert!(error.problems().next().unwrap().advice().unwrap().contains("lake new"));

    fs::create_dir(folder.path().join(FILE_NAME)).unwrap();
    let error = Config::load(folder.path()).unwrap_err();
    assert!(error.to_string().starts_with("cannot read "), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_file_that_is_not_utf_8_names_the_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE_NAME), b"[lake]\nname = \"caf\xe9\"\n").unwrap();
    let error = Config::load(folder.path()).unwrap_err();
    assert!(error.to_string().ends_with("lake.toml:2: this is not UTF-8"), "{error}");
}

#[test]
fn a_stack_that_is_not_written_is_refused_with_the_likely_one() {
    let config = parse(&format!("{MINIMAL}[stack.prod]\n")).unwrap();
    let error = config.stack("prdo").unwrap_err();
    let advice = error.problems().next().unwrap().advice().unwrap().to_owned();
    assert_snapshot!(format!("{error}\n  {advice}"), @r"
    there is no stack `prdo` in /nowhere/lake.toml
      did you mean `prod`?
    ");
}

#[test]
fn more_datasets_than_the_bucket_has_notifications_are_refused_at_the_first_too_many() {
    let sections = |count: usize| -> String {
        (0..count).map(|number| format!("[dataset.d{number}]\nsource = \"p{number}/\"\n")).collect()
    };
    assert_eq!(parse(&format!("{MINIMAL}{}", sections(100))).unwrap().datasets.len(), 100);
    let error = parse(&format!("{MINIMAL}{}", sections(103))).unwrap_err();
    assert_eq!(error.problems().count(), 1);
    assert!(error.to_string().ends_with("a lake has at most 100 datasets"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is typed into a lake.toml, the answer is a value or an error that renders.
    #[test]
    fn no_edit_of_a_file_makes_reading_it_panic(
        at in 0..FULL.len(),
        cut in 0..40usize,
        typed in "[\\PC\\n\"\\[\\]=.]{0,6}",
    ) {
        let end = (at + cut).min(FULL.len());
        let text = format!("{}{typed}{}", &FULL[..at], &FULL[end..]);
        if let Err(error) = parse(&text) {
            let mut rendered = String::new();
            GraphicalReportHandler::new().render_report(&mut rendered, &error).unwrap();
            prop_assert!(rendered.contains(FILE_NAME));
        }
    }
}
