//! Exclude patterns: globs over the part of an object's key that follows the include path.
//! <https://docs.aws.amazon.com/glue/latest/dg/define-crawler-choose-data-sources.html#crawler-data-stores-exclude>

use regex::{Regex, RegexBuilder};

use crate::cloud::{error::ApiError, glue::invalid};

/// Memory of one compiled pattern, in bytes.
const PATTERN_BYTES: usize = 1 << 20;

/// What an include path leaves out.
#[derive(Debug)]
pub(super) struct Exclusions(Vec<Regex>);

impl Exclusions {
    pub(super) fn parse(patterns: &[String]) -> Result<Exclusions, ApiError> {
        patterns.iter().map(|pattern| compile(pattern)).collect::<Result<_, _>>().map(Exclusions)
    }

    /// Whether the object at `path`, relative to the include path, is left out.
    pub(super) fn exclude(&self, path: &str) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(path))
    }
}

fn compile(glob: &str) -> Result<Regex, ApiError> {
    let wrong = |why: &str| invalid(format!("the exclude pattern `{glob}` {why}"));
    let mut pattern = String::from("^(?:");
    let mut letters = glob.chars().peekable();
    let mut braces = 0_u32;
    while let Some(letter) = letters.next() {
        match letter {
            '*' if letters.next_if_eq(&'*').is_some() => pattern.push_str(".*"),
            '*' => pattern.push_str("[^/]*"),
            '?' => pattern.push_str("[^/]"),
            '[' => pattern.push_str(&set(&mut letters).ok_or_else(|| wrong("has a `[` without its `]`"))?),
            '{' if braces > 0 => return Err(wrong("has groups within a group")),
            '{' => {
                braces += 1;
                pattern.push_str("(?:");
            }
            '}' if braces > 0 => {
                braces -= 1;
                pattern.push(')');
            }
            ',' if braces > 0 => pattern.push('|'),
            '\\' => {
                let escaped = letters.next().ok_or_else(|| wrong("ends with a backslash"))?;
                pattern.push_str(&regex::escape(&escaped.to_string()));
            }
            letter => pattern.push_str(&regex::escape(&letter.to_string())),
        }
    }
    if braces > 0 {
        return Err(wrong("has a `{` without its `}`"));
    }
    pattern.push_str(")$");
    let compiled = RegexBuilder::new(&pattern).dot_matches_new_line(true).size_limit(PATTERN_BYTES).build();
    compiled.map_err(|error| wrong(&format!("cannot be used: {error}")))
}

/// A set of letters, none of them a slash; `!` at its beginning negates it.
fn set(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let negated = letters.next_if_eq(&'!').is_some();
    let mut inside = String::new();
    loop {
        match letters.next()? {
            ']' if !inside.is_empty() => break,
            '-' => inside.push('-'),
            letter if letter.is_alphanumeric() => inside.push(letter),
            letter => inside.push_str(&regex::escape(&letter.to_string())),
        }
    }
    Some(if negated { format!("[^/{inside}]") } else { format!("[{inside}&&[^/]]") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_the_documentation_has_them() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("*.csv", &["a.csv", ".csv"], &["d/a.csv", "a.csvx"]),
            ("*.*", &["a.csv"], &["acsv"]),
            ("*.{csv,avro}", &["a.csv", "a.avro"], &["a.orc"]),
            ("foo.?", &["foo.a"], &["foo.ab", "foo./"]),
            ("myfolder/*", &["myfolder/mysource"], &["myfolder/mysource/mydata"]),
            ("myfolder/*/*", &["myfolder/mysource/data"], &["myfolder/mysource"]),
            ("myfolder/**", &["myfolder/mysource/mydata", "myfolder/x"], &["my/myfolder/x"]),
            ("Market*", &["Market1"], &["Market/a", "market"]),
            ("[a-c]x[!0-9]", &["bxy"], &["bx1", "dxy", "bx/"]),
            ("a\\*b", &["a*b"], &["axb"]),
            ("1[]]", &["1]"], &["1["]),
        ];
        for (glob, matching, others) in cases {
            let exclusions = Exclusions::parse(&[(*glob).to_owned()]).unwrap();
            for path in *matching {
                assert!(exclusions.exclude(path), "{glob} is to match {path}");
            }
            for path in *others {
                assert!(!exclusions.exclude(path), "{glob} is not to match {path}");
            }
        }
    }

    #[test]
    fn a_pattern_that_is_none_is_refused() {
        for glob in ["a[b", "a{b", "a\\", "{a,{b}}"] {
            assert_eq!(Exclusions::parse(&[glob.to_owned()]).unwrap_err().code, "InvalidInputException", "{glob}");
        }
    }
}
