//! `lake.toml` files, good and bad, and what a person reads about them.

use super::*;
use crate::dataset::{CatalogMode, Column, ColumnType, Compression, CsvOptions, ParquetOptions};
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
[dataset.flights.csv]
delimiter = "\t"
quote = "'"
header = false
nulls = ["NA", "-"]
encoding = "latin1"
[dataset.flights.schema]
year = "int32"
carrier = "string"
fare = "decimal(10,2)"
[dataset.flights.parquet]
compression = "snappy"
row_group_bytes = 8_388_608
"#;

/// A folder in which `executor = "lake.toml"` exists.
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

/// Each problem on a line: place, message, advice.
fn problems(text: &str) -> String {
    let error = parse(text).expect_err("this lake.toml is bad");
    let line = |problem: &Problem| format!("{problem} | {}", problem.advice().unwrap_or("-"));
    error.problems().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_option_is_read() {
    let folder = project();
    let config = Config::load(folder.path()).unwrap();
    assert_eq!(config.root, folder.path());
    assert_eq!(
        config.lake,
        Lake {
            name: "flights".into(),
            region: "eu-west-1".into(),
            alerts: vec!["data-team@example.com".into()]
        }
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
    assert_eq!(weather, &Dataset::new("weather", "in/weather/"));
    let column = |name: &str, ty| Column { name: name.into(), ty };
    assert_eq!(
        flights,
        &Dataset {
            name: "flights".into(),
            source: "in/flights/".into(),
            catalog: CatalogMode::Direct,
            csv: CsvOptions {
                delimiter: Some('\t'),
                quote: Some('\''),
                header: Some(false),
                nulls: Some(vec!["NA".into(), "-".into()]),
                encoding: Some("windows-1252".into()),
            },
            schema: Some(vec![
                column("year", ColumnType::Int32),
                column("carrier", ColumnType::String),
                column("fare", ColumnType::Decimal { precision: 10, scale: 2 }),
            ]),
            parquet: ParquetOptions { compression: Compression::Snappy, row_group_bytes: 8 << 20 },
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
}

#[test]
fn an_unknown_key_is_shown_with_its_line_and_the_likely_one() {
    let text = format!("{MINIMAL}\n[dataset.f]\nsource = \"f/\"\n[dataset.f.parquet]\nconpression = \"zstd\"\n");
    assert_snapshot!(report(&text), @"");
}

#[test]
fn every_problem_of_a_file_is_shown_at_once() {
    let text = "[lake]\nname = \"Flights\"\nregion = 7\n\n[stack.prod]\ncloud = \"azure\"\n\n[dataset.f]\nsource = \"f\"\n";
    assert_snapshot!(report(text), @"");
    assert_eq!(parse(text).unwrap_err().to_string(), "");
}

#[test]
fn overlapping_sources_point_at_both() {
    let text = format!("{MINIMAL}[dataset.a]\nsource = \"in/\"\n\n\n\n[dataset.b]\nsource = \"in/b/\"\n");
    assert_snapshot!(report(&text), @"");
}

#[test]
fn what_is_not_toml_is_shown_where_it_begins() {
    assert_snapshot!(report("[lake]\nname = flights\n"), @"");
    assert_snapshot!(report("[lake]\nname = \"a\"\nname = \"b\"\n"), @"");
}

#[test]
fn what_is_yet_to_come_is_refused_as_such() {
    let text = format!(
        "{MINIMAL}[stack.prod]\nstate = \"s3://bucket/key\"\n[dataset.a]\nsource = \"a/\"\ncatalog = \"crawler\"\n"
    );
    assert_snapshot!(problems(&text), @"");
}

#[test]
fn the_lake_needs_a_name_and_sound_values() {
    assert_snapshot!(problems(""), @"");
    assert_snapshot!(problems("[lake]\nregion = \"eu-west-1\"\n"), @"");
    assert_snapshot!(problems("lake = \"flights\"\n"), @"");
    assert_snapshot!(problems("name = \"flights\"\n[lake]\nname = 1\n"), @"");
    assert_snapshot!(problems("[lake]\nname = \"sthree\"\nregion = \"Ireland\"\nalerts = [\"a@b.c\", \"x\", 1, \"a@b.c\"]\n"), @"");
    assert_snapshot!(problems("[lake]\nname = \"a\"\nalerts = \"a@b.c\"\n"), @"");
}

#[test]
fn stacks_need_sound_values() {
    let text = format!(
        "{MINIMAL}[stack.Prod]\n[stack.local]\nprofile = \"x\"\nendpoint_url = \"http://localhost\"\n\
         [stack.aws]\ncloud = \"aws\"\nendpoint_url = \"localhost:4566\"\nexecutor = \"missing/lake\"\n\
         on_destroy = \"keep\"\nregoin = \"eu-west-1\"\n"
    );
    assert_snapshot!(problems(&text), @"");
}

#[test]
fn datasets_need_sound_values() {
    let text = format!(
        "{MINIMAL}[dataset._lake]\nsource = \"a/\"\n[dataset.b]\n[dataset.c]\nsource = \"/c/\"\ncompression = \"zstd\"\n\
         delimiter = \";\"\n[dataset.d]\nsource = \"d/\"\ncsv = 1\n[dataset.d.parquet]\ncompression = \"ZSTD\"\n\
         row_group_bytes = 10\n"
    );
    assert_snapshot!(problems(&text), @"");
    assert_snapshot!(problems(&format!("{MINIMAL}[[dataset]]\nname = \"f\"\n")), @"");
}

#[test]
fn csv_options_are_single_ascii_characters_and_a_known_encoding() {
    let text = format!(
        "{MINIMAL}[dataset.a]\nsource = \"a/\"\n[dataset.a.csv]\ndelimiter = \"tab\"\nquote = \"»\"\nheader = \"yes\"\n\
         nulls = \"NA\"\nencoding = \"utf-9\"\n\
         [dataset.b]\nsource = \"b/\"\n[dataset.b.csv]\ndelimiter = \"|\"\nquote = \"|\"\nnulls = [\"NA\", 0]\n\
         [dataset.c]\nsource = \"c/\"\n[dataset.c.csv]\ndelimiter = \"\\n\"\nquote = \"\"\n"
    );
    assert_snapshot!(problems(&text), @"");
}

#[test]
fn contracts_have_lower_case_columns_of_known_types() {
    let text = format!(
        "{MINIMAL}[dataset.a]\nsource = \"a/\"\n[dataset.a.schema]\nyear = \"int\"\nYear = \"int64\"\n\
         \"Dep Time\" = \"timestmap\"\nfare = \"decimal(40,2)\"\nx = 1\n\"日\" = \"date\"\n\
         [dataset.b]\nsource = \"b/\"\n[dataset.b.schema]\n"
    );
    assert_snapshot!(problems(&text), @"");
}

#[test]
fn secrets_in_the_file_are_never_repeated() {
    let text = format!(
        "{MINIMAL}[stack.prod]\ncloud = \"aws\"\nregion = \"eu-west-1\"\nendpoint_url = \"http://me:hunter2@localhost\"\n\
         aws_secret_access_key = \"hunter2\"\n[stack.local]\nendpoint_url = \"http://me:hunter2@localhost\"\n"
    );
    let (report, error) = (report(&text), parse(&text).unwrap_err());
    assert!(!format!("{report}{error}{error:?}").contains("hunter2"), "{report}");
    assert_eq!(error.problems().count(), 3);
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
    assert_snapshot!(format!("{error} | {advice}"), @"");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is typed into a lake.toml, the answer is a value or an error that renders.
    #[test]
    fn no_edit_of_a_file_makes_reading_it_panic(at in 0..FULL.len(), cut in 0..40usize, typed in "[\\PC\\n\"\\[\\]=.]{0,6}") {
        let end = (at + cut).min(FULL.len());
        let text = format!("{}{typed}{}", &FULL[..at], &FULL[end..]);
        if let Err(error) = parse(&text) {
            let mut rendered = String::new();
            GraphicalReportHandler::new().render_report(&mut rendered, &error).unwrap();
            prop_assert!(rendered.contains(FILE_NAME));
        }
    }
}
