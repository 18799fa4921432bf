//! A table of `lake.toml` while it is read: typed look-ups that note a problem instead of stopping at it.

use std::{collections::BTreeMap, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::error::{Problems, smells_of_a_secret};

/// One table, with the path by which a user knows it.
pub(super) struct Section<'a> {
    /// `dataset.flights.csv`; empty for the file itself.
    pub(super) path: String,
    /// The table's own name where it was first written.
    pub(super) span: Range<usize>,
    table: &'a DeTable<'a>,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Field<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

impl<'a> Section<'a> {
    /// The file itself.
    pub(super) fn root(table: &'a DeTable<'a>) -> Self {
        Section { path: String::new(), span: 0..0, table }
    }

    fn entry(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    /// The sub-table `key`.
    pub(super) fn section(&self, key: &str, problems: &mut Problems) -> Option<Section<'a>> {
        let (name, value) = self.table.iter().find(|(name, _)| name.get_ref() == key)?;
        self.as_section(name, value, problems)
    }

    /// Whether the key is written at all, rightly or wrongly.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether the key is written, and is a string.
    pub(super) fn is_string(&self, key: &str) -> bool {
        self.entry(key).is_some_and(|value| matches!(value.get_ref(), DeValue::String(_)))
    }

    /// Every entry as text: strings as they are, integers, floats and booleans as they are usually written. What is
    /// nested is a problem.
    pub(super) fn scalars(&self, problems: &mut Problems) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for (name, value) in self.table {
            if let Some(text) = self.scalar(&self.quoted(name.get_ref()), value, problems) {
                texts.insert(name.get_ref().clone().into_owned(), text);
            }
        }
        texts
    }

    fn scalar(&self, what: &str, value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.clone().into_owned()),
            DeValue::Boolean(truth) => Some(truth.to_string()),
            DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
                Ok(number) => Some(number.to_string()),
                Err(_) => {
                    let problem = problems.at(value.span(), format!("{what} is out of range"), "out of range");
                    problem.help("integers have 64 bits; write it as a string");
                    None
                }
            },
            DeValue::Float(digits) => digits.as_str().parse::<f64>().ok().map(|number| number.to_string()),
            other => wrong_type(what, "a string, a number, true or false", other, value.span(), problems),
        }
    }

    /// Whether nothing is written in it.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The names of its entries, in file order.
    pub(super) fn keys(&self) -> Vec<Field<&'a str>> {
        let names = self.table.keys().map(|name| Field { value: name.get_ref().as_ref(), span: name.span() });
        let mut names: Vec<_> = names.collect();
        names.sort_by_key(|name| name.span.start);
        names
    }

    /// Every entry as a sub-table, in file order.
    pub(super) fn sections(&self, problems: &mut Problems) -> Vec<(Field<&'a str>, Section<'a>)> {
        let mut sections: Vec<_> = self
            .table
            .iter()
            .filter_map(|(name, value)| {
                let section = self.as_section(name, value, problems)?;
                Some((Field { value: name.get_ref().as_ref(), span: name.span() }, section))
            })
            .collect();
        sections.sort_by_key(|(name, _)| name.span.start);
        sections
    }

    fn as_section(
        &self,
        name: &'a Spanned<std::borrow::Cow<'a, str>>,
        value: &'a Spanned<DeValue<'a>>,
        problems: &mut Problems,
    ) -> Option<Section<'a>> {
        let path = self.path_of(name.get_ref());
        match value.get_ref() {
            DeValue::Table(table) => Some(Section { path, span: name.span(), table }),
            other => {
                let header =
                    if matches!(path.as_str(), "stack" | "dataset") { format!("{path}.NAME") } else { path.clone() };
                problems
                    .at(
                        name.span(),
                        format!("`{path}` must be a table, not {}", article(other)),
                        "a table belongs here",
                    )
                    .help(format!("write `[{header}]` on a line of its own, and its keys below"));
                None
            }
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Every entry as a string, in file order; what is not a string is a problem.
    pub(super) fn strings_by_name(&self, problems: &mut Problems) -> Vec<(Field<&'a str>, Field<&'a str>)> {
        let mut entries: Vec<_> = self
            .table
            .iter()
            .filter_map(|(name, value)| {
                let text = self.text(&self.quoted(name.get_ref()), value, problems)?;
                Some((Field { value: name.get_ref().as_ref(), span: name.span() }, text))
            })
            .collect();
        entries.sort_by_key(|(name, _)| name.span.start);
        entries
    }

    /// The string `key`.
    pub(super) fn string(&self, key: &str, problems: &mut Problems) -> Option<Field<&'a str>> {
        self.text(&self.quoted(key), self.entry(key)?, problems)
    }

    fn quoted(&self, key: &str) -> String {
        format!("`{}`", self.path_of(key))
    }

    fn text(&self, what: &str, value: &'a Spanned<DeValue<'a>>, problems: &mut Problems) -> Option<Field<&'a str>> {
        match value.get_ref() {
            DeValue::String(text) => Some(Field { value: text.as_ref(), span: value.span() }),
            other => wrong_type(what, "a string", other, value.span(), problems),
        }
    }

    /// The string `key`; its absence is a problem. `meaning` tells what it is.
    pub(super) fn required(&self, key: &str, meaning: &str, problems: &mut Problems) -> Option<Field<&'a str>> {
        if !self.has(key) {
            problems
                .at(self.span.clone(), format!("[{}] has no `{key}`", self.path), format!("`{key}` is missing here"))
                .help(format!("`{key}` is {meaning}"));
        }
        self.string(key, problems)
    }

    /// The value of `key` when its rule accepts it.
    pub(super) fn accept(
        &self,
        key: &str,
        field: Field<&str>,
        verdict: Result<(), String>,
        problems: &mut Problems,
    ) -> Option<String> {
        let Err(reason) = verdict else { return Some(field.value.to_owned()) };
        problems
            .at(field.span, format!("{:?} cannot be used as `{}`", field.value, self.path_of(key)), "refused")
            .help(reason);
        None
    }

    /// The section's own name, which stands in its header, when its rule accepts it.
    pub(super) fn accept_name(
        &self,
        what: &str,
        name: Field<&str>,
        verdict: Result<(), String>,
        problems: &mut Problems,
    ) -> Option<String> {
        let Err(reason) = verdict else { return Some(name.value.to_owned()) };
        problems.at(name.span, format!("{:?} cannot be the name of a {what}", name.value), "refused").help(reason);
        None
    }

    /// The boolean `key`.
    pub(super) fn boolean(&self, key: &str, problems: &mut Problems) -> Option<bool> {
        let value = self.entry(key)?;
        match value.get_ref() {
            DeValue::Boolean(truth) => Some(*truth),
            other => wrong_type(&self.quoted(key), "true or false", other, value.span(), problems),
        }
    }

    /// The integer `key`; one beyond 64 bits is saturated, so that the caller's range check names it.
    pub(super) fn integer(&self, key: &str, problems: &mut Problems) -> Option<Field<i64>> {
        let value = self.entry(key)?;
        match value.get_ref() {
            DeValue::Integer(digits) => {
                let saturated = if digits.as_str().starts_with('-') { i64::MIN } else { i64::MAX };
                let value_read = i64::from_str_radix(digits.as_str(), digits.radix()).unwrap_or(saturated);
                Some(Field { value: value_read, span: value.span() })
            }
            other => wrong_type(&self.quoted(key), "an integer", other, value.span(), problems),
        }
    }

    /// The list of strings `key`.
    pub(super) fn strings(&self, key: &str, problems: &mut Problems) -> Option<Vec<Field<&'a str>>> {
        let value = self.entry(key)?;
        match value.get_ref() {
            DeValue::Array(items) => {
                let what = format!("every item of `{}`", self.path_of(key));
                Some(items.iter().filter_map(|item| self.text(&what, item, problems)).collect())
            }
            other => wrong_type(&self.quoted(key), "a list of strings", other, value.span(), problems),
        }
    }

    /// The string `key` as one of `choices`.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &str,
        choices: &[(&str, T)],
        problems: &mut Problems,
    ) -> Option<Field<T>> {
        let text = self.string(key, problems)?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text.value) {
            return Some(Field { value: *value, span: text.span });
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        problems
            .at(text.span, format!("`{}` is not a value of `{}`", text.value, self.path_of(key)), "not known")
            .help(suggestion(text.value, &names, "possible values"));
        None
    }

    /// Notes every key that is not in `known`. `elsewhere` names sub-tables that have further keys, for advice.
    pub(super) fn refuse_unknown_keys(&self, known: &[&str], elsewhere: &[(&str, &[&str])], problems: &mut Problems) {
        for name in self.table.keys() {
            let key = name.get_ref().as_ref();
            if known.contains(&key) {
                continue;
            }
            let place = if self.path.is_empty() { "at the top level".into() } else { format!("in [{}]", self.path) };
            let advice = if smells_of_a_secret(key) {
                "credentials do not belong in lake.toml: name a `profile`, or set them in the environment".to_owned()
            } else if let Some((section, _)) = elsewhere.iter().find(|(_, keys)| keys.contains(&key)) {
                format!("`{key}` belongs in [{}]", self.path_of(section))
            } else {
                suggestion(key, known, "known here")
            };
            problems.at(name.span(), format!("unknown key `{key}` {place}"), "not a key of lake.toml").help(advice);
        }
    }
}

fn wrong_type<T>(
    what: &str,
    expected: &str,
    found: &DeValue<'_>,
    span: Range<usize>,
    problems: &mut Problems,
) -> Option<T> {
    let message = format!("{what} must be {expected}, not {}", article(found));
    problems.at(span, message, format!("{expected} belongs here"));
    None
}

fn article(value: &DeValue<'_>) -> String {
    match value.type_str() {
        name @ ("integer" | "array") => format!("an {name}"),
        name => format!("a {name}"),
    }
}

/// "did you mean …?" when one of `known` is near, else the list of them.
pub(super) fn suggestion(word: &str, known: &[&str], list: &str) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("{list}: {}", known.join(", ")),
    }
}

/// The one of `known` that a typing slip could have turned into `word`.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let lower = word.to_lowercase();
    let slips_allowed = (lower.chars().count() / 3).max(1);
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, candidate), *candidate))
        .filter(|(slips, _)| *slips <= slips_allowed)
        .min()
        .map(|(_, candidate)| candidate)
}
