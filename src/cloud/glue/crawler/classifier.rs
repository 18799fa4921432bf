//! Custom classifiers: those for CSV. Grok, XML and JSON ones are refused.
//! <https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-crawler-classifiers.html>

use redb::{ReadTransaction, WriteTransaction};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    api::{NamedCrawler, check_name, with_token},
    classify::{CsvRules, Presence, Serde, SerdeChoice},
    log,
    model::seconds,
};
use crate::cloud::{
    error::ApiError,
    glue::{Empty, Paging, Scope, already_exists, invalid, not_found, page},
    store::{Table, Transaction},
};

/// By region and name.
const CLASSIFIERS: Table<Classifier> = Table::new("glue.classifiers");

/// Most classifiers of a page.
const PAGE_ENTRIES: usize = 1000;
/// Most columns of a header.
const HEADER_COLUMNS: usize = 10_000;

/// What a caller sets; what is absent in an update stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Csv {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    delimiter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quote_symbol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contains_header: Option<Header>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_value_trimming: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_single_column: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serde: Option<SerdeName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Header {
    Unknown,
    Present,
    Absent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum SerdeName {
    #[serde(rename = "OpenCSVSerDe")]
    OpenCsv,
    #[serde(rename = "LazySimpleSerDe")]
    LazySimple,
    None,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Classifier {
    csv: Csv,
    /// Milliseconds since 1970.
    created: i64,
    updated: i64,
    version: i64,
}

#[derive(Deserialize)]
pub(in crate::cloud::glue) struct GivenClassifier {
    #[serde(rename = "CsvClassifier")]
    csv: Option<Map<String, Value>>,
}

impl GivenClassifier {
    fn csv(self) -> Result<Csv, ApiError> {
        let Some(members) = self.csv else {
            return Err(invalid("the embedded cloud's Glue has CSV classifiers alone: give a CsvClassifier".into()));
        };
        for member in ["CustomDatatypes", "CustomDatatypeConfigured"] {
            let set = members.get(member).is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)));
            if set && members[member] != json!([]) {
                return Err(invalid(format!("the embedded cloud's classifiers do not have {member}; leave it out")));
            }
        }
        crate::cloud::json::decode(Value::Object(members))
    }
}

impl Csv {
    fn check(&self) -> Result<(), ApiError> {
        check_name(&self.name)?;
        let (delimiter, quote) = (self.delimiter.as_deref(), self.quote_symbol.as_deref());
        for (member, text) in [("Delimiter", delimiter), ("QuoteSymbol", quote)] {
            let one = |text: &str| matches!(text.as_bytes(), [byte] if byte.is_ascii() && !b"\r\n".contains(byte));
            if !text.is_none_or(one) {
                return Err(invalid(format!("{member} must be one character, of ASCII, that ends no line")));
            }
        }
        if delimiter.is_some() && delimiter == Some(quote.unwrap_or("\"")) {
            return Err(invalid("QuoteSymbol must be different from Delimiter".into()));
        }
        let header = self.header.as_deref().unwrap_or_default();
        if header.len() > HEADER_COLUMNS {
            return Err(invalid(format!("Header has {} columns; the limit is {HEADER_COLUMNS}", header.len())));
        }
        header.iter().try_for_each(|name| check_name(name))
    }

    /// `self` with what `new` sets.
    fn updated(self, new: Csv) -> Csv {
        Csv {
            name: self.name,
            delimiter: new.delimiter.or(self.delimiter),
            quote_symbol: new.quote_symbol.or(self.quote_symbol),
            contains_header: new.contains_header.or(self.contains_header),
            header: new.header.or(self.header),
            disable_value_trimming: new.disable_value_trimming.or(self.disable_value_trimming),
            allow_single_column: new.allow_single_column.or(self.allow_single_column),
            serde: new.serde.or(self.serde),
        }
    }

    fn rules(&self) -> CsvRules {
        let byte = |text: &Option<String>| text.as_ref().and_then(|text| text.bytes().next());
        let header = match self.contains_header.unwrap_or(Header::Unknown) {
            Header::Unknown => Presence::Unknown,
            Header::Present => Presence::Present,
            Header::Absent => Presence::Absent,
        };
        CsvRules {
            delimiter: byte(&self.delimiter),
            quote: byte(&self.quote_symbol).unwrap_or(b'"'),
            header,
            names: self.header.clone().unwrap_or_default(),
            // "The default value is true": values are not trimmed.
            trim: !self.disable_value_trimming.unwrap_or(true),
            single_column: self.allow_single_column.unwrap_or(false),
            rows: 1,
            serde: match self.serde.unwrap_or(SerdeName::None) {
                SerdeName::OpenCsv => SerdeChoice::Fixed(Serde::OpenCsv),
                SerdeName::LazySimple => SerdeChoice::Fixed(Serde::LazySimple),
                SerdeName::None => SerdeChoice::Detected,
            },
        }
    }
}

impl Classifier {
    fn told(&self) -> Value {
        let mut csv = json!(self.csv);
        csv["CreationTime"] = seconds(self.created);
        csv["LastUpdated"] = seconds(self.updated);
        csv["Version"] = self.version.into();
        json!({ "CsvClassifier": csv })
    }
}

fn existing(tx: &impl Transaction, scope: &Scope, name: &str) -> Result<Classifier, ApiError> {
    let classifier = CLASSIFIERS.get(tx, &scope.key(&[name]))?;
    classifier.ok_or_else(|| not_found(format!("Classifier with name {name} does not exist")))
}

/// Refuses names that no classifier bears.
pub(super) fn all_exist(tx: &impl Transaction, scope: &Scope, names: &[String]) -> Result<(), ApiError> {
    for name in names {
        if CLASSIFIERS.get(tx, &scope.key(&[name]))?.is_none() {
            return Err(invalid(format!("Classifier with name {name} does not exist")));
        }
    }
    Ok(())
}

/// The rules of the classifiers called `names`, those that are gone left out.
pub(super) fn rules(tx: &impl Transaction, scope: &Scope, names: &[String]) -> Result<Vec<CsvRules>, ApiError> {
    let mut rules = Vec::new();
    for name in names {
        rules.extend(CLASSIFIERS.get(tx, &scope.key(&[name]))?.map(|classifier| classifier.csv.rules()));
    }
    Ok(rules)
}

pub(in crate::cloud::glue) fn create(
    tx: &WriteTransaction,
    scope: &Scope,
    input: GivenClassifier,
) -> Result<Empty, ApiError> {
    let csv = input.csv()?;
    csv.check()?;
    let key = scope.key(&[&csv.name]);
    if CLASSIFIERS.get(tx, &key)?.is_some() {
        return Err(already_exists(&format!("Classifier with name {} already exists", csv.name)));
    }
    let now = log::now();
    CLASSIFIERS.put(tx, &key, &Classifier { csv, created: now, updated: now, version: 1 })?;
    Ok(Empty {})
}

pub(in crate::cloud::glue) fn update(
    tx: &WriteTransaction,
    scope: &Scope,
    input: GivenClassifier,
) -> Result<Empty, ApiError> {
    let new = input.csv()?;
    let mut classifier = existing(tx, scope, &new.name)?;
    classifier.csv = classifier.csv.updated(new);
    classifier.csv.check()?;
    classifier.version += 1;
    classifier.updated = log::now();
    CLASSIFIERS.put(tx, &scope.key(&[&classifier.csv.name]), &classifier)?;
    Ok(Empty {})
}

pub(in crate::cloud::glue) fn get(tx: &ReadTransaction, scope: &Scope, input: NamedCrawler) -> Result<Value, ApiError> {
    Ok(json!({ "Classifier": existing(tx, scope, &input.name)?.told() }))
}

pub(in crate::cloud::glue) fn list(tx: &ReadTransaction, scope: &Scope, paging: Paging) -> Result<Value, ApiError> {
    let (found, next) = page(tx, &CLASSIFIERS, &scope.inside(&[]), &paging, PAGE_ENTRIES, |_, _| true)?;
    let told: Vec<Value> = found.iter().map(Classifier::told).collect();
    Ok(with_token(json!({ "Classifiers": told }), next))
}

/// Deletes a classifier; crawlers that name it go on without it.
pub(in crate::cloud::glue) fn delete(
    tx: &WriteTransaction,
    scope: &Scope,
    input: NamedCrawler,
) -> Result<Empty, ApiError> {
    existing(tx, scope, &input.name)?;
    CLASSIFIERS.delete(tx, &scope.key(&[&input.name]))?;
    Ok(Empty {})
}
