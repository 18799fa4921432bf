//! Which rules an event triggers. The rules of a bus are compiled once for each revision of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    model::{RULES, RuleName, TARGETS, Target, bus_key, revision},
    pattern::Pattern,
    rule::RULES_PER_BUS,
    target::{self, TARGETS_PER_RULE},
    transform::Input,
};
use crate::cloud::{error::ApiError, store::Transaction};

/// The compiled buses.
#[derive(Default)]
pub(super) struct Matching(Mutex<HashMap<String, Arc<CompiledBus>>>);

/// A bus's enabled rules.
pub(super) struct CompiledBus {
    revision: u64,
    pub rules: Vec<CompiledRule>,
}

pub(super) struct CompiledRule {
    pub name: RuleName,
    pub arn: String,
    /// None for a rule that has a schedule only.
    pub pattern: Option<Pattern>,
    pub targets: Vec<(Target, Input)>,
}

impl Matching {
    /// The bus as `tx` sees it.
    pub fn bus(&self, tx: &impl Transaction, region: &str, bus: &str) -> Result<Arc<CompiledBus>, ApiError> {
        let (key, revision) = (bus_key(region, bus), revision(tx, region, bus)?);
        let cached = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiled) = cached().get(&key).filter(|compiled| compiled.revision == revision) {
            return Ok(Arc::clone(compiled));
        }
        let compiled = Arc::new(compile(tx, revision, region, bus)?);
        cached().insert(key, Arc::clone(&compiled));
        Ok(compiled)
    }
}

fn compile(tx: &impl Transaction, revision: u64, region: &str, bus: &str) -> Result<CompiledBus, ApiError> {
    let of_bus = format!("{}/", bus_key(region, bus));
    let mut rules = Vec::new();
    for (key, rule) in RULES.scan(tx, &of_bus, None, RULES_PER_BUS)? {
        let Some(name) = RuleName::of_key(&key).filter(|_| rule.enabled) else { continue };
        let pattern = rule.pattern.as_deref().map(Pattern::parse).transpose().map_err(ApiError::internal)?;
        let mut targets = Vec::new();
        for (_, target) in TARGETS.scan(tx, &name.targets(), None, TARGETS_PER_RULE)? {
            let input = target::input(&target)?;
            targets.push((target, input));
        }
        rules.push(CompiledRule { arn: name.arn(), name, pattern, targets });
    }
    Ok(CompiledBus { revision, rules })
}
