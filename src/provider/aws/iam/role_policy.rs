//! `aws:iam:RolePolicy`.

use async_trait::async_trait;
use aws_sdk_iam::Client;
use serde_json::json;

use crate::{
    provider::{
        Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients, document,
            error::{OrNone, failed, parent_not_yet},
            fields::{fields, input, inputs, two},
        },
    },
    resource::{Fields, Resource, Schema, aws::iam::RolePolicy},
};

pub(in crate::provider::aws) struct RolePolicyKind {
    iam: Client,
}

impl RolePolicyKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        RolePolicyKind { iam: clients.iam.clone() }
    }
}

#[async_trait]
impl Kind for RolePolicyKind {
    fn schema(&self) -> &'static Schema {
        RolePolicy::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let (role, policy) = two(RolePolicy::SCHEMA.kind, target)?;
        let call = self.iam.get_role_policy().role_name(role).policy_name(policy).send().await;
        let Some(answer) = call.map_err(failed("iam:GetRolePolicy")).or_none()? else { return Ok(None) };
        let there = document::decode(&answer.policy_document);
        let document = document::in_the_words_of(input(target, "document"), there);
        let inputs = fields(json!({ "role": role, "policy": policy, "document": document }));
        Ok(Some(Observed { inputs, outputs: Fields::new(), tags: Tags::new() }))
    }

    async fn create(&self, target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        let inputs: RolePolicy = inputs(target)?;
        let call = self
            .iam
            .put_role_policy()
            .role_name(inputs.role.known())
            .policy_name(inputs.policy.known())
            .policy_document(inputs.document.to_string());
        call.send().await.map_err(failed("iam:PutRolePolicy")).map_err(parent_not_yet)?;
        Ok(Fields::new())
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        self.create(target, tags).await
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let (role, policy) = two(RolePolicy::SCHEMA.kind, target)?;
        let call = self.iam.delete_role_policy().role_name(role).policy_name(policy);
        call.send().await.map_err(failed("iam:DeleteRolePolicy")).or_none().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::replay::{Replay, answer, target};

    fn declared() -> Fields {
        let document = json!({ "Statement": [{ "Effect": "Allow", "Action": ["s3:GetObject"] }] });
        fields(json!({ "role": "r", "policy": "p", "document": document }))
    }

    #[tokio::test]
    async fn a_policy_that_allows_more_than_declared_shows_as_drift() {
        let body = |document: &str| {
            format!(
                "<GetRolePolicyResponse><GetRolePolicyResult><RoleName>r</RoleName><PolicyName>p</PolicyName>\
                 <PolicyDocument>{document}</PolicyDocument></GetRolePolicyResult></GetRolePolicyResponse>"
            )
        };
        let same = "%7B%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22s3%3AGetObject%22%7D%7D";
        let more = "%7B%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22s3%3A%2A%22%7D%7D";
        let replay = Replay::new([answer(200, body(same)), answer(200, body(more))]);
        let kind = RolePolicyKind::new(&replay.clients());
        let declared = declared();
        assert_eq!(kind.observe(target("r/p", &declared)).await.unwrap().unwrap().inputs, declared);
        assert_ne!(kind.observe(target("r/p", &declared)).await.unwrap().unwrap().inputs, declared);
    }

    #[tokio::test]
    async fn a_policy_is_put_on_its_role() {
        let replay = Replay::new([answer(200, "<PutRolePolicyResponse/>")]);
        let declared = declared();
        RolePolicyKind::new(&replay.clients()).create(target("r/p", &declared), &Tags::new()).await.unwrap();
        let put = &replay.asked()[0];
        assert!(put.contains("Action=PutRolePolicy") && put.contains("RoleName=r&PolicyName=p"), "{put}");
    }
}
