//! Resource policies: who else may invoke a function.
//! <https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html>

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Lambda,
    model::Reference,
    rest::{answer, check_revision, conflict, constraint, empty, invalid, not_found, query},
    settings::not_here,
};
use crate::cloud::{
    error::ApiError,
    iam::policy::{Policy as Document, PolicyKind},
    service::Call,
    store::Table,
};

/// Policies by the function's ARN.
pub(super) const POLICIES: Table<Policy> = Table::new("lambda.policies");

/// Largest policy, in bytes of its JSON.
const POLICY_BYTES: usize = 20 * 1024;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Policy {
    statements: Vec<Statement>,
    revision: String,
}

/// One permission, as `AddPermission` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    statement_id: String,
    action: String,
    principal: String,
    source_arn: Option<String>,
    source_account: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AddPermission {
    #[serde(flatten)]
    statement: Statement,
    revision_id: Option<String>,
    event_source_token: Option<Value>,
    #[serde(rename = "PrincipalOrgID")]
    principal_org_id: Option<Value>,
    function_url_auth_type: Option<Value>,
    invoked_via_function_url: Option<Value>,
}

impl Statement {
    fn check(&self) -> Result<(), ApiError> {
        let in_id = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let id = &self.statement_id;
        if !(1..=100).contains(&id.len()) || !id.chars().all(in_id) {
            return Err(constraint(format_args!(
                "Value '{id}' at 'statementId' failed to satisfy constraint: Member must satisfy regular expression \
                 pattern: ([a-zA-Z0-9-_]+)"
            )));
        }
        let verb = self.action.strip_prefix("lambda:");
        if self.action != "*" && !verb.is_some_and(|verb| verb == "*" || verb.chars().all(|c| c.is_ascii_alphabetic()))
        {
            return Err(invalid(format!("Value '{}' at 'action' is not an action of Lambda", self.action)));
        }
        let invalid_principal =
            || invalid("The provided principal was invalid. Please check the principal and try again.");
        if self.principal.is_empty() {
            return Err(invalid_principal());
        }
        // What IAM cannot read would make the whole policy worthless.
        let policy = Policy { statements: vec![self.clone()], revision: String::new() };
        let function = super::model::function_arn("region", "name");
        Document::parse(&policy.text(&function), PolicyKind::Resource).map(drop).map_err(|_| invalid_principal())
    }

    /// The statement as IAM writes it.
    fn document(&self, function: &str) -> Value {
        let principal = match self.principal.as_str() {
            "*" => json!("*"),
            service if service.contains(".amazonaws.com") => json!({ "Service": service }),
            account if account.bytes().all(|byte| byte.is_ascii_digit()) => {
                json!({ "AWS": format!("arn:aws:iam::{account}:root") })
            }
            arn => json!({ "AWS": arn }),
        };
        let mut condition = Map::new();
        if let Some(account) = &self.source_account {
            condition.insert("StringEquals".into(), json!({ "AWS:SourceAccount": account }));
        }
        if let Some(arn) = &self.source_arn {
            condition.insert("ArnLike".into(), json!({ "AWS:SourceArn": arn }));
        }
        let mut document = json!({
            "Sid": self.statement_id,
            "Effect": "Allow",
            "Principal": principal,
            "Action": self.action,
            "Resource": function,
        });
        if !condition.is_empty() {
            document["Condition"] = condition.into();
        }
        document
    }
}

impl Policy {
    /// The policy as IAM evaluates it.
    pub(super) fn text(&self, function: &str) -> String {
        self.document(function).to_string()
    }

    fn document(&self, function: &str) -> Value {
        let statements: Vec<Value> = self.statements.iter().map(|it| it.document(function)).collect();
        json!({ "Version": "2012-10-17", "Id": "default", "Statement": statements })
    }

    fn touch(&mut self) {
        self.revision = uuid::Uuid::new_v4().to_string();
    }
}

impl Lambda {
    pub(super) async fn add_permission(&self, call: &Call, of: Reference) -> Result<Response<Bytes>, ApiError> {
        let input: AddPermission = super::body(call)?;
        let foreign = [
            &input.event_source_token,
            &input.principal_org_id,
            &input.function_url_auth_type,
            &input.invoked_via_function_url,
        ];
        if foreign.iter().any(|value| value.is_some()) {
            return Err(not_here(
                "permissions with EventSourceToken, PrincipalOrgID, FunctionUrlAuthType or InvokedViaFunctionUrl",
            ));
        }
        let statement = input.statement;
        statement.check()?;
        let document = self
            .store
            .commit(move |tx| {
                let arn = of.find(tx)?.arn();
                let mut policy = POLICIES.get(tx, &arn)?.unwrap_or_default();
                check_revision(input.revision_id.as_deref(), &policy.revision)?;
                let id = &statement.statement_id;
                if policy.statements.iter().any(|other| other.statement_id == *id) {
                    return Err(conflict(format!(
                        "The statement id ({id}) provided already exists. Please provide a new statement id, or remove \
                         the existing statement."
                    )));
                }
                let document = statement.document(&arn).to_string();
                policy.statements.push(statement);
                policy.touch();
                if policy.document(&arn).to_string().len() > POLICY_BYTES {
                    return Err(ApiError::client(
                        "PolicyLengthExceededException",
                        format!("The final policy size is bigger than the limit ({POLICY_BYTES})."),
                    ));
                }
                POLICIES.put(tx, &arn, &policy)?;
                Ok(document)
            })
            .await?;
        answer(StatusCode::CREATED, &json!({ "Statement": document }))
    }

    pub(super) async fn remove_permission(
        &self,
        call: &Call,
        of: Reference,
        id: String,
    ) -> Result<Response<Bytes>, ApiError> {
        let revision = query(call, "RevisionId");
        self.store
            .commit(move |tx| {
                let arn = of.find(tx)?.arn();
                let missing = || not_found(format!("Statement {id} is not found in resource policy."));
                let mut policy = POLICIES.get(tx, &arn)?.ok_or_else(missing)?;
                check_revision(revision.as_deref(), &policy.revision)?;
                let at = policy.statements.iter().position(|it| it.statement_id == id).ok_or_else(missing)?;
                policy.statements.remove(at);
                policy.touch();
                if policy.statements.is_empty() {
                    POLICIES.delete(tx, &arn)?;
                } else {
                    POLICIES.put(tx, &arn, &policy)?;
                }
                Ok::<_, ApiError>(())
            })
            .await?;
        empty(StatusCode::NO_CONTENT)
    }

    pub(super) fn get_policy(&self, of: &Reference) -> Result<Response<Bytes>, ApiError> {
        let (document, revision) = self.store.read(|tx| {
            let arn = of.find(tx)?.arn();
            let policy =
                POLICIES.get(tx, &arn)?.ok_or_else(|| not_found("The resource you requested does not exist."))?;
            Ok::<_, ApiError>((policy.document(&arn).to_string(), policy.revision))
        })?;
        answer(StatusCode::OK, &json!({ "Policy": document, "RevisionId": revision }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::{
        authorise::{Need, may_deliver},
        delivery::Sender,
        store::Store,
    };

    fn statement() -> Statement {
        Statement {
            statement_id: "s3".into(),
            action: "lambda:InvokeFunction".into(),
            principal: "s3.amazonaws.com".into(),
            source_arn: Some("arn:aws:s3:::raw".into()),
            source_account: Some("000000000000".into()),
        }
    }

    #[test]
    fn a_permission_counts_only_when_action_principal_arn_and_account_fit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let lets_invoke = |statement: Statement| {
            let function = "arn:aws:lambda:r:000000000000:function:f";
            let policy = Policy { statements: vec![statement], revision: String::new() };
            let need = Need::new("lambda:InvokeFunction", function).under(Some(policy.text(function)));
            let sender = Sender::service("s3.amazonaws.com", "arn:aws:s3:::raw");
            store.write(|tx| may_deliver(tx, &sender, &need)).unwrap()
        };
        assert!(lets_invoke(statement()));
        assert!(lets_invoke(Statement { action: "lambda:*".into(), ..statement() }));
        assert!(lets_invoke(Statement { source_arn: None, source_account: None, ..statement() }));
        for misfit in [
            Statement { action: "lambda:GetFunction".into(), ..statement() },
            Statement { principal: "events.amazonaws.com".into(), ..statement() },
            Statement { source_arn: Some("arn:aws:s3:::other".into()), ..statement() },
            Statement { source_account: Some("111111111111".into()), ..statement() },
        ] {
            assert!(!lets_invoke(misfit.clone()), "{misfit:?}");
        }
    }

    #[test]
    fn a_principal_that_nobody_can_be_is_refused() {
        for principal in ["", "two words", "lambda", "someone.example.com"] {
            let refused = Statement { principal: principal.into(), ..statement() }.check().unwrap_err();
            assert_eq!(refused.code, "InvalidParameterValueException", "{principal}");
        }
        for principal in ["*", "000000000000", "s3.amazonaws.com", "arn:aws:iam::000000000000:role/r"] {
            Statement { principal: principal.into(), ..statement() }.check().unwrap();
        }
    }

    #[test]
    fn a_statement_is_written_as_aws_writes_it() {
        let document = statement().document("arn:f");
        assert_eq!(
            document.to_string(),
            r#"{"Sid":"s3","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"arn:f","Condition":{"StringEquals":{"AWS:SourceAccount":"000000000000"},"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::raw"}}}"#
        );
    }
}
