//! Style and structure are tests: which room may know which, who may print, how long a file may grow.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Lines a file may have before its tests.
const FILE_LINES_MAX: usize = 600;

/// A source file, with its room and what it refers to.
struct Source {
    path: PathBuf,
    room: String,
    /// Without inline tests, comments and blank lines kept.
    code: String,
    /// Rooms its paths lead into.
    rooms: BTreeSet<String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let source_folder = root().join("src");
    let mut paths = Vec::new();
    files(&source_folder, &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let relative = path.strip_prefix(&source_folder).unwrap().to_owned();
        let room = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let is_test = relative.file_stem().is_some_and(|stem| stem == "tests" || stem == "fake" || stem == "replay")
            || relative.iter().any(|part| part == "tests");
        let code = if is_test { String::new() } else { before_tests(&text).to_owned() };
        let rooms = rooms(&code);
        Source { path: relative, room, code, rooms }
    };
    paths.into_iter().map(read).collect()
}

fn before_tests(text: &str) -> &str {
    let is_module = |place: &usize| text[*place..].lines().nth(1).is_some_and(|line| line.ends_with("mod tests {"));
    match text.match_indices("#[cfg(test)]").map(|(place, _)| place).find(is_module) {
        Some(place) => &text[..place],
        None => text,
    }
}

fn without_comments(code: &str) -> String {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The rooms that paths in `code` lead into: `crate::room…`, `lake::room…`, and the first names inside `crate::{…}`.
fn rooms(code: &str) -> BTreeSet<String> {
    let code = without_comments(code);
    let mut rooms = BTreeSet::new();
    for start in ["crate::", "lake::"] {
        for (place, _) in code.match_indices(start) {
            let before = code[..place].chars().next_back();
            if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':') {
                continue;
            }
            let rest = &code[place + start.len()..];
            match rest.strip_prefix('{') {
                Some(group) => rooms.extend(first_names(group)),
                None => rooms.extend(name(rest)),
            }
        }
    }
    rooms
}

fn name(text: &str) -> Option<String> {
    let name: String =
        text.trim_start().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// The first name of each entry of a `{…}` group, whose opening brace is behind us.
fn first_names(group: &str) -> Vec<String> {
    let (mut depth, mut entry, mut names) = (0, true, Vec::new());
    for (place, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => entry = true,
            letter if entry && !letter.is_whitespace() => {
                names.extend(name(&group[place..]));
                entry = false;
            }
            _ => {}
        }
    }
    names
}

fn assert_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn the_reader_of_imports_sees_through_groups() {
    let code = "use crate::{\n plan::{Plan, diff},\n state,\n};\nfn f() { crate::files::x(); lake::cli::y() }";
    let expected = ["cli", "files", "plan", "state"].map(str::to_owned);
    assert_eq!(rooms(code).into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn no_room_knows_a_room_that_it_must_not_know() {
    const CONTROL: &[&str] =
        &["apply", "cli", "config", "graph", "package", "plan", "program", "provider", "refresh", "resource", "state"];
    let with = |more: &[&'static str]| [CONTROL, more].concat();
    let forbidden: &[(&str, Vec<&str>)] = &[
        ("graph", with(&["cloud", "dataset", "executor", "files", "pipeline"])),
        ("dataset", with(&["cloud", "executor", "files", "pipeline"])),
        (
            "resource",
            vec!["apply", "cli", "cloud", "config", "executor", "files", "pipeline", "plan", "provider", "state"],
        ),
        ("plan", vec!["apply", "cli", "cloud", "config", "executor", "files", "pipeline", "provider", "refresh"]),
        ("executor", with(&["cloud", "pipeline"])),
        ("pipeline", with(&["cloud"])),
        ("cloud", with(&["dataset", "executor", "pipeline"])),
        ("provider", vec!["apply", "cli", "cloud", "config", "executor", "pipeline", "plan", "refresh", "state"]),
        ("state", vec!["apply", "cli", "cloud", "config", "executor", "pipeline", "plan", "provider", "refresh"]),
        (
            "program",
            vec!["apply", "cli", "cloud", "executor", "files", "pipeline", "plan", "provider", "refresh", "state"],
        ),
        ("apply", vec!["cli", "cloud", "config", "executor", "pipeline", "program"]),
        ("recover", vec!["apply", "cli", "cloud", "config", "executor", "pipeline", "program"]),
        ("refresh", vec!["apply", "cli", "cloud", "config", "executor", "pipeline", "program"]),
        ("config", vec!["apply", "cli", "cloud", "executor", "pipeline", "plan", "provider", "refresh", "state"]),
        ("package", vec!["apply", "cli", "cloud", "pipeline", "plan", "provider", "refresh", "state"]),
    ];
    let mut complaints = Vec::new();
    for source in sources() {
        for (room, others) in forbidden.iter().filter(|(room, _)| *room == source.room) {
            let crossed = others.iter().filter(|other| **other != *room && source.rooms.contains(**other));
            complaints
                .extend(crossed.map(|other| format!("src/{}: {room} must not know {other}", source.path.display())));
        }
    }
    assert_none(complaints);
}

#[test]
fn rooms_of_values_have_no_io_no_async_no_clock_and_no_randomness() {
    const BANNED: &[&str] = &[
        "std::fs",
        "std::net",
        "std::io",
        "std::env",
        "std::process",
        "SystemTime",
        "Instant",
        "tokio",
        "async fn",
        ".await",
        "jiff",
        "uuid::",
        "aws_sdk",
    ];
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| ["resource", "dataset", "plan", "graph"].contains(&&*source.room)) {
        let code = without_comments(&source.code);
        let found = BANNED.iter().filter(|banned| code.contains(**banned));
        complaints.extend(found.map(|banned| format!("src/{}: {banned}", source.path.display())));
    }
    assert_none(complaints);
}

#[test]
fn only_the_command_line_prints_and_reads_the_environment() {
    let mut complaints = Vec::new();
    for source in sources() {
        let code = without_comments(&source.code);
        let path = source.path.display();
        let bootstrap =
            source.path.starts_with("pipeline/bootstrap") || source.path == Path::new("pipeline/bootstrap.rs");
        if source.room != "cli" && ["println!", "eprintln!", "print!(", "dbg!"].iter().any(|call| code.contains(call)) {
            complaints.push(format!("src/{path} prints"));
        }
        let reads = code.contains("env::var") || code.contains("env::args") || code.contains("env::current_exe");
        if reads && source.room != "cli" && source.room != "main" && !bootstrap {
            complaints.push(format!("src/{path} reads the environment"));
        }
    }
    assert_none(complaints);
}

#[test]
fn files_stay_short() {
    let mut complaints = Vec::new();
    for source in sources() {
        let lines = source.code.lines().count();
        if lines > FILE_LINES_MAX {
            complaints.push(format!("src/{} has {lines} lines: what is it made of?", source.path.display()));
        }
    }
    assert_none(complaints);
}

#[test]
fn nothing_is_left_undone_and_no_test_is_switched_off() {
    let mut paths = Vec::new();
    files(&root().join("src"), &mut paths);
    files(&root().join("tests"), &mut paths);
    let banned = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[", "ignore")];
    let mut complaints = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let found = banned.iter().filter(|banned| text.contains(**banned));
        complaints.extend(found.map(|banned| format!("{}: {banned}", path.display())));
    }
    assert_none(complaints);
}

#[test]
fn every_test_file_is_part_of_the_one_test_binary() {
    let main = fs::read_to_string(root().join("tests/it/main.rs")).unwrap();
    for entry in fs::read_dir(root().join("tests/it")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(stem == "main" || main.contains(&format!("mod {stem};")), "{} is forgotten", path.display());
    }
}

/// Names and what is said of them, of the dependencies of a manifest; and whether a comment says why they are there.
fn dependencies(manifest: &str) -> Vec<(String, String, bool)> {
    let text = fs::read_to_string(root().join(manifest)).unwrap();
    let mut found = Vec::new();
    let (mut inside, mut comment_above) = (false, false);
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && !line.starts_with('#') {
            let (said, why) = line.split_once(" # ").map_or((line, false), |(said, _)| (said, true));
            if let Some((name, said)) = said.split_once('=') {
                found.push((name.trim().to_owned(), said.trim().to_owned(), why || comment_above));
            }
        }
        comment_above = line.starts_with('#');
    }
    found
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let all = ["Cargo.toml", "fuzz/Cargo.toml"].map(dependencies).concat();
    assert!(all.len() > 50, "{}", all.len());
    let without = all.into_iter().filter(|(name, _, why)| !why && !name.starts_with("aws-sdk"));
    assert_none(without.map(|(name, _, _)| name).collect());
}

#[test]
fn the_fuzzer_builds_the_reader_with_the_dependencies_that_lake_has() {
    let lakes = dependencies("Cargo.toml");
    let differs = |(name, said, _): &(String, String, bool)| {
        name != "libfuzzer-sys" && !lakes.iter().any(|(lakes, as_lake, _)| (lakes, as_lake) == (name, said))
    };
    let complaints = dependencies("fuzz/Cargo.toml").into_iter().filter(differs);
    assert_none(complaints.map(|(name, said, _)| format!("fuzz/Cargo.toml: {name} = {said}")).collect());
}
