//! Wildcards and policy variables: the one matcher of patterns in the house.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html>

use super::context::Context;

/// Parts of an ARN that colons divide; the last one may hold colons itself.
const ARN_PARTS: usize = 6;

/// A pattern with its variables filled in: what came out of a variable stands for itself.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    bytes: Vec<u8>,
    /// Which of the bytes are no wildcards, whatever they look like. Empty when none is.
    literal: Vec<bool>,
}

impl Pattern {
    /// The pattern as it is written, without variables.
    pub fn plain(text: &str) -> Pattern {
        Pattern { bytes: text.as_bytes().to_vec(), literal: Vec::new() }
    }

    /// The pattern with its variables filled in from `context`; `None` when one has no single value there and no
    /// default: nothing is equal to such a pattern.
    pub fn filled(text: &str, context: &Context) -> Option<Pattern> {
        if !text.contains("${") {
            return Some(Pattern::plain(text));
        }
        let (mut bytes, mut literal) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len()));
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (variable, tail) = after.split_once('}')?;
            literal.extend(before.bytes().map(|_| false));
            bytes.extend_from_slice(before.as_bytes());
            let value = variable_value(variable, context)?;
            literal.extend(value.bytes().map(|_| true));
            bytes.extend_from_slice(value.as_bytes());
            rest = tail;
        }
        literal.extend(rest.bytes().map(|_| false));
        bytes.extend_from_slice(rest.as_bytes());
        Some(Pattern { bytes, literal })
    }

    /// Whether `text` matches, wildcards and all.
    pub fn matches(&self, text: &str, ignore_case: bool) -> bool {
        glob(&self.bytes, &self.literal, text.as_bytes(), ignore_case)
    }

    /// Whether `text` is what the pattern says, letter by letter.
    pub fn equals(&self, text: &str, ignore_case: bool) -> bool {
        match ignore_case {
            true => self.bytes.eq_ignore_ascii_case(text.as_bytes()) || self.lowercase() == text.to_lowercase(),
            false => self.bytes == text.as_bytes(),
        }
    }

    fn lowercase(&self) -> String {
        String::from_utf8_lossy(&self.bytes).to_lowercase()
    }

    /// Whether the ARN `text` matches part by part: a wildcard stays within its part, the last of which may hold
    /// colons. `*` alone matches whatever there is.
    pub fn matches_arn(&self, text: &str) -> bool {
        if self.bytes == b"*" && !self.literal.first().copied().unwrap_or(false) {
            return true;
        }
        let mut from = 0;
        let mut parts = text.splitn(ARN_PARTS, ':');
        for number in 1..=ARN_PARTS {
            let Some(part) = parts.next() else { return false };
            let rest = &self.bytes[from..];
            let length = match number {
                ARN_PARTS => rest.len(),
                _ => match rest.iter().position(|byte| *byte == b':') {
                    Some(length) => length,
                    None => return false,
                },
            };
            let literal = self.literal.get(from..from + length).unwrap_or_default();
            if !glob(&rest[..length], literal, part.as_bytes(), false) {
                return false;
            }
            from += length + 1;
        }
        true
    }
}

/// `${*}`, `${?}` and `${$}` are those letters; `${key, 'default'}` has a value at all times.
fn variable_value(variable: &str, context: &Context) -> Option<String> {
    if let "*" | "?" | "$" = variable {
        return Some(variable.to_owned());
    }
    let (key, default) = match variable.split_once(',') {
        Some((key, default)) => (key.trim(), Some(default.trim().strip_prefix('\'')?.strip_suffix('\'')?)),
        None => (variable.trim(), None),
    };
    match context.get(key) {
        Some([value]) => Some(value.clone()),
        // A key with many values is no variable.
        Some(_) => None,
        None => default.map(str::to_owned),
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any letters and `?` for one.
pub fn matches(pattern: &str, text: &str, ignore_case: bool) -> bool {
    glob(pattern.as_bytes(), &[], text.as_bytes(), ignore_case)
}

/// Whether the ARN `text` matches `pattern` as `ArnLike` does.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>
pub fn arn_like(pattern: &str, text: &str) -> bool {
    let parts = |arn: &str| arn.splitn(ARN_PARTS, ':').count() == ARN_PARTS;
    parts(pattern) && parts(text) && Pattern::plain(pattern).matches_arn(text)
}

fn glob(pattern: &[u8], literal: &[bool], text: &[u8], ignore_case: bool) -> bool {
    let same = |a: u8, b: u8| if ignore_case { a.eq_ignore_ascii_case(&b) } else { a == b };
    let wildcard = |at: usize, byte: u8| pattern.get(at) == Some(&byte) && !literal.get(at).copied().unwrap_or(false);
    let (mut p, mut t) = (0, 0);
    // Where to go on from when what follows the last `*` fails: that star, and the text it has taken in.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if wildcard(p, b'*') {
            star = Some((p, t));
            p += 1;
        } else if wildcard(p, b'?') {
            (p, t) = (p + 1, t + letter(&text[t..]));
        } else if p < pattern.len() && same(pattern[p], text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, taken)) = star {
            let taken = taken + letter(&text[taken..]);
            star = Some((at, taken));
            (p, t) = (at + 1, taken);
        } else {
            return false;
        }
    }
    (p..pattern.len()).all(|at| wildcard(at, b'*'))
}

/// Bytes of the letter that `text` begins with.
fn letter(text: &[u8]) -> usize {
    1 + text.iter().skip(1).take_while(|byte| **byte & 0xc0 == 0x80).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks_match_as_in_policies() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("s3:Get*", "s3:getobject", true),
            ("a*b*c", "axxbyybzc", true),
            ("a*b*c", "axxbyybz", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "aéc", true),
            ("*?", "é", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text, true), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn wildcards_of_an_arn_stay_inside_of_their_part() {
        for (pattern, arn, expected) in [
            ("arn:aws:s3:::raw-*", "arn:aws:s3:::raw-1", true),
            ("arn:*:events:*:*:rule/a?c*e", "arn:aws:events:eu-west-1:0:rule/abcdde", true),
            ("arn:aws:logs:*:*:*:/aws-glue/*", "arn:aws:logs:r:0:log-group:/aws-glue/crawlers:log-stream:x", true),
            ("*:*:*:*:*:*", "arn:aws:s3:::a:b", true),
            ("arn:aws:s3:::raw-?", "arn:aws:s3:::raw-10", false),
            ("arn:aws:*", "arn:aws:s3:::raw", false),
            ("arn:aws:s3:*:x", "arn:aws:s3:::x", false),
            ("arn:aws:lambda:*:0:function:f", "arn:aws:lambda:r:1:function:x:0:function:f", false),
        ] {
            assert_eq!(arn_like(pattern, arn), expected, "{pattern} {arn}");
        }
    }

    #[test]
    fn a_variable_stands_for_its_value_letter_by_letter() {
        let mut context = Context::default();
        context.add("aws:username", "a*");
        context.add("aws:TagKeys", "x");
        context.add("aws:TagKeys", "y");
        let filled = |text: &str| Pattern::filled(text, &context);
        let home = filled("arn:aws:s3:::b/${aws:UserName}/*").unwrap();
        assert!(home.matches_arn("arn:aws:s3:::b/a*/x"));
        assert!(!home.matches_arn("arn:aws:s3:::b/ab/x"), "a star in a name is no wildcard");
        assert!(filled("${*}${?}${$}").unwrap().matches("*?$", false));
        assert!(filled("${aws:PrincipalTag/team, 'all'}").unwrap().equals("all", false));
        for nothing in ["${aws:PrincipalTag/team}", "${aws:TagKeys}", "${aws:username", "${a, b}"] {
            assert_eq!(filled(nothing), None, "{nothing}");
        }
    }

    /// The pattern as a regular expression.
    fn expression(pattern: &str) -> regex::Regex {
        let parts = pattern.chars().map(|letter| match letter {
            '*' => "(?s:.*)".to_owned(),
            '?' => "(?s:.)".to_owned(),
            letter => regex::escape(&letter.to_string()),
        });
        regex::Regex::new(&format!("^{}$", parts.collect::<String>())).unwrap()
    }

    proptest! {
        #[test]
        fn the_matcher_agrees_with_a_regular_expression(pattern in "[ab*?é]{0,8}", text in "[abé]{0,10}") {
            prop_assert_eq!(matches(&pattern, &text, false), expression(&pattern).is_match(&text));
        }
    }
}
