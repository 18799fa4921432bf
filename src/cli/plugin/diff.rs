//! Two texts compared, line by line.

use std::time::{Duration, Instant};

use similar::{Algorithm, Change, ChangeTag, capture_diff_slices_deadline};

/// A line of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// In both.
    Same(&'a str),
    /// Only in the first.
    Gone(&'a str),
    /// Only in the second.
    New(&'a str),
    /// So many lines that are in both are left out here.
    Skipped(usize),
}

/// Lines that are shown around a difference.
const AROUND: usize = 3;
/// How long the shortest difference is looked for; then a longer one will do.
const SEARCH: Duration = Duration::from_secs(1);

/// What leads from `old` to `new`, with some lines around.
pub fn diff<'a>(old: &'a str, new: &'a str) -> Vec<Line<'a>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    shortened(&compared(&old, &new))
}

/// Every line of both.
fn compared<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    let ops = capture_diff_slices_deadline(Algorithm::Myers, old, new, Some(Instant::now() + SEARCH));
    let changes = ops.iter().flat_map(|op| op.iter_changes(old, new));
    let line = |change: Change<&'a str>| match change.tag() {
        ChangeTag::Equal => Line::Same(change.value()),
        ChangeTag::Delete => Line::Gone(change.value()),
        ChangeTag::Insert => Line::New(change.value()),
    };
    changes.map(line).collect()
}

/// Leaves out what is far from any difference.
fn shortened<'a>(lines: &[Line<'a>]) -> Vec<Line<'a>> {
    let changed: Vec<usize> = (0..lines.len()).filter(|place| !matches!(lines[*place], Line::Same(_))).collect();
    let is_near = |place: usize| {
        let next = changed.partition_point(|change| *change < place);
        let near = |change: Option<&usize>| change.is_some_and(|change| change.abs_diff(place) <= AROUND);
        near(changed.get(next)) || near(next.checked_sub(1).and_then(|last| changed.get(last)))
    };
    let mut short: Vec<Line<'a>> = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        match (is_near(place), short.last_mut()) {
            (true, _) => short.push(*line),
            (false, Some(Line::Skipped(count))) => *count += 1,
            (false, _) => short.push(Line::Skipped(1)),
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_difference_is_shown_with_a_few_lines_around_it() {
        let old: String = (1..=20).map(|line| format!("{line}\n")).collect();
        let new = old.replace("\n10\n", "\nten\n");
        assert_eq!(
            diff(&old, &new),
            [
                Line::Skipped(6),
                Line::Same("7"),
                Line::Same("8"),
                Line::Same("9"),
                Line::Gone("10"),
                Line::New("ten"),
                Line::Same("11"),
                Line::Same("12"),
                Line::Same("13"),
                Line::Skipped(7),
            ]
        );
    }

    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof!["a", "b", "c"], 0..12).prop_map(|lines| lines.join("\n"))
    }

    proptest! {
        #[test]
        fn the_difference_leads_from_one_text_to_the_other(old in text(), new in text()) {
            let (old_lines, new_lines): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
            let way = compared(&old_lines, &new_lines);
            let side = |keep: fn(&Line<'_>) -> bool| -> Vec<&str> {
                let text = |line: &Line<'_>| match line {
                    Line::Same(text) | Line::Gone(text) | Line::New(text) => Some(text.to_string()),
                    Line::Skipped(_) => None,
                };
                let lines: Vec<String> = way.iter().filter(|line| keep(line)).filter_map(text).collect();
                lines.into_iter().map(|line| match line.as_str() { "a" => "a", "b" => "b", _ => "c" }).collect()
            };
            prop_assert_eq!(side(|line| !matches!(line, Line::New(_))), old_lines);
            prop_assert_eq!(side(|line| !matches!(line, Line::Gone(_))), new_lines);
        }

        #[test]
        fn equal_texts_have_no_difference(text in text()) {
            let changed = diff(&text, &text).into_iter().any(|line| !matches!(line, Line::Skipped(_)));
            prop_assert!(!changed);
        }
    }
}
