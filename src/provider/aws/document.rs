//! Policy documents, compared by what they mean: IAM and Lambda give back another spelling than they got.

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// A document as the service has it, in the words of `known` where both mean the same, so that another spelling is
/// no drift.
pub(super) fn in_the_words_of(known: Option<&Value>, there: Value) -> Value {
    match known {
        Some(known) if same(known, &there) => known.clone(),
        _ => there,
    }
}

/// The document in IAM's answer, which is URL-encoded (RFC 3986). Text that is no JSON stays text, and shows as
/// drift.
pub(super) fn decode(text: &str) -> Value {
    let text = percent_decode_str(text).decode_utf8_lossy();
    serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.into_owned()))
}

/// Whether two policy documents mean the same.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    normal(a) == normal(b)
}

/// One of the spellings of a document: a list of one is its element, a list is in order (in a policy every list is
/// a set), and a boolean or number is its text.
fn normal(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(normal).collect();
            items.sort_by_cached_key(Value::to_string);
            items.dedup();
            if items.len() == 1 { items.remove(0) } else { Value::Array(items) }
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().map(|(key, field)| (key.clone(), normal(field))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().collect())
        }
        Value::Bool(flag) => Value::String(flag.to_string()),
        Value::Number(number) => Value::String(number.to_string()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn another_spelling_of_a_document_is_the_same_document() {
        let ours = json!({ "Version": "2012-10-17", "Statement": [{
            "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::b/*",
            "Condition": { "Bool": { "aws:SecureTransport": true } } }] });
        let theirs = json!({ "Statement": { "Resource": ["arn:aws:s3:::b/*"], "Action": ["s3:PutObject", "s3:GetObject"],
            "Condition": { "Bool": { "aws:SecureTransport": "true" } } }, "Version": "2012-10-17" });
        assert_eq!(in_the_words_of(Some(&ours), theirs), ours);
    }

    #[test]
    fn a_document_that_allows_something_else_shows_as_it_is() {
        let ours = json!({ "Statement": [{ "Action": "s3:GetObject" }] });
        let theirs = json!({ "Statement": [{ "Action": ["s3:GetObject", "s3:DeleteObject"] }] });
        assert_eq!(in_the_words_of(Some(&ours), theirs.clone()), theirs);
    }

    #[test]
    fn iams_encoding_is_undone_and_a_plus_stays_a_plus() {
        assert_eq!(decode("%7B%22Sid%22%3A%22a+b%22%7D"), json!({ "Sid": "a+b" }));
        assert_eq!(decode("%7B%22Sid"), json!("{\"Sid"));
    }
}
