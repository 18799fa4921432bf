//! Tags of functions.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{
    Lambda,
    model::{FUNCTIONS, Function, Reference},
    rest::{answer, empty, invalid, queries},
};
use crate::cloud::{error::ApiError, service::Call};

/// Most tags of a function.
const TAGS: usize = 50;

/// Checks all tags of a function.
pub(super) fn check(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let fits = |(key, value): (&String, &String)| {
        (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256 && !key.starts_with("aws:")
    };
    if tags.len() <= TAGS && tags.iter().all(fits) {
        return Ok(());
    }
    Err(invalid(format!(
        "a function takes at most {TAGS} tags; a key has 1 to 128 characters and does not begin with `aws:`, a value \
         has at most 256"
    )))
}

impl Lambda {
    pub(super) async fn tag(&self, call: &Call, of: Reference) -> Result<Response<Bytes>, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct TagResource {
            tags: BTreeMap<String, String>,
        }
        let input: TagResource = super::body(call)?;
        self.change_tags(of, move |function| {
            function.tags.extend(input.tags);
            check(&function.tags)
        })
        .await
    }

    pub(super) async fn untag(&self, call: &Call, of: Reference) -> Result<Response<Bytes>, ApiError> {
        let keys: Vec<String> = queries(call, "tagKeys").collect();
        self.change_tags(of, move |function| {
            function.tags.retain(|key, _| !keys.contains(key));
            Ok(())
        })
        .await
    }

    pub(super) fn list_tags(&self, of: &Reference) -> Result<Response<Bytes>, ApiError> {
        let function = self.store.read(|tx| of.find(tx))?;
        answer(StatusCode::OK, &json!({ "Tags": function.tags }))
    }

    async fn change_tags(
        &self,
        of: Reference,
        change: impl FnOnce(&mut Function) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<Response<Bytes>, ApiError> {
        self.store
            .commit(move |tx| {
                let mut function = of.find(tx)?;
                change(&mut function)?;
                Ok::<_, ApiError>(FUNCTIONS.put(tx, &of.arn, &function)?)
            })
            .await?;
        empty(StatusCode::NO_CONTENT)
    }
}
