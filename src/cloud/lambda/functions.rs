//! Functions: creation, description, listing, change, deletion.

use std::{collections::BTreeMap, fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Response, StatusCode};
use redb::WriteTransaction;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};
use serde_json::{Value, json};

use super::{
    Lambda, destinations,
    event_config::EVENT_CONFIGS,
    model::{Code, FUNCTIONS, Function, Reference, function_arn},
    package::{Lease, UNPACKED_BYTES, Zip},
    policy::POLICIES,
    rest::{answer, check_revision, conflict, empty, invalid, max_items, query},
    settings::{Given, not_here},
    tags,
};
use crate::cloud::{error::ApiError, service::Call};

/// Most functions of one page.
const PAGE_FUNCTIONS: usize = 50;
const ARCHITECTURES: [&str; 2] = ["x86_64", "arm64"];
/// Zips together in one account on AWS, in bytes.
const TOTAL_CODE_BYTES: u64 = 80_530_636_800;
/// The largest zip taken inline on AWS, in bytes.
const ZIPPED_BYTES: u64 = 52_428_800;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateFunction {
    function_name: String,
    code: GivenCode,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    architectures: Option<Vec<String>>,
    package_type: Option<String>,
    #[serde(default)]
    publish: bool,
    code_signing_config_arn: Option<String>,
    tenancy_config: Option<Value>,
    #[serde(flatten)]
    settings: Given,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct GivenCode {
    zip_file: Option<Blob>,
    s3_bucket: Option<String>,
    s3_key: Option<String>,
    s3_object_version: Option<String>,
    image_uri: Option<String>,
    #[serde(rename = "SourceKMSKeyArn")]
    source_kms_key_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateFunctionCode {
    architectures: Option<Vec<String>>,
    #[serde(default)]
    publish: bool,
    #[serde(default)]
    dry_run: bool,
    revision_id: Option<String>,
    #[serde(flatten)]
    code: GivenCode,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateFunctionConfiguration {
    revision_id: Option<String>,
    #[serde(flatten)]
    settings: Given,
}

/// Base64 decoded while it is read, so that a package is not held twice as text.
struct Blob(Vec<u8>);

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Base64;
        impl Visitor<'_> for Base64 {
            type Value = Blob;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("base64 text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Blob, E> {
                STANDARD.decode(text).map(Blob).map_err(|error| E::custom(format!("not base64: {error}")))
            }
        }
        deserializer.deserialize_str(Base64)
    }
}

impl Lambda {
    pub(super) async fn create_function(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let input: CreateFunction = super::body(call)?;
        let of = Reference::parse(&call.region, &input.function_name)?;
        refuse_publish(input.publish)?;
        if input.package_type.as_deref().is_some_and(|kind| kind != "Zip") || input.tenancy_config.is_some() {
            return Err(not_here("packages other than zips, and no TenancyConfig"));
        }
        if input.code_signing_config_arn.is_some_and(|arn| !arn.is_empty()) {
            return Err(not_here("CodeSigningConfigArn"));
        }
        tags::check(&input.tags)?;
        let architecture = architecture(input.architectures)?.unwrap_or_else(|| ARCHITECTURES[0].to_owned());
        let exists = |of: &Reference| conflict(format!("Function already exist: {}", of.name));
        if self.store.read(|tx| of.get(tx))?.is_some() {
            return Err(exists(&of)); // before the package is unpacked in vain
        }
        let settings = input.settings.create(&of.name, &*self.roles)?;
        let (code, lease) = self.install(input.code).await?;
        let mut function = Function {
            name: of.name.clone(),
            region: call.region.clone(),
            tags: input.tags,
            settings,
            code,
            architecture,
            last_modified: 0,
            revision: String::new(),
        };
        function.touch();
        let view = function.view();
        let exchange = Arc::clone(&self.pool.host.exchange);
        self.store
            .commit(move |tx| {
                if of.get(tx)?.is_some() {
                    return Err(exists(&of));
                }
                if let Some(target) = &function.settings.dead_letters {
                    destinations::check(tx, &exchange, &function.settings.role, target)?;
                }
                FUNCTIONS.put(tx, &function.arn(), &function)?;
                drop(lease);
                Ok(())
            })
            .await?;
        answer(StatusCode::CREATED, &view)
    }

    pub(super) fn get_function(&self, of: &Reference) -> Result<Response<Bytes>, ApiError> {
        let function = self.store.read(|tx| of.find(tx))?;
        // AWS adds a presigned link to the package's own bucket, which the embedded cloud does not have.
        let mut body = json!({ "Configuration": function.view(), "Code": { "RepositoryType": "S3" } });
        if !function.tags.is_empty() {
            body["Tags"] = json!(function.tags);
        }
        answer(StatusCode::OK, &body)
    }

    pub(super) fn get_configuration(&self, of: &Reference) -> Result<Response<Bytes>, ApiError> {
        answer(StatusCode::OK, &self.store.read(|tx| of.find(tx))?.view())
    }

    pub(super) fn list_functions(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let limit = max_items(call, PAGE_FUNCTIONS)?;
        let prefix = function_arn(&call.region, "");
        let after = query(call, "Marker").map(|name| function_arn(&call.region, &name));
        let mut page = self.store.read(|tx| FUNCTIONS.scan(tx, &prefix, after.as_deref(), limit + 1))?;
        let more = page.len() > limit;
        page.truncate(limit);
        let views: Vec<Value> = page.iter().map(|(_, function)| function.view()).collect();
        let mut body = json!({ "Functions": views });
        if more && let Some((_, last)) = page.last() {
            body["NextMarker"] = last.name.clone().into();
        }
        answer(StatusCode::OK, &body)
    }

    pub(super) async fn update_code(&self, call: &Call, of: Reference) -> Result<Response<Bytes>, ApiError> {
        let input: UpdateFunctionCode = super::body(call)?;
        refuse_publish(input.publish)?;
        let architecture = architecture(input.architectures)?;
        let present = self.store.read(|tx| of.find(tx))?;
        check_revision(input.revision_id.as_deref(), &present.revision)?;
        let (code, lease) = self.install(input.code).await?;
        if input.dry_run {
            let architecture = architecture.unwrap_or_else(|| present.architecture.clone());
            let view = Function { code, architecture, ..present }.view();
            drop(lease);
            self.pool.host.packages.collect(&self.store).await;
            return answer(StatusCode::OK, &view);
        }
        let change = move |_: &WriteTransaction, function: &mut Function| {
            function.code = code;
            function.architecture = architecture.unwrap_or_else(|| function.architecture.clone());
            Ok(())
        };
        let view = self.change(of, input.revision_id, change).await;
        drop(lease);
        answer(StatusCode::OK, &view?)
    }

    pub(super) async fn update_configuration(&self, call: &Call, of: Reference) -> Result<Response<Bytes>, ApiError> {
        let input: UpdateFunctionConfiguration = super::body(call)?;
        let roles = Arc::clone(&self.roles);
        let exchange = Arc::clone(&self.pool.host.exchange);
        let change = move |tx: &WriteTransaction, function: &mut Function| {
            let before = function.settings.dead_letters.clone();
            function.settings = input.settings.change(function.settings.clone(), &*roles)?;
            let settings = &function.settings;
            match &settings.dead_letters {
                Some(target) if before.as_ref() != Some(target) => {
                    destinations::check(tx, &exchange, &settings.role, target)
                }
                _ => Ok(()),
            }
        };
        answer(StatusCode::OK, &self.change(of, input.revision_id, change).await?)
    }

    /// Changes a function; its warm environments end.
    async fn change(
        &self,
        of: Reference,
        revision: Option<String>,
        change: impl FnOnce(&WriteTransaction, &mut Function) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<Value, ApiError> {
        let arn = of.arn.clone();
        let view = self
            .store
            .commit(move |tx| {
                let mut function = of.find(tx)?;
                check_revision(revision.as_deref(), &function.revision)?;
                change(tx, &mut function)?;
                function.touch();
                FUNCTIONS.put(tx, &of.arn, &function)?;
                Ok::<_, ApiError>(function.view())
            })
            .await?;
        self.pool.retire(&arn).await;
        Ok(view)
    }

    pub(super) async fn delete_function(&self, of: Reference) -> Result<Response<Bytes>, ApiError> {
        let arn = of.arn.clone();
        self.store
            .commit(move |tx| {
                let arn = of.find(tx)?.arn();
                FUNCTIONS.delete(tx, &arn)?;
                POLICIES.delete(tx, &arn)?;
                EVENT_CONFIGS.delete(tx, &arn)?;
                Ok::<_, ApiError>(())
            })
            .await?;
        self.pool.retire(&arn).await;
        empty(StatusCode::NO_CONTENT)
    }

    pub(super) fn account_settings(&self) -> Result<Response<Bytes>, ApiError> {
        let (mut count, mut bytes) = (0_u64, 0);
        let mut after: Option<String> = None;
        self.store.read::<_, ApiError>(|tx| {
            loop {
                let page = FUNCTIONS.scan(tx, "", after.as_deref(), PAGE_FUNCTIONS)?;
                let Some((last, _)) = page.last() else { return Ok(()) };
                after = Some(last.clone());
                count += page.len() as u64;
                bytes += page.iter().map(|(_, function)| function.code.size).sum::<u64>();
            }
        })?;
        let concurrency = self.pool.host.options.concurrency;
        answer(
            StatusCode::OK,
            &json!({
                "AccountLimit": {
                    "TotalCodeSize": TOTAL_CODE_BYTES,
                    "CodeSizeUnzipped": UNPACKED_BYTES,
                    "CodeSizeZipped": ZIPPED_BYTES,
                    "ConcurrentExecutions": concurrency,
                    "UnreservedConcurrentExecutions": concurrency,
                },
                "AccountUsage": { "TotalCodeSize": bytes, "FunctionCount": count },
            }),
        )
    }

    async fn install(&self, code: GivenCode) -> Result<(Code, Lease), ApiError> {
        if code.image_uri.is_some() || code.source_kms_key_arn.is_some_and(|arn| !arn.is_empty()) {
            return Err(not_here("container images, and no KMS keys for packages"));
        }
        let packages = &self.pool.host.packages;
        let zip = match (code.zip_file, code.s3_bucket, code.s3_key) {
            (Some(Blob(zip)), None, None) => Zip::Inline(zip.into()),
            (None, Some(bucket), Some(key)) => {
                let object = self.objects.open(&bucket, &key, code.s3_object_version.as_deref()).await;
                let object = object.map_err(|error| match error.status.is_server_error() {
                    true => error,
                    false => invalid(format!(
                        "Error occurred while GetObject. S3 Error Code: {}. S3 Error Message: {}",
                        error.code, error.message
                    )),
                })?;
                packages.receive(object).await?
            }
            _ => return Err(invalid("Please provide a source for function code.")),
        };
        packages.install(zip).await
    }
}

fn refuse_publish(publish: bool) -> Result<(), ApiError> {
    if publish { Err(not_here("published versions; $LATEST is the only one")) } else { Ok(()) }
}

fn architecture(given: Option<Vec<String>>) -> Result<Option<String>, ApiError> {
    let Some(given) = given else { return Ok(None) };
    match <[String; 1]>::try_from(given) {
        Ok([one]) if ARCHITECTURES.contains(&one.as_str()) => Ok(Some(one)),
        _ => Err(invalid(format!("'architectures' takes one of {}", ARCHITECTURES.join(", ")))),
    }
}
