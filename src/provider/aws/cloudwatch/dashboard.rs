//! `aws:cloudwatch:Dashboard`. PutDashboard replaces what is there without a word; the engine looks before it begins.

use async_trait::async_trait;
use aws_sdk_cloudwatch::Client;
use serde_json::json;

use super::{tag, tag_list, tags, tags_unreadable};
use crate::{
    provider::{
        ErrorKind, Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed, incomplete, taken_up},
            fields::{begins_with, fields, inputs, parsed},
        },
    },
    resource::{Fields, Resource, Schema, aws::cloudwatch::Dashboard},
};

const GET: &str = "cloudwatch:GetDashboard";

pub(in crate::provider::aws) struct DashboardKind {
    cloudwatch: Client,
}

/// What CloudWatch has.
struct Found {
    arn: String,
    body: String,
}

impl DashboardKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        DashboardKind { cloudwatch: clients.cloudwatch.clone() }
    }

    async fn find(&self, name: &str) -> Result<Option<Found>, ProviderError> {
        let call = self.cloudwatch.get_dashboard().dashboard_name(name).send().await;
        let Some(answer) = call.map_err(failed(GET)).or_none()? else { return Ok(None) };
        let arn = answer.dashboard_arn.ok_or_else(|| incomplete(GET, "DashboardArn"))?;
        Ok(Some(Found { arn, body: answer.dashboard_body.unwrap_or_default() }))
    }

    async fn put(&self, target: Target<'_>, new: Option<&Tags>) -> Result<(), ProviderError> {
        let inputs: Dashboard = inputs(target)?;
        let call = self
            .cloudwatch
            .put_dashboard()
            .dashboard_name(target.identity)
            .dashboard_body(inputs.body.to_string())
            .set_tags(new.map(tag_list));
        let answer = call.send().await.map_err(failed("cloudwatch:PutDashboard"))?;
        // What makes a body invalid is an error; these are widgets that may not be drawn.
        for message in answer.dashboard_validation_messages() {
            let (path, said) = (message.data_path().unwrap_or_default(), message.message().unwrap_or_default());
            tracing::warn!("dashboard {}: {path}: {said}", target.identity);
        }
        Ok(())
    }

    async fn make(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        self.put(target, Some(tags)).await?;
        self.outputs(target.identity).await
    }

    async fn outputs(&self, name: &str) -> Result<Fields, ProviderError> {
        let not_yet = || ProviderError::new(ErrorKind::NotYet, GET, format!("dashboard {name} is not visible yet"));
        Ok(outputs(name, &self.find(name).await?.ok_or_else(not_yet)?.arn))
    }
}

#[async_trait]
impl Kind for DashboardKind {
    fn schema(&self) -> &'static Schema {
        Dashboard::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let Some(found) = self.find(target.identity).await? else { return Ok(None) };
        let Some(tags) = tags(&self.cloudwatch, &found.arn).await? else {
            // Deleted meanwhile, or an endpoint that has no tags of dashboards. Such a one is not gone.
            let there = self.find(target.identity).await?.is_some();
            return if there { Err(tags_unreadable("dashboard", target.identity)) } else { Ok(None) };
        };
        let inputs = fields(json!({ "body": parsed(&found.body) }));
        Ok(Some(Observed { inputs, outputs: outputs(target.identity, &found.arn), tags }))
    }

    async fn list(&self, prefix: &str) -> Result<Option<Vec<String>>, ProviderError> {
        let call = self.cloudwatch.list_dashboards().set_dashboard_name_prefix(begins_with(prefix));
        let mut pages = call.into_paginator().items().send();
        let mut names = Vec::new();
        while let Some(dashboard) = pages.next().await {
            names.extend(dashboard.map_err(failed("cloudwatch:ListDashboards"))?.dashboard_name);
        }
        Ok(Some(names))
    }

    async fn tag(&self, target: Target<'_>, tags: &Tags) -> Result<(), ProviderError> {
        let outputs = self.outputs(target.identity).await?;
        let arn = outputs.get("arn").and_then(|arn| arn.as_str()).unwrap_or_default();
        tag(&self.cloudwatch, arn, tags).await
    }

    async fn create(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        taken_up(self, target, tags, self.make(target, tags).await).await
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        self.put(target, None).await?;
        let outputs = self.outputs(target.identity).await?;
        let arn = outputs.get("arn").and_then(|arn| arn.as_str()).unwrap_or_default();
        tag(&self.cloudwatch, arn, tags).await?;
        Ok(outputs)
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let call = self.cloudwatch.delete_dashboards().dashboard_names(target.identity);
        let Err(error) = call.send().await.map_err(failed("cloudwatch:DeleteDashboards")).or_none() else {
            return Ok(());
        };
        // The operation's model has no error of its own for a dashboard that is gone.
        match (error.kind, self.find(target.identity).await?) {
            (ErrorKind::Invalid, None) => Ok(()),
            _ => Err(error),
        }
    }
}

fn outputs(name: &str, arn: &str) -> Fields {
    fields(json!({ "name": name, "arn": arn }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::replay::{Answer, Replay, cbor, target};

    const ARN: &str = "arn:aws:cloudwatch::123456789012:dashboard/d";

    fn declared() -> Fields {
        fields(json!({ "body": { "widgets": [{ "type": "text", "properties": { "markdown": "# Flights" } }] } }))
    }

    fn ours() -> Tags {
        [("lake:stack".to_owned(), "local".to_owned())].into()
    }

    fn found() -> Answer {
        let body = r##"{ "widgets": [ {"properties": {"markdown": "# Flights"}, "type": "text"} ] }"##;
        cbor(200, &json!({ "DashboardArn": ARN, "DashboardName": "d", "DashboardBody": body }))
    }

    /// As CloudWatch tells it: the shape in the body, and the code of its older protocol in a header.
    fn gone() -> Answer {
        let error = json!({ "__type": "com.amazonaws.cloudwatch#DashboardNotFoundError", "message": "none" });
        let (status, _, body) = cbor(404, &error);
        let headers = &[("smithy-protocol", "rpc-v2-cbor"), ("x-amzn-query-error", "ResourceNotFound;Sender")];
        (status, headers, body)
    }

    fn plainly_gone() -> Answer {
        let error = json!({ "__type": "com.amazonaws.cloudwatch#DashboardNotFoundError", "message": "none" });
        cbor(404, &error)
    }

    #[tokio::test]
    async fn a_dashboard_is_read_with_its_tags_whatever_the_spelling_of_its_body() {
        let tags = cbor(200, &json!({ "Tags": [{ "Key": "lake:stack", "Value": "local" }] }));
        let replay = Replay::new([found(), tags, gone(), plainly_gone()]);
        let kind = DashboardKind::new(&replay.clients());
        let there = kind.observe(target("d", &declared())).await.unwrap().unwrap();
        assert_eq!(there.inputs, declared());
        assert_eq!(there.outputs["arn"], ARN);
        assert_eq!(there.tags, ours());
        assert_eq!(kind.observe(target("d", &declared())).await.unwrap(), None);
        assert_eq!(kind.observe(target("d", &declared())).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_dashboard_is_made_with_its_tags_and_an_update_tags_it_apart() {
        let warning = json!({ "DashboardValidationMessages": [{ "DataPath": "/widgets/0", "Message": "odd" }] });
        let replay = Replay::new([cbor(200, &warning), found(), cbor(200, &json!({})), found(), cbor(200, &json!({}))]);
        let kind = DashboardKind::new(&replay.clients());
        assert_eq!(kind.create(target("d", &declared()), &ours()).await.unwrap()["arn"], ARN);
        kind.update(target("d", &declared()), &declared(), &ours()).await.unwrap();
        let asked = replay.asked();
        assert!(asked[0].contains("# Flights") && asked[0].contains("lake:stack"), "{}", asked[0]);
        assert!(!asked[2].contains("lake:stack"), "{}", asked[2]);
        assert!(asked[4].contains("/operation/TagResource") && asked[4].contains(ARN), "{}", asked[4]);
    }

    #[tokio::test]
    async fn a_dashboard_whose_tags_are_not_found_is_gone_only_if_it_is_not_found_either() {
        let no_tags = || cbor(404, &json!({ "__type": "ResourceNotFoundException", "message": "none" }));
        let replay = Replay::new([found(), no_tags(), gone(), found(), no_tags(), found()]);
        let kind = DashboardKind::new(&replay.clients());
        assert_eq!(kind.observe(target("d", &declared())).await.unwrap(), None);
        let error = kind.observe(target("d", &declared())).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotYet, "{error}");
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn a_creation_that_meets_its_own_earlier_try_goes_on() {
        let there = || cbor(409, &json!({ "__type": "ConflictException", "message": "it exists" }));
        let tags = || cbor(200, &json!({ "Tags": [{ "Key": "lake:stack", "Value": "local" }] }));
        let done = || cbor(200, &json!({}));
        let replay = Replay::new([there(), found(), tags(), done(), found(), done(), there(), found(), tags()]);
        let kind = DashboardKind::new(&replay.clients());
        assert_eq!(kind.create(target("d", &declared()), &ours()).await.unwrap()["arn"], ARN);
        let theirs = [("lake:stack".to_owned(), "other".to_owned())].into();
        let error = kind.create(target("d", &declared()), &theirs).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::AlreadyExists, "{error}");
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn deleting_a_dashboard_that_is_gone_succeeds() {
        let refused =
            || cbor(400, &json!({ "__type": "InvalidParameterValueException", "message": "no such dashboard" }));
        let replay = Replay::new([gone(), plainly_gone(), refused(), gone(), refused(), found()]);
        let kind = DashboardKind::new(&replay.clients());
        for _ in 0..3 {
            kind.delete(target("d", &declared())).await.unwrap();
        }
        let error = kind.delete(target("d", &declared())).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "it is there still");
        replay.assert_used_up();
    }
}
