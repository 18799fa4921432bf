//! Filter patterns over unstructured log lines: terms and quoted phrases, `-` excludes, `?` makes alternatives.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForMetricFilters.html>

use super::model::invalid;
use crate::cloud::error::ApiError;

/// Longest pattern, in characters.
const PATTERN_CHARACTERS: usize = 1024;

/// A parsed pattern. The empty one matches everything. Matching is by substring and case sensitive.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pattern {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Pattern, ApiError> {
        if text.chars().count() > PATTERN_CHARACTERS {
            return Err(invalid(format!("Invalid filter pattern: it has more than {PATTERN_CHARACTERS} characters")));
        }
        let mut rest = text.trim();
        if rest.starts_with(['{', '[', '%']) {
            return Err(invalid(
                "Invalid filter pattern: the embedded cloud matches terms and quoted phrases; it has no JSON, column \
                 and regular expression patterns",
            ));
        }
        let mut pattern = Pattern::default();
        while !rest.is_empty() {
            let (list, after_sign) = match rest.as_bytes()[0] {
                b'-' => (&mut pattern.none, &rest[1..]),
                b'?' => (&mut pattern.any, &rest[1..]),
                _ => (&mut pattern.all, rest),
            };
            let (term, after) = term(after_sign)?;
            list.push(term);
            rest = after.trim_start();
        }
        Ok(pattern)
    }

    pub(super) fn matches(&self, message: &str) -> bool {
        let has = |term: &String| message.contains(term.as_str());
        if self.all.is_empty() && self.none.is_empty() && !self.any.is_empty() {
            return self.any.iter().any(has);
        }
        // AWS ignores alternatives that stand beside other terms.
        self.all.iter().all(has) && !self.none.iter().any(has)
    }
}

/// One term from the front of `text`, and what follows it.
fn term(text: &str) -> Result<(String, &str), ApiError> {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut term = String::new();
        let mut characters = quoted.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => return Ok((term, &quoted[at + 1..])),
                '\\' => term.extend(characters.next().map(|(_, escaped)| escaped)),
                other => term.push(other),
            }
        }
        return Err(invalid("Invalid filter pattern: a quotation mark is not closed"));
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (term, after) = text.split_at(end);
    if term.is_empty() || !term.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.') {
        return Err(invalid(format!("Invalid character(s) in term '{term}': put it into double quotation marks")));
    }
    Ok((term.to_owned(), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, message: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(message)
    }

    #[test]
    fn all_terms_have_to_be_there_and_excluded_ones_must_not() {
        assert!(matches("", "anything"));
        assert!(matches("ERROR", "Exiting with ERRORCODE: -1"));
        assert!(!matches("ERROR", "an error"), "case matters");
        assert!(matches("ERROR memory", "out of memory ERROR"));
        assert!(!matches("ERROR memory", "ERROR"));
        assert!(!matches("ERROR -memory", "ERROR: memory"));
        assert!(matches("\"a \\\"b\\\" c\" x", "x a \"b\" c"));
    }

    #[test]
    fn alternatives_count_only_on_their_own() {
        assert!(matches("?ERROR ?WARN", "WARN"));
        assert!(!matches("?ERROR ?WARN", "INFO"));
        assert!(matches("INFO ?ERROR", "INFO"));
    }

    #[test]
    fn patterns_that_are_not_supported_are_refused() {
        for pattern in ["{ $.a = 1 }", "[ip, user]", "%x%", "\"open", "a:b", "-"] {
            assert_eq!(Pattern::parse(pattern).unwrap_err().code, "InvalidParameterException", "{pattern}");
        }
    }
}
