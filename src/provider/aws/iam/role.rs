//! `aws:iam:Role`.

use async_trait::async_trait;
use aws_sdk_iam::{Client, types::Tag};
use serde_json::json;

use crate::{
    provider::{
        Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients, document,
            error::{OrNone, failed, incomplete, taken_up, unbuildable},
            fields::{fields, input, inputs},
        },
    },
    resource::{Fields, Resource, Schema, aws::iam::Role},
};

pub(in crate::provider::aws) struct RoleKind {
    iam: Client,
}

impl RoleKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        RoleKind { iam: clients.iam.clone() }
    }

    async fn get(&self, name: &str) -> Result<Option<aws_sdk_iam::types::Role>, ProviderError> {
        let call = self.iam.get_role().role_name(name).send().await;
        Ok(call.map_err(failed("iam:GetRole")).or_none()?.and_then(|answer| answer.role))
    }

    /// A role is not deleted while it has policies, ours or not.
    async fn remove_policies(&self, role: &str) -> Result<(), ProviderError> {
        let mut pages = self.iam.list_role_policies().role_name(role).into_paginator().items().send();
        while let Some(policy) = pages.next().await {
            let policy = policy.map_err(failed("iam:ListRolePolicies"))?;
            let call = self.iam.delete_role_policy().role_name(role).policy_name(policy);
            call.send().await.map_err(failed("iam:DeleteRolePolicy")).or_none()?;
        }
        let mut pages = self.iam.list_attached_role_policies().role_name(role).into_paginator().items().send();
        while let Some(policy) = pages.next().await {
            let policy = policy.map_err(failed("iam:ListAttachedRolePolicies"))?;
            let call = self.iam.detach_role_policy().role_name(role).set_policy_arn(policy.policy_arn);
            call.send().await.map_err(failed("iam:DetachRolePolicy")).or_none()?;
        }
        Ok(())
    }

    async fn make(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        const OPERATION: &str = "iam:CreateRole";
        let inputs: Role = inputs(target)?;
        let call = self
            .iam
            .create_role()
            .role_name(target.identity)
            .assume_role_policy_document(inputs.trust.to_string())
            .description(inputs.description.known())
            .set_tags(Some(tag_list(OPERATION, tags)?));
        let answer = call.send().await.map_err(failed(OPERATION))?;
        Ok(outputs(&answer.role.ok_or_else(|| incomplete(OPERATION, "Role"))?))
    }
}

#[async_trait]
impl Kind for RoleKind {
    fn schema(&self) -> &'static Schema {
        Role::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let Some(role) = self.get(target.identity).await? else { return Ok(None) };
        let trust = role.assume_role_policy_document().map(document::decode);
        let trust = trust.map(|trust| document::in_the_words_of(input(target, "trust"), trust));
        Ok(Some(Observed {
            inputs: fields(json!({ "trust": trust, "description": role.description().unwrap_or_default() })),
            outputs: outputs(&role),
            tags: role.tags.into_iter().flatten().map(|tag| (tag.key, tag.value)).collect(),
        }))
    }

    /// IAM lists roles by path alone.
    async fn list(&self, prefix: &str) -> Result<Option<Vec<String>>, ProviderError> {
        let mut pages = self.iam.list_roles().into_paginator().items().send();
        let mut names = Vec::new();
        while let Some(role) = pages.next().await {
            names.push(role.map_err(failed("iam:ListRoles"))?.role_name);
        }
        names.retain(|name| name.starts_with(prefix));
        Ok(Some(names))
    }

    async fn tag(&self, target: Target<'_>, tags: &Tags) -> Result<(), ProviderError> {
        const OPERATION: &str = "iam:TagRole";
        let call = self.iam.tag_role().role_name(target.identity).set_tags(Some(tag_list(OPERATION, tags)?));
        call.send().await.map_err(failed(OPERATION)).map(drop)
    }

    async fn create(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        taken_up(self, target, tags, self.make(target, tags).await).await
    }

    async fn update(&self, target: Target<'_>, prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        const OPERATION: &str = "iam:GetRole";
        let inputs: Role = inputs(target)?;
        let role = target.identity;
        if prior.get("trust") != Some(&inputs.trust) {
            let call = self.iam.update_assume_role_policy().role_name(role).policy_document(inputs.trust.to_string());
            call.send().await.map_err(failed("iam:UpdateAssumeRolePolicy"))?;
        }
        if prior.get("description").and_then(|value| value.as_str()) != Some(inputs.description.known()) {
            let call = self.iam.update_role_description().role_name(role).description(inputs.description.known());
            call.send().await.map_err(failed("iam:UpdateRoleDescription"))?;
        }
        self.tag(target, tags).await?;
        Ok(outputs(&self.get(role).await?.ok_or_else(|| incomplete(OPERATION, "Role"))?))
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        if self.remove_policies(target.identity).await.or_none()?.is_none() {
            return Ok(());
        }
        let call = self.iam.delete_role().role_name(target.identity);
        call.send().await.map_err(failed("iam:DeleteRole")).or_none().map(drop)
    }
}

fn outputs(role: &aws_sdk_iam::types::Role) -> Fields {
    fields(json!({ "name": role.role_name, "arn": role.arn, "id": role.role_id }))
}

fn tag_list(operation: &str, tags: &Tags) -> Result<Vec<Tag>, ProviderError> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect::<Result<_, _>>()
        .map_err(|error| unbuildable(operation, error))
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;
    use crate::provider::aws::replay::{Replay, answer, target};

    fn role(trust: &str) -> String {
        format!(
            "<GetRoleResponse><GetRoleResult><Role><Path>/</Path><RoleName>r</RoleName><RoleId>AROA</RoleId>\
             <Arn>arn:aws:iam::123456789012:role/r</Arn><CreateDate>2025-01-01T00:00:00Z</CreateDate>\
             <AssumeRolePolicyDocument>{}</AssumeRolePolicyDocument><Description>d</Description>\
             <Tags><member><Key>lake:name</Key><Value>flights</Value></member></Tags></Role></GetRoleResult>\
             </GetRoleResponse>",
            utf8_percent_encode(trust, NON_ALPHANUMERIC)
        )
    }

    fn declared() -> Fields {
        let trust = json!({ "Statement": [{ "Action": "sts:AssumeRole", "Effect": "Allow" }] });
        fields(json!({ "trust": trust, "description": "d" }))
    }

    #[tokio::test]
    async fn a_role_is_read_with_its_tags_and_its_trust_in_our_words() {
        let replay =
            Replay::new([answer(200, role(r#"{"Statement":{"Effect":"Allow","Action":["sts:AssumeRole"]}}"#))]);
        let declared = declared();
        let found = RoleKind::new(&replay.clients()).observe(target("r", &declared)).await.unwrap().unwrap();
        assert_eq!(found.inputs, declared);
        assert_eq!(found.outputs["arn"], "arn:aws:iam::123456789012:role/r");
        assert_eq!(found.tags["lake:name"], "flights");
    }

    #[tokio::test]
    async fn deletion_clears_inline_and_attached_policies_first() {
        let list = |action: &str, rest: &str| {
            answer(
                200,
                format!(
                    "<{action}Response><{action}Result><IsTruncated>false</IsTruncated>{rest}</{action}Result></{action}Response>"
                ),
            )
        };
        let replay = Replay::new([
            list("ListRolePolicies", "<PolicyNames><member>p</member></PolicyNames>"),
            answer(200, "<DeleteRolePolicyResponse/>"),
            list(
                "ListAttachedRolePolicies",
                "<AttachedPolicies><member><PolicyArn>arn:aws:iam::aws:policy/X</PolicyArn></member></AttachedPolicies>",
            ),
            answer(200, "<DetachRolePolicyResponse/>"),
            answer(200, "<DeleteRoleResponse/>"),
        ]);
        RoleKind::new(&replay.clients()).delete(target("r", &Fields::new())).await.unwrap();
        let asked = replay.asked();
        assert!(asked[1].contains("Action=DeleteRolePolicy") && asked[1].contains("PolicyName=p"));
        assert!(asked[3].contains("Action=DetachRolePolicy") && asked[4].contains("Action=DeleteRole&"));
    }

    #[tokio::test]
    async fn deleting_a_role_that_is_gone_succeeds() {
        let gone = "<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>m</Message></Error></ErrorResponse>";
        let replay = Replay::new([answer(404, gone)]);
        RoleKind::new(&replay.clients()).delete(target("r", &Fields::new())).await.unwrap();
    }
}
