//! Two texts compared, line by line.

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
/// Most pairs of lines that are compared to find the shortest difference; beyond, all lines between the first and the
/// last difference are shown.
const PAIRS_MAX: usize = 4_000_000;

/// What leads from `old` to `new`, with some lines around.
pub fn diff<'a>(old: &'a str, new: &'a str) -> Vec<Line<'a>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let before = old.iter().zip(&new).take_while(|(one, other)| one == other).count();
    let (old_rest, new_rest) = (&old[before..], &new[before..]);
    let after = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(one, other)| one == other).count();
    let (old_middle, new_middle) = (&old_rest[..old_rest.len() - after], &new_rest[..new_rest.len() - after]);
    let mut lines: Vec<Line<'a>> = old[..before].iter().copied().map(Line::Same).collect();
    match old_middle.len().saturating_mul(new_middle.len()) <= PAIRS_MAX {
        true => lines.extend(shortest(old_middle, new_middle)),
        false => {
            lines.extend(old_middle.iter().copied().map(Line::Gone));
            lines.extend(new_middle.iter().copied().map(Line::New));
        }
    }
    lines.extend(old[old.len() - after..].iter().copied().map(Line::Same));
    shortened(&lines)
}

/// The shortest way from `old` to `new`, by their longest common subsequence.
fn shortest<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    let width = new.len() + 1;
    // Length of the longest common subsequence of what begins at these two lines.
    let mut common = vec![0_u32; (old.len() + 1) * width];
    for one in (0..old.len()).rev() {
        for other in (0..new.len()).rev() {
            common[one * width + other] = match old[one] == new[other] {
                true => common[(one + 1) * width + other + 1] + 1,
                false => common[(one + 1) * width + other].max(common[one * width + other + 1]),
            };
        }
    }
    let (mut one, mut other, mut lines) = (0, 0, Vec::new());
    while one < old.len() && other < new.len() {
        if old[one] == new[other] {
            lines.push(Line::Same(old[one]));
            (one, other) = (one + 1, other + 1);
        } else if common[(one + 1) * width + other] >= common[one * width + other + 1] {
            lines.push(Line::Gone(old[one]));
            one += 1;
        } else {
            lines.push(Line::New(new[other]));
            other += 1;
        }
    }
    lines.extend(old[one..].iter().copied().map(Line::Gone));
    lines.extend(new[other..].iter().copied().map(Line::New));
    lines
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
            let way = shortest(&old_lines, &new_lines);
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
