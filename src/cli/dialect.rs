//! How a file was read, in words.

use crate::executor::{Decision, Dialect, Item};

/// Below this many percent a person is told that a file may be written otherwise than it was read.
const SURE_ENOUGH: u8 = 45;

/// What a person must know without asking: lines that were skipped without having been told to, and doubts.
pub fn warnings(dialect: &Dialect) -> Vec<String> {
    let mut warnings = Vec::new();
    let skipped = decision(dialect, Item::SkipLines).filter(|decision| !decision.given && dialect.skip_lines > 0);
    if let Some(decision) = skipped {
        let lines = dialect.skip_lines;
        warnings
            .push(format!("the first {lines} lines were skipped: {} (csv.skip_lines = 0 keeps them)", decision.why));
    }
    if dialect.confidence < SURE_ENOUGH && !dialect.decided.is_empty() {
        warnings.push(format!(
            "it is unsure how the file is written ({} %); -v tells what was found out, [dataset.NAME.csv] sets it",
            dialect.confidence
        ));
    }
    warnings
}

/// Each item of a dialect on a line: its value, how sure it is, and why.
pub fn lines(dialect: &Dialect) -> Vec<String> {
    let line = |decision: &Decision| {
        let (name, value) = named(dialect, decision.item);
        let how = if decision.given { "set".to_owned() } else { format!("{} %: {}", decision.sure, decision.why) };
        format!("  {name} {value} ({how})")
    };
    dialect.decided.iter().map(line).collect()
}

fn decision(dialect: &Dialect, item: Item) -> Option<&Decision> {
    dialect.decided.iter().find(|decision| decision.item == item)
}

fn named(dialect: &Dialect, item: Item) -> (&'static str, String) {
    let character = |character: Option<char>| character.map_or("none".to_owned(), |character| format!("{character:?}"));
    match item {
        Item::Encoding => ("encoding", dialect.encoding.clone()),
        Item::Newline => ("newline", character(Some(dialect.newline.byte().into()))),
        Item::Delimiter => ("delimiter", character(Some(dialect.delimiter))),
        Item::Quote => ("quote", character(dialect.quote)),
        Item::Escape => ("escape", character(dialect.escape)),
        Item::SkipLines => ("skip_lines", dialect.skip_lines.to_string()),
        Item::HeaderRows => ("header_rows", dialect.header_rows.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect() -> Dialect {
        let decided = vec![
            Decision { item: Item::Delimiter, given: true, sure: 100, why: "set".into() },
            Decision { item: Item::Quote, given: false, sure: 80, why: "the usual one".into() },
            Decision { item: Item::SkipLines, given: false, sure: 40, why: "a title".into() },
        ];
        Dialect { delimiter: '\t', skip_lines: 2, confidence: 40, decided, ..Dialect::default() }
    }

    #[test]
    fn each_item_says_its_value_and_how_it_was_settled() {
        let expected =
            ["  delimiter '\\t' (set)", "  quote '\"' (80 %: the usual one)", "  skip_lines 2 (40 %: a title)"];
        assert_eq!(lines(&dialect()), expected);
    }

    #[test]
    fn skipped_lines_and_doubts_are_told_unasked() {
        assert_eq!(warnings(&dialect()).len(), 2);
        assert!(warnings(&dialect())[0].starts_with("the first 2 lines were skipped: a title"));
        assert!(warnings(&Dialect::default()).is_empty());
    }
}
