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
use crate::cloud::{delivery::Source, error::ApiError, service::Call, store::Table};

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
        if self.principal.is_empty() || self.principal.contains(char::is_whitespace) {
            return Err(invalid("The provided principal was invalid. Please check the principal and try again."));
        }
        Ok(())
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

    fn lets_invoke(&self, source: &Source) -> bool {
        let action = matches!(self.action.as_str(), "*" | "lambda:*" | "lambda:InvokeFunction");
        let principal = self.principal == "*" || self.principal == source.principal;
        let account = self.source_account.as_ref().is_none_or(|account| *account == source.account);
        let arn = self.source_arn.as_ref().is_none_or(|pattern| arn_like(pattern, &source.arn));
        action && principal && account && arn
    }
}

impl Policy {
    /// Whether `source` may invoke the function.
    pub(super) fn lets_invoke(&self, source: &Source) -> bool {
        self.statements.iter().any(|statement| statement.lets_invoke(source))
    }

    fn document(&self, function: &str) -> Value {
        let statements: Vec<Value> = self.statements.iter().map(|it| it.document(function)).collect();
        json!({ "Version": "2012-10-17", "Id": "default", "Statement": statements })
    }

    fn touch(&mut self) {
        self.revision = uuid::Uuid::new_v4().to_string();
    }
}

/// IAM's `ArnLike`: each of the six parts on its own, with `*` and `?` as wildcards inside of a part.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>
fn arn_like(pattern: &str, arn: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.splitn(6, ':'), arn.splitn(6, ':'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if wildcard(pattern.as_bytes(), part.as_bytes()) => {}
            _ => return false,
        }
    }
}

fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut in_text) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while in_text < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                last_star = Some((at, in_text));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[in_text] => {
                at += 1;
                in_text += 1;
            }
            _ => match last_star {
                Some((star, taken)) => {
                    last_star = Some((star, taken + 1));
                    at = star + 1;
                    in_text = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
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

    fn statement() -> Statement {
        Statement {
            statement_id: "s3".into(),
            action: "lambda:InvokeFunction".into(),
            principal: "s3.amazonaws.com".into(),
            source_arn: Some("arn:aws:s3:::raw".into()),
            source_account: Some("000000000000".into()),
        }
    }

    fn source() -> Source {
        Source { principal: "s3.amazonaws.com".into(), arn: "arn:aws:s3:::raw".into(), account: "000000000000".into() }
    }

    #[test]
    fn a_permission_counts_only_when_action_principal_arn_and_account_fit() {
        assert!(statement().lets_invoke(&source()));
        assert!(Statement { action: "lambda:*".into(), ..statement() }.lets_invoke(&source()));
        assert!(Statement { source_arn: None, source_account: None, ..statement() }.lets_invoke(&source()));
        for misfit in [
            Statement { action: "lambda:GetFunction".into(), ..statement() },
            Statement { principal: "events.amazonaws.com".into(), ..statement() },
            Statement { source_arn: Some("arn:aws:s3:::other".into()), ..statement() },
            Statement { source_account: Some("111111111111".into()), ..statement() },
        ] {
            assert!(!misfit.lets_invoke(&source()), "{misfit:?}");
        }
        assert!(!Policy::default().lets_invoke(&source()));
    }

    #[test]
    fn wildcards_of_an_arn_stay_inside_of_their_part() {
        assert!(arn_like("arn:aws:s3:::raw-*", "arn:aws:s3:::raw-1"));
        assert!(arn_like("arn:*:events:*:*:rule/a?c*e", "arn:aws:events:eu-west-1:0:rule/abcdde"));
        assert!(!arn_like("arn:aws:s3:::raw-?", "arn:aws:s3:::raw-10"));
        assert!(!arn_like("arn:aws:*", "arn:aws:s3:::raw"), "a part more");
        assert!(!arn_like("arn:aws:s3:*:x", "arn:aws:s3:::x"));
        assert!(arn_like("*:*:*:*:*:*", "arn:aws:s3:::a:b"));
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
