//! Policies, read once: by their content, so that a change is seen at once and nothing has to be told.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use super::policy::{Policy, PolicyKind};

/// Documents that are remembered, together; when there are more, all are forgotten.
const DOCUMENTS: usize = 1024;

type Read = HashMap<String, Option<Arc<Policy>>>;

static CACHE: LazyLock<Mutex<HashMap<PolicyKind, Read>>> = LazyLock::new(Mutex::default);

/// The policy that `document` is; `None` when it cannot be read.
pub fn policy(document: &str, kind: PolicyKind) -> Option<Arc<Policy>> {
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let read = cache.entry(kind).or_default();
    if let Some(policy) = read.get(document) {
        return policy.clone();
    }
    if read.len() >= DOCUMENTS {
        read.clear();
    }
    let policy = Policy::parse(document, kind).ok().map(Arc::new);
    read.insert(document.to_owned(), policy.clone());
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_once_for_each_of_its_kinds() {
        let document = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"cache:*","Resource":"*"}}"#;
        let first = policy(document, PolicyKind::Identity).unwrap();
        assert!(Arc::ptr_eq(&first, &policy(document, PolicyKind::Identity).unwrap()));
        assert!(policy(document, PolicyKind::Trust).is_none(), "a trust policy has principals");
    }
}
