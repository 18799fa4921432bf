//! `[dataset.*.transform]`.

use super::*;

#[test]
fn a_transform_is_a_path_or_a_table() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("plugins/clean-flights")).unwrap();
    let read = |transform: &str| {
        let text = format!("{MINIMAL}[dataset.a]\nsource = \"a/\"\n{transform}\n");
        Config::parse(&text, FILE_NAME, folder.path()).unwrap().transforms.remove("a").unwrap()
    };
    let short = read("transform = \"plugins/clean-flights\"");
    assert_eq!(short.path, folder.path().join("plugins/clean-flights"));
    assert_eq!((short.memory_mb, short.call_seconds, short.config.len()), (128, 60, 0));
    let table = read("transform = { path = \"plugins/clean-flights\" }");
    assert_eq!(Transform { place: short.place.clone(), ..table }, short);
    let section = read("[dataset.a.transform]\npath = \"plugins/clean-flights\"\n[dataset.a.transform.config]\nx = -1");
    assert_eq!(section.config["x"], "-1");
    assert_eq!(section.place.place().line, 6);
}

#[test]
fn a_transform_needs_a_plugin_that_is_there_and_sound_values() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("plugins/clean-flights")).unwrap();
    fs::create_dir_all(folder.path().join("plugins/src")).unwrap();
    let text = format!(
        "{MINIMAL}[dataset.a]\nsource = \"a/\"\ntransform = \"plugins/clean-flight\"\n\
         [dataset.b]\nsource = \"b/\"\ntransform = {{ memory_mb = 2000, timeout_seconds = 0, timeout = 5 }}\n\
         [dataset.c]\nsource = \"c/\"\ntransform = 7\n\
         [dataset.d]\nsource = \"d/\"\nmemory_mb = 64\n[dataset.d.transform]\npath = \"\"\n\
         [dataset.d.transform.config]\nlist = [1]\nnested.x = 1\nday = 2013-01-01\nhuge = 9223372036854775808\n"
    );
    let error = Config::parse(&text, FILE_NAME, folder.path()).unwrap_err();
    let line = |problem: &Problem| format!("{problem}\n  {}", problem.advice().unwrap_or("-"));
    let problems = error.problems().map(line).collect::<Vec<_>>().join("\n");
    assert_snapshot!(problems, @r#"
    lake.toml:5: "plugins/clean-flight" cannot be used as `dataset.a.transform`
      there is no such folder or file; did you mean `plugins/clean-flights`?
    lake.toml:8: [dataset.b.transform] has no `path`
      `path` is the plugin's folder, or its .wasm file, such as "plugins/clean"
    lake.toml:8: `dataset.b.transform.memory_mb` is out of range
      from 16 to 1024; the default is 128
    lake.toml:8: `dataset.b.transform.timeout_seconds` is out of range
      from 1 to 600; the default is 60
    lake.toml:8: unknown key `timeout` in [dataset.b.transform]
      known here: path, config, memory_mb, timeout_seconds
    lake.toml:11: `dataset.c.transform` must be a table, not an integer
      write `[dataset.c.transform]` on a line of its own, and its keys below
    lake.toml:14: unknown key `memory_mb` in [dataset.d]
      `memory_mb` belongs in [dataset.d.transform]
    lake.toml:16: "" cannot be used as `dataset.d.transform.path`
      it is empty
    lake.toml:18: `dataset.d.transform.config.list` must be a string, a number, true or false, not an array
      -
    lake.toml:19: `dataset.d.transform.config.nested` must be a string, a number, true or false, not a table
      -
    lake.toml:20: `dataset.d.transform.config.day` must be a string, a number, true or false, not a datetime
      -
    lake.toml:21: `dataset.d.transform.config.huge` is out of range
      integers have 64 bits; write it as a string
    "#);
}

#[test]
fn what_is_found_wrong_with_a_plugin_later_on_is_shown_at_its_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.wasm"), "no wasm").unwrap();
    let dataset = |name: &str| format!("[dataset.{name}]\nsource = \"{name}/\"\ntransform = \"a.wasm\"\n");
    let config = Config::parse(&format!("{MINIMAL}{}{}", dataset("a"), dataset("b")), FILE_NAME, folder.path());
    let config = config.unwrap();
    let wrong = |name: &str| config.transforms[name].place.error("it is text", "this one", Some("build it".into()));
    let joined = ConfigError::joined([wrong("a"), wrong("b")]).unwrap();
    assert_eq!(joined.to_string(), "lake.toml:5: it is text (and 1 more problem)");
    let mut shown = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(110);
    handler.render_report(&mut shown, &wrong("a")).unwrap();
    let shown = shown.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    assert_snapshot!(shown, @r#"
     × lake.toml:5: it is text
      ╭─[lake.toml:5:13]
    4 │ source = "a/"
    5 │ transform = "a.wasm"
      ·             ────┬───
      ·                 ╰── this one
    6 │ [dataset.b]
      ╰────
     help: build it
    "#);
    assert!(ConfigError::joined([]).is_none());
}
