//! `[dataset.x.csv]`: how a dataset's files are written, as far as it is not to be found out.

use std::collections::BTreeMap;

use encoding_rs::Encoding;

use super::{
    error::Problems,
    policy, rules,
    section::{Field, Section},
};
use crate::dataset::{CsvOptions, DateOrder, HEADER_ROWS_MAX, Mark, Newline, SKIP_LINES_MAX};

/// The section of one list of null spellings a column.
const COLUMN_NULLS: &str = "column_nulls";

pub(super) const KEYS: &[&str] = &[
    "delimiter",
    "quote",
    "escape",
    "newline",
    "skip_lines",
    "header",
    "header_rows",
    "comment",
    "nulls",
    COLUMN_NULLS,
    "encoding",
    "date_order",
    "decimal_comma",
    policy::RAGGED,
];

pub(super) fn options(section: &Section<'_>, problems: &mut Problems) -> CsvOptions {
    section.refuse_unknown_keys(KEYS, &[], problems);
    let delimiter = character(section, "delimiter", problems);
    let quote = mark(section, "quote", problems);
    let comment = character(section, "comment", problems);
    let of_quote = quote.as_ref().and_then(|quote| Some(Field { value: quote.value.0?, span: quote.span.clone() }));
    refuse_same(("quote", of_quote.as_ref()), ("delimiter", delimiter.as_ref()), problems);
    refuse_same(("comment", comment.as_ref()), ("delimiter", delimiter.as_ref()), problems);
    refuse_same(("comment", comment.as_ref()), ("quote", of_quote.as_ref()), problems);
    let escape = mark(section, "escape", problems);
    let of_escape = escape.as_ref().and_then(|mark| Some(Field { value: mark.value.0?, span: mark.span.clone() }));
    refuse_same(("escape", of_escape.as_ref()), ("delimiter", delimiter.as_ref()), problems);
    let newlines = [("lf", Newline::Lf), ("cr", Newline::Cr)];
    let orders = [("dmy", DateOrder::Dmy), ("mdy", DateOrder::Mdy)];
    let nulls = section.strings("nulls", problems);
    let header = section.boolean("header", problems);
    CsvOptions {
        delimiter: delimiter.map(|field| field.value),
        quote: quote.map(|field| field.value),
        header,
        nulls: nulls.map(texts),
        encoding: encoding(section, problems),
        escape: escape.map(|field| field.value),
        newline: section.choice("newline", &newlines, problems).map(|field| field.value),
        skip_lines: count(section, "skip_lines", SKIP_LINES_MAX, problems).map(|field| field.value),
        header_rows: header_rows(section, header, problems),
        comment: comment.map(|field| field.value),
        column_nulls: column_nulls(section, problems),
        date_order: section.choice("date_order", &orders, problems).map(|field| field.value),
        decimal_comma: section.boolean("decimal_comma", problems),
        ragged: policy::ragged(section, problems),
    }
}

fn texts(fields: Vec<Field<&str>>) -> Vec<String> {
    fields.into_iter().map(|field| field.value.to_owned()).collect()
}

/// Refuses one character with two meanings.
fn refuse_same(one: (&str, Option<&Field<char>>), other: (&str, Option<&Field<char>>), problems: &mut Problems) {
    let ((name, Some(field)), (other, Some(taken))) = (one, other) else { return };
    if field.value == taken.value {
        problems
            .at(field.span.clone(), format!("the {name} and the {other} are the same character"), "the same again")
            .also(taken.span.clone(), format!("the {other}"))
            .help(match name {
                "quote" => "leave both out: lake finds them out from the file",
                _ => "one of them must be another",
            });
    }
}

/// One ASCII character that is not part of a line's end.
fn character(section: &Section<'_>, key: &str, problems: &mut Problems) -> Option<Field<char>> {
    let text = section.string(key, problems)?;
    let mut characters = text.value.chars();
    match (characters.next(), characters.next()) {
        (Some(one @ ('\n' | '\r' | '\0')), None) => {
            let reason = format!("{one:?} cannot be it");
            section.accept(key, text, Err(reason), problems);
            None
        }
        (Some(one), None) if one.is_ascii() => Some(Field { value: one, span: text.span }),
        _ => {
            let reason = "it must be one ASCII character, such as \",\" or \"\\t\"".to_owned();
            section.accept(key, text, Err(reason), problems);
            None
        }
    }
}

/// A character, or empty text: that none has the meaning.
fn mark(section: &Section<'_>, key: &str, problems: &mut Problems) -> Option<Field<Mark>> {
    if section.is_string(key)
        && let Some(none) = section.string(key, problems).filter(|text| text.value.is_empty())
    {
        return Some(Field { value: Mark::NONE, span: none.span });
    }
    character(section, key, problems).map(|field| Field { value: field.value.into(), span: field.span })
}

/// A whole number from 0 to `most`.
fn count(section: &Section<'_>, key: &str, most: u64, problems: &mut Problems) -> Option<Field<u64>> {
    let number = section.integer(key, problems)?;
    match u64::try_from(number.value).ok().filter(|value| *value <= most) {
        Some(value) => Some(Field { value, span: number.span }),
        None => {
            let message = format!("`{}.{key}` is out of range", section.path);
            problems.at(number.span, message, "out of range").help(format!("from 0 to {most}"));
            None
        }
    }
}

/// `header_rows`, which may say no other than `header`.
fn header_rows(section: &Section<'_>, header: Option<bool>, problems: &mut Problems) -> Option<u32> {
    let rows = count(section, "header_rows", HEADER_ROWS_MAX.into(), problems)?;
    if header.is_some_and(|header| header != (rows.value > 0)) {
        let message = format!("`header` and `header_rows` of [{}] say different things", section.path);
        problems.at(rows.span, message, "this").help("set one of them: header_rows = 0 is no header");
        return None;
    }
    u32::try_from(rows.value).ok()
}

/// A list of spellings for each column that has its own.
fn column_nulls(section: &Section<'_>, problems: &mut Problems) -> BTreeMap<String, Vec<String>> {
    let Some(section) = section.section(COLUMN_NULLS, problems) else { return BTreeMap::new() };
    let mut nulls = BTreeMap::new();
    for name in section.keys() {
        if let Err(reason) = rules::column_name(name.value) {
            let message = format!("{:?} cannot be a column of [{}]", name.value, section.path);
            problems.at(name.span, message, "not a column name").help(reason);
        } else if let Some(spellings) = section.strings(name.value, problems) {
            nulls.insert(name.value.to_owned(), texts(spellings));
        }
    }
    nulls
}

/// An encoding's WHATWG name in lower case, by any of its labels.
fn encoding(section: &Section<'_>, problems: &mut Problems) -> Option<String> {
    let label = section.string("encoding", problems)?;
    if let Some(encoding) = Encoding::for_label_no_replacement(label.value.as_bytes()) {
        return Some(encoding.name().to_ascii_lowercase());
    }
    problems
        .at(label.span, format!("`{}` is not an encoding that lake knows", label.value), "not known")
        .help("labels are those of the WHATWG: `utf-8`, `utf-16le`, `utf-16be`, `windows-1252`, `iso-8859-2`, …");
    None
}
