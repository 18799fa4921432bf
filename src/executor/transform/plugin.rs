//! A component that exports the contract, compiled.

use std::{collections::BTreeMap, sync::Arc};

use wasmtime::component::{Component, InstancePre};

use super::{
    Contract, Deadline, Host, Instance, Limits, PluginError, Precompiled,
    session::{Guest, Session},
    shape,
    text::shown,
    wit,
};
use crate::dataset::Column;

/// Bytes of a plugin's name and of its version.
const DESCRIPTION_BYTES_MAX: usize = 255;

/// Who a plugin says that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its own version.
    pub version: String,
}

/// A compiled plugin. Clones are the same plugin; it may be used by several threads, each with an [`Instance`] of its
/// own.
#[derive(Clone)]
pub struct Plugin {
    name: Arc<str>,
    host: Host,
    component: Arc<InstancePre<Guest>>,
}

impl Plugin {
    /// Compiles a component. `name` is what errors call it: the dataset's transform.
    ///
    /// # Errors
    /// [`PluginError::NotATransform`] and [`PluginError::Version`], before anything is compiled.
    pub fn compile(host: &Host, name: &str, component: &[u8]) -> Result<Plugin, PluginError> {
        shape::check(name, component)?;
        let not = |error: wasmtime::Error| not_a_transform(name, &error);
        let component = Component::from_binary(host.engine(), component).map_err(not)?;
        let component = host.linker().instantiate_pre(&component).map_err(not)?;
        Ok(Plugin { name: name.into(), host: host.clone(), component: Arc::new(component) })
    }

    /// Takes up what [`Precompiled::of`] has made for the component with that SHA-256 (64 hex digits), without
    /// compiling. `bytes` must come from where only lake writes, and be known by their hash: they are machine code.
    ///
    /// # Errors
    /// [`PluginError::Precompiled`] when they are for another component, another wasmtime or another processor; then
    /// [`Plugin::compile`] does it.
    pub fn load(host: &Host, name: &str, component_sha256: &str, bytes: &[u8]) -> Result<Plugin, PluginError> {
        let cannot = |message: String| PluginError::Precompiled { plugin: name.to_owned(), message };
        let component = Precompiled::component(host, component_sha256, bytes).map_err(cannot)?;
        let component = host.linker().instantiate_pre(&component).map_err(|error| cannot(format!("{error:#}")))?;
        Ok(Plugin { name: name.into(), host: host.clone(), component: Arc::new(component) })
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a component imports, in its order: the interfaces of the contract, unless it is no plugin.
    ///
    /// # Errors
    /// [`PluginError::NotATransform`]: it cannot be read.
    pub fn imports(name: &str, component: &[u8]) -> Result<Vec<String>, PluginError> {
        let not = |message| PluginError::NotATransform { plugin: name.to_owned(), message };
        Ok(shape::Names::of(component).map_err(not)?.imports)
    }

    /// Asks it who it is.
    ///
    /// # Errors
    /// It traps or takes too long.
    pub fn describe(&self, limits: &Limits) -> Result<Description, PluginError> {
        let mut session = Session::new(&self.host, &self.name, limits, Deadline::NEVER);
        let instance = session.instantiate(&self.component)?;
        let (description,) = session.call(|store| {
            instance.get_typed_func::<wit::DescribeIn, wit::DescribeOut>(&mut *store, "describe")?.call(store, ())
        })?;
        Ok(Description {
            name: shown(&description.name, DESCRIPTION_BYTES_MAX),
            version: shown(&description.version, DESCRIPTION_BYTES_MAX),
        })
    }

    /// A fresh instance, opened with its configuration and the columns that come.
    ///
    /// # Errors
    /// [`PluginError::Refused`] in the plugin's words; [`PluginError::BrokeContract`] when its answer makes no table.
    pub fn open(
        &self,
        config: &BTreeMap<String, String>,
        input: &[Column],
        limits: &Limits,
        deadline: Deadline,
    ) -> Result<Instance, PluginError> {
        let mut session = Session::new(&self.host, &self.name, limits, deadline);
        let instance = session.instantiate(&self.component)?;
        let config: Vec<(&str, &str)> = config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let fields: Vec<wit::FieldIn<'_>> = input.iter().map(wit::FieldIn::from).collect();
        let (answer,) = session.call(|store| {
            let open = instance.get_func(&mut *store, "open").ok_or_else(|| wasmtime::format_err!("`open` is gone"))?;
            open.typed::<wit::OpenIn<'_>, wit::OpenOut>(&*store)?.call(store, (config, fields))
        })?;
        let answer = answer.map_err(|said| session.refused(&said))?;
        let contract = Contract::check(answer, input).map_err(|message| session.broke(message))?;
        let transform = session.call(|store| {
            instance.get_func(store, "transform").ok_or_else(|| wasmtime::format_err!("`transform` is gone"))
        })?;
        Ok(Instance::new(session, transform, contract, input))
    }
}

/// What wasmtime says of a component that it cannot take.
pub(super) fn not_a_transform(name: &str, error: &wasmtime::Error) -> PluginError {
    /// Bytes of it.
    const MESSAGE_BYTES_MAX: usize = 1000;
    PluginError::NotATransform { plugin: name.to_owned(), message: shown(&format!("{error:#}"), MESSAGE_BYTES_MAX) }
}
