//! The AWS query protocol: a form body names the action and its parameters, the answer is XML.
//! <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use http::{Response, header::CONTENT_TYPE};
use quick_xml::escape::escape;

use super::{error::ApiError, service::Call};

/// Most entries of one list parameter; the services' own limits are lower.
const LIST_ENTRIES: usize = 1000;

/// The parameters of a call, by their flattened names (`Tags.member.1.Key`).
#[derive(Debug)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads the form body, and the query string before it.
    pub fn of(call: &Call) -> Params {
        let query = form_urlencoded::parse(call.uri.query().unwrap_or_default().as_bytes());
        let body = form_urlencoded::parse(&call.body);
        Params(query.chain(body).map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The action that the call names.
    pub fn action(&self) -> Result<&str, ApiError> {
        self.get("Action").ok_or_else(|| {
            ApiError::client(
                "MissingAction",
                "the request names no Action; a query call is a form with Action and Version",
            )
        })
    }

    /// A parameter, if it was sent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter that the action cannot do without.
    pub fn require(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name)
            .ok_or_else(|| ApiError::client("ValidationError", super::json::must_not_be_null(&camel_case(name))))
    }

    /// A whole number within `range`, if it was sent.
    pub fn number(&self, name: &str, range: std::ops::RangeInclusive<u32>) -> Result<Option<u32>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.parse::<u32>() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::client(
                "ValidationError",
                format!(
                    "1 validation error detected: Value '{text}' at '{}' failed to satisfy constraint: \
                     Member must be a number from {} to {}",
                    camel_case(name),
                    range.start(),
                    range.end()
                ),
            )),
        }
    }

    /// A list of plain values: `TagKeys.member.1`, `TagKeys.member.2`…
    pub fn list(&self, name: &str) -> Vec<&str> {
        (1..=LIST_ENTRIES).map_while(|number| self.get(&format!("{name}.member.{number}"))).collect()
    }

    /// A list of structures, each with the fields asked for: `Tags.member.1.Key`, `Tags.member.1.Value`…
    /// An entry without any of them ends the list.
    pub fn records<const N: usize>(&self, name: &str, fields: [&str; N]) -> Vec<[Option<&str>; N]> {
        (1..=LIST_ENTRIES)
            .map(|number| fields.map(|field| self.get(&format!("{name}.member.{number}.{field}"))))
            .take_while(|record| record.iter().any(Option::is_some))
            .collect()
    }
}

/// AWS names members in validation messages by their model name: `RoleName` is told as `roleName`.
fn camel_case(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// The refusal of an action that this service does not have.
pub fn unknown_action(action: &str, version: &str) -> ApiError {
    ApiError::client(
        "InvalidAction",
        format!("Could not find operation {action} for version {version} (the embedded cloud does not have it)"),
    )
}

/// Where a service's answers live: its XML namespace.
#[derive(Debug, Clone, Copy)]
pub struct Namespace(pub &'static str);

/// An XML document in the making. Text is escaped, and what XML 1.0 cannot carry becomes U+FFFD.
#[derive(Debug, Default)]
pub struct Xml(String);

impl Xml {
    /// What `body` writes.
    pub fn of(body: impl FnOnce(&mut Xml)) -> Xml {
        let mut xml = Xml::default();
        body(&mut xml);
        xml
    }

    /// `<name>value</name>`
    pub fn text(&mut self, name: &str, value: impl AsRef<str>) {
        self.open(name);
        self.0.push_str(&escaped(value.as_ref()));
        self.close(name);
    }

    /// [`Xml::text`], or nothing.
    pub fn optional(&mut self, name: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// An element with others inside.
    pub fn element(&mut self, name: &str, body: impl FnOnce(&mut Xml)) {
        self.open(name);
        body(self);
        self.close(name);
    }

    /// `<name><member>…</member>…</name>`
    pub fn list<I: IntoIterator>(&mut self, name: &str, items: I, mut body: impl FnMut(&mut Xml, I::Item)) {
        self.element(name, |xml| {
            for item in items {
                xml.element("member", |xml| body(xml, item));
            }
        });
    }

    /// Text inside the element that is open.
    pub fn value(&mut self, value: &str) {
        self.0.push_str(&escaped(value));
    }

    fn open(&mut self, name: &str) {
        self.0.extend(["<", name, ">"]);
    }

    fn close(&mut self, name: &str) {
        self.0.extend(["</", name, ">"]);
    }
}

/// `text` as XML carries it in an element or an attribute.
pub fn escaped(text: &str) -> String {
    let legal = |letter: char| matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    let text: Cow<'_, str> = if text.chars().all(legal) {
        text.into()
    } else {
        text.chars().map(|letter| if legal(letter) { letter } else { '\u{fffd}' }).collect()
    };
    // A parser folds a bare carriage return into a line feed.
    escape(text).replace('\r', "&#xD;")
}

/// `<ActionResponse><ActionResult>…</ActionResult><ResponseMetadata>…`: the answer to `action`. An action whose
/// model has no output has no result.
pub fn answer(
    call: &Call,
    namespace: Namespace,
    action: &str,
    result: Option<Xml>,
) -> Result<Response<Bytes>, ApiError> {
    let mut xml = Xml::default();
    xml.0.push_str(&format!("<{action}Response xmlns=\"{}\">", namespace.0));
    if let Some(result) = result {
        xml.element(&format!("{action}Result"), |xml| xml.0.push_str(&result.0));
    }
    xml.element("ResponseMetadata", |xml| xml.text("RequestId", &call.request_id));
    xml.close(&format!("{action}Response"));
    let body = Bytes::from(xml.0);
    Response::builder().header(CONTENT_TYPE, "text/xml").body(body).map_err(ApiError::internal)
}

#[cfg(test)]
pub(crate) mod tests {
    use http::{HeaderMap, Method};

    use super::*;
    use crate::cloud::service::{ACCOUNT_ID, Caller};

    /// A call of `action` by the account's root.
    pub(crate) fn call(action: &str, params: &[(&str, &str)]) -> Call {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action).extend_pairs(params);
        Call {
            caller: Caller { arn: format!("arn:aws:iam::{ACCOUNT_ID}:root"), user_id: ACCOUNT_ID.into() },
            region: "us-east-1".into(),
            request_id: "request-1".into(),
            method: Method::POST,
            uri: "/".parse().unwrap(),
            headers: HeaderMap::new(),
            body: form.finish().into(),
        }
    }

    #[test]
    fn lists_of_values_and_of_structures_are_read_in_their_order() {
        let call = call(
            "TagRole",
            &[
                ("Tags.member.1.Key", "a"),
                ("Tags.member.1.Value", ""),
                ("Tags.member.2.Key", "b & c"),
                ("TagKeys.member.1", "x"),
                ("TagKeys.member.3", "never reached"),
            ],
        );
        let params = Params::of(&call);
        assert_eq!(params.action().unwrap(), "TagRole");
        assert_eq!(params.records("Tags", ["Key", "Value"]), [[Some("a"), Some("")], [Some("b & c"), None]]);
        assert_eq!(params.list("TagKeys"), ["x"]);
        assert_eq!(params.list("Missing"), [""; 0]);
    }

    #[test]
    fn a_parameter_that_is_missing_or_out_of_range_is_named() {
        let call = call("ListRoles", &[("MaxItems", "1001")]);
        let params = Params::of(&call);
        assert!(params.require("RoleName").unwrap_err().message.contains("'roleName'"));
        assert!(params.number("MaxItems", 1..=1000).unwrap_err().message.contains("'maxItems'"));
        assert_eq!(params.number("MaxItems", 1..=1001).unwrap(), Some(1001));
    }

    #[test]
    fn an_answer_is_escaped_and_carries_the_request_id() {
        let names = Xml::of(|xml| xml.list("Names", ["<a> & \"b\"\r", "\u{1}"], Xml::value));
        let answer = answer(&call("Do", &[]), Namespace("urn:x"), "Do", Some(names));
        assert_eq!(
            answer.unwrap().body(),
            "<DoResponse xmlns=\"urn:x\"><DoResult><Names>\
             <member>&lt;a&gt; &amp; &quot;b&quot;&#xD;</member><member>\u{fffd}</member></Names></DoResult>\
             <ResponseMetadata><RequestId>request-1</RequestId></ResponseMetadata></DoResponse>"
        );
    }
}
