//! `aws:glue:Classifier` for CSV. Classifiers take no tags
//! (<https://docs.aws.amazon.com/glue/latest/dg/monitor-tags.html>): one is ours when a call of ours made it.

use async_trait::async_trait;
use aws_sdk_glue::{
    Client,
    types::{CreateCsvClassifierRequest, CsvClassifier, CsvHeaderOption, UpdateCsvClassifierRequest},
};
use serde_json::{Value, json};

use crate::{
    provider::{
        Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed, unbuildable},
            fields::{fields, inputs, or_blank},
        },
    },
    resource::{Fields, Input, Resource, Schema, aws::glue::Classifier},
};

/// Members that an update cannot unset: what is not given stays
/// (<https://docs.aws.amazon.com/glue/latest/webapi/API_UpdateCsvClassifierRequest.html>).
const STAYS: &[&str] = &["delimiter", "quote"];

/// Whether there is a header where nobody says: Glue finds it out.
const HEADER_DEFAULT: &str = "UNKNOWN";

pub(in crate::provider::aws) struct ClassifierKind {
    glue: Client,
}

impl ClassifierKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        ClassifierKind { glue: clients.glue.clone() }
    }

    async fn find(&self, name: &str) -> Result<Option<CsvClassifier>, ProviderError> {
        let call = self.glue.get_classifier().name(name).send().await;
        let found = call.map_err(failed("glue:GetClassifier")).or_none()?;
        Ok(found.and_then(|answer| answer.classifier?.csv_classifier))
    }
}

#[async_trait]
impl Kind for ClassifierKind {
    fn schema(&self) -> &'static Schema {
        Classifier::SCHEMA
    }

    /// Built-in classifiers have no names, and of custom ones only those for CSV are ours.
    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let Some(found) = self.find(target.identity).await? else { return Ok(None) };
        Ok(Some(Observed { inputs: observed(&found, target), outputs: outputs(target.identity), tags: Tags::new() }))
    }

    async fn create(&self, target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        const OPERATION: &str = "glue:CreateClassifier";
        let inputs: Classifier = inputs(target)?;
        let csv = CreateCsvClassifierRequest::builder()
            .name(target.identity)
            .set_delimiter(known(inputs.delimiter.as_ref()))
            .set_quote_symbol(known(inputs.quote.as_ref()))
            .contains_header(CsvHeaderOption::from(inputs.header.known().as_str()))
            .build()
            .map_err(|error| unbuildable(OPERATION, error))?;
        self.glue.create_classifier().csv_classifier(csv).send().await.map_err(failed(OPERATION))?;
        Ok(outputs(target.identity))
    }

    async fn update(&self, target: Target<'_>, prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        const OPERATION: &str = "glue:UpdateClassifier";
        if STAYS.iter().any(|name| prior.contains_key(*name) && !target.inputs.contains_key(*name)) {
            self.delete(target).await?;
            return self.create(target, tags).await;
        }
        let inputs: Classifier = inputs(target)?;
        let csv = UpdateCsvClassifierRequest::builder()
            .name(target.identity)
            .set_delimiter(known(inputs.delimiter.as_ref()))
            .set_quote_symbol(known(inputs.quote.as_ref()))
            .contains_header(CsvHeaderOption::from(inputs.header.known().as_str()))
            .build()
            .map_err(|error| unbuildable(OPERATION, error))?;
        self.glue.update_classifier().csv_classifier(csv).send().await.map_err(failed(OPERATION))?;
        Ok(outputs(target.identity))
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let call = self.glue.delete_classifier().name(target.identity);
        call.send().await.map_err(failed("glue:DeleteClassifier")).or_none().map(drop)
    }
}

fn known(input: Option<&Input<String>>) -> Option<String> {
    input.map(|input| input.known().clone())
}

fn outputs(name: &str) -> Fields {
    fields(json!({ "name": name }))
}

/// The classifier in the declared shape. What lake never declares is told besides, so that it shows as drift.
fn observed(found: &CsvClassifier, target: Target<'_>) -> Fields {
    let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(|text| Value::String(text.to_owned()));
    let header = found.contains_header().map_or(HEADER_DEFAULT, CsvHeaderOption::as_str);
    fields(json!({
        "delimiter": or_blank(target, "delimiter", text(found.delimiter())),
        "quote": or_blank(target, "quote", text(found.quote_symbol())),
        "header": header,
        "names": Some(found.header()).filter(|names| !names.is_empty()),
        "single_column": found.allow_single_column().filter(|allowed| *allowed),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::replay::{Answer, Replay, answer, json_error, target};

    fn declared() -> Fields {
        fields(json!({ "delimiter": ";", "header": "ABSENT" }))
    }

    fn found(csv: Value) -> Answer {
        answer(200, json!({ "Classifier": { "CsvClassifier": csv } }).to_string())
    }

    fn done() -> Answer {
        answer(200, "{}")
    }

    #[tokio::test]
    async fn a_classifier_is_made_and_read_back_and_a_lost_delimiter_shows_as_drift() {
        let replay = Replay::new([
            done(),
            found(json!({ "Name": "c", "Delimiter": ";", "ContainsHeader": "ABSENT", "AllowSingleColumn": false })),
            found(json!({ "Name": "c", "QuoteSymbol": "'", "ContainsHeader": "UNKNOWN" })),
            json_error(400, "EntityNotFoundException", "none"),
        ]);
        let kind = ClassifierKind::new(&replay.clients());
        let declared = declared();
        let target = target("c", &declared);
        assert_eq!(kind.create(target, &Tags::new()).await.unwrap()["name"], "c");
        let create = &replay.asked()[0];
        assert!(create.contains(r#""Delimiter":";""#) && create.contains(r#""ContainsHeader":"ABSENT""#), "{create}");
        assert_eq!(kind.observe(target).await.unwrap().unwrap().inputs, declared);
        let drifted = fields(json!({ "delimiter": "", "quote": "'", "header": "UNKNOWN" }));
        assert_eq!(kind.observe(target).await.unwrap().unwrap().inputs, drifted);
        assert_eq!(kind.observe(target).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_an_update_cannot_unset_is_made_anew() {
        let replay = Replay::new([done(), done(), done()]);
        let kind = ClassifierKind::new(&replay.clients());
        let (declared, mut prior) = (declared(), declared());
        kind.update(target("c", &declared), &prior, &Tags::new()).await.unwrap();
        prior.insert("quote".to_owned(), json!("'"));
        kind.update(target("c", &declared), &prior, &Tags::new()).await.unwrap();
        let asked = replay.asked();
        assert!(asked[0].contains("UpdateClassifier"), "{}", asked[0]);
        assert!(asked[1].contains("DeleteClassifier") && asked[2].contains("CreateClassifier"), "{asked:?}");
    }

    #[tokio::test]
    async fn deleting_a_classifier_that_is_gone_succeeds() {
        let replay = Replay::new([json_error(400, "EntityNotFoundException", "none")]);
        ClassifierKind::new(&replay.clients()).delete(target("c", &declared())).await.unwrap();
    }
}
