//! What is wrong with a stored state, and the best state that can be made of what is left.
//!
//! One rule: nothing that may be in the cloud is forgotten. A record that cannot be placed becomes a call without a
//! record, as a crash would have left it: refreshing asks the cloud for it by its identity, and takes it up when it is
//! there and ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Edit, FormatError, Intent, Live, Outputs, Recorded, Snapshot, Tombstone, Unsound,
    format::{self, Base, Damaged, Salvage, Whole},
    store::{Files, Lock, READS_MAX, StateError, Store},
    verify,
};
use crate::resource::Address;

/// A stored state, looked into.
#[derive(Debug)]
pub struct Diagnosis {
    /// What is wrong, a line each; empty for a state that is sound.
    pub findings: Vec<String>,
    /// What can be done about it.
    pub remedy: Remedy,
    /// States of the history that cannot be read.
    pub damaged_history: Vec<u64>,
    /// States of the history that can.
    pub history: usize,
    /// Edits in the journal.
    pub edits: usize,
    /// Groups in the journal.
    pub groups: usize,
    /// The end of the journal was torn by a crash: nobody has acted on it, and the next command cuts it off.
    pub torn: bool,
}

/// What can be done about a damaged state.
#[derive(Debug)]
pub enum Remedy {
    /// Nothing is to be done; `None` where there is no state at all.
    None(Option<Box<Snapshot>>),
    /// It can be made whole.
    Mend {
        /// The state in its place.
        snapshot: Box<Snapshot>,
        /// How it was made, a line each.
        steps: Vec<String>,
        /// Some edits are lost: what they made is found by its tags at best.
        lossy: bool,
    },
    /// Nothing is left that it could be made of.
    Lost,
}

/// All that a store holds, as it is.
#[derive(Debug, Default)]
struct Stored {
    base: Option<Vec<u8>>,
    journal: Vec<u8>,
    history: Vec<(u64, Vec<u8>, Vec<u8>)>,
}

impl Store {
    /// Looks into the stored state, and into what is left of it when it is damaged. Writes nothing.
    pub async fn diagnose(&self) -> Result<Diagnosis, StateError> {
        let mut stored = Stored::default();
        for serial in self.medium().history().await? {
            let (base, journal) = self.medium().historic(serial).await?;
            stored.history.push((serial, base, journal));
        }
        for _ in 0..READS_MAX {
            let Files { base, journal, .. } = self.medium().read().await?;
            (stored.base, stored.journal) = (base, journal);
            let base = stored.base.as_ref().and_then(|base| format::decode(base).ok());
            // A command may have replaced both in between.
            if !base.is_some_and(|base| matches!(read(&base, &stored.journal), Err(FormatError::Base { .. }))) {
                break;
            }
        }
        diagnose(&stored).map_err(|error| self.damaged(error))
    }

    /// Writes `snapshot` in place of a state that is damaged or gone. What was there stays beside, under names with
    /// `mark` in them, and so does what is damaged in the history.
    pub async fn mend(
        &self,
        lock: &Lock,
        snapshot: &Snapshot,
        diagnosis: &Diagnosis,
        mark: &str,
    ) -> Result<(), StateError> {
        self.discard(lock, diagnosis, mark).await?;
        let (base, sha256) = format::encode(snapshot).map_err(StateError::unwritable)?;
        self.medium().mend(lock.guard(), &base, &format::header(&sha256, snapshot.serial), mark).await
    }

    /// Takes what is damaged out of the history.
    pub async fn discard(&self, lock: &Lock, diagnosis: &Diagnosis, mark: &str) -> Result<(), StateError> {
        for serial in &diagnosis.damaged_history {
            self.medium().discard(lock.guard(), *serial, mark).await?;
        }
        Ok(())
    }
}

fn diagnose(stored: &Stored) -> Result<Diagnosis, FormatError> {
    let salvage = format::salvage(&stored.journal)?;
    let groups: BTreeSet<u64> = salvage.whole.iter().map(|line| line.group).collect();
    let mut past = Past::default();
    for (serial, base, journal) in &stored.history {
        past.add(*serial, base, journal);
    }
    let mut diagnosis = Diagnosis {
        findings: Vec::new(),
        remedy: Remedy::None(None),
        history: stored.history.len() - past.damaged.len(),
        edits: salvage.whole.len(),
        groups: groups.len(),
        torn: false,
        damaged_history: Vec::new(),
    };
    for (serial, why) in &past.damaged {
        diagnosis.findings.push(format!("the state of serial {serial} in the history: {why}"));
        diagnosis.damaged_history.push(*serial);
    }
    let base = match &stored.base {
        None if stored.journal.is_empty() && stored.history.is_empty() => return Ok(diagnosis),
        None => Damaged { base: None, why: Some(FormatError::Missing) },
        Some(bytes) => format::decode_damaged(bytes)?,
    };
    let why = match (&base.base, &base.why) {
        (Some(base), None) => match read(base, &stored.journal) {
            Ok((snapshot, torn)) => {
                diagnosis.torn = torn;
                diagnosis.remedy = Remedy::None(Some(Box::new(snapshot)));
                return Ok(diagnosis);
            }
            Err(error) => error.to_string(),
        },
        (_, why) => why.as_ref().map_or_else(|| FormatError::Missing.to_string(), ToString::to_string),
    };
    diagnosis.findings.push(why);
    diagnosis.remedy = remedy(base, salvage, past);
    Ok(diagnosis)
}

/// The state that a base and its journal make, and whether the journal's end is torn.
fn read(base: &Base, journal: &[u8]) -> Result<(Snapshot, bool), FormatError> {
    let Some(replay) = format::replay(journal, base)? else { return Ok((base.snapshot.clone(), false)) };
    let snapshot = format::replayed(base.snapshot.clone(), &replay.edits)?;
    Ok((snapshot, replay.torn))
}

/// What the history has to say.
#[derive(Debug, Default)]
struct Past {
    /// What cannot be read, and why.
    damaged: Vec<(u64, String)>,
    /// Every state that can be made of it, with its hash, the latest last.
    states: Vec<(String, Snapshot)>,
}

impl Past {
    fn add(&mut self, serial: u64, bytes: &[u8], journal: &[u8]) {
        let base = match format::decode(bytes) {
            Ok(base) => base,
            Err(error) => return self.damaged.push((serial, error.to_string())),
        };
        match read(&base, journal) {
            Ok((snapshot, _)) => self.keep(snapshot),
            Err(error) => {
                self.damaged.push((serial, error.to_string()));
                // Its beginning is sound.
                self.keep(base.snapshot);
            }
        }
    }

    fn keep(&mut self, snapshot: Snapshot) {
        if let Ok((_, sha256)) = format::encode(&snapshot) {
            self.states.push((sha256, snapshot));
        }
    }
}

/// The best state that can be made of a base that may be damaged, a journal that may be, and the history.
fn remedy(base: Damaged, salvage: Salvage, mut past: Past) -> Remedy {
    let mut steps = Vec::new();
    let named = salvage.base.clone();
    let fits = |sha256: &str| named.as_ref().is_some_and(|(base, _)| base == sha256);
    let is_sound = base.why.is_none();
    let latest = past.states.iter().max_by_key(|(_, snapshot)| snapshot.serial).cloned();
    let (sha256, start) = match (base.base, past.states.drain(..).find(|(sha256, _)| fits(sha256))) {
        (Some(base), _) if fits(&base.sha256) => {
            steps
                .push(format!("the state of serial {} is the one that its journal goes on from", base.snapshot.serial));
            (base.sha256, base.snapshot)
        }
        (_, Some((sha256, snapshot))) => {
            steps.push(format!(
                "the history makes the state of serial {} that the journal goes on from",
                snapshot.serial
            ));
            (sha256, snapshot)
        }
        (Some(base), _) if is_sound => {
            steps.push(format!("the state of serial {} is sound and kept", base.snapshot.serial));
            (base.sha256, base.snapshot)
        }
        (content, None) => match (content, latest) {
            (Some(base), latest) if latest.as_ref().is_none_or(|(_, it)| it.serial < base.snapshot.serial) => {
                steps.push(format!(
                    "the state of serial {} is taken as it stands: nothing else is as late",
                    base.snapshot.serial
                ));
                (base.sha256, base.snapshot)
            }
            (_, Some((sha256, snapshot))) => {
                steps.push(format!("the history makes the state of serial {}", snapshot.serial));
                (sha256, snapshot)
            }
            (_, None) => return Remedy::Lost,
        },
    };
    let (mut snapshot, mended) = mend(start);
    steps.extend(mended);
    let goes_on = named.as_ref().is_none_or(|(base, _)| *base == sha256);
    let first = snapshot.serial;
    let is_over = named.as_ref().is_some_and(|(_, serial)| *serial < first) && !goes_on;
    let (last, lines) = (salvage.last(), if is_over { Vec::new() } else { salvage.whole });
    let (done, behind) = replay(&mut snapshot, lines, &salvage.damaged, goes_on);
    if done > 0 {
        steps.push(format!("{done} edits of the journal follow on it"));
    }
    let lossy = (!goes_on && !is_over) || salvage.damaged.iter().any(|line| *line > 1) || snapshot.serial < last;
    if !behind.is_empty() {
        let pending = take_in(&mut snapshot, &behind);
        steps.push(format!(
            "{} edits stand behind the damage; {pending} resources that they name are asked for in the cloud",
            behind.len()
        ));
    }
    // Above every serial that was ever given, so that no journal that is left goes on from it.
    snapshot.serial = snapshot.serial.max(last) + 1;
    Remedy::Mend { snapshot: Box::new(snapshot), steps, lossy }
}

impl Salvage {
    /// The highest serial that it names.
    fn last(&self) -> u64 {
        let begins = self.base.as_ref().map_or(0, |(_, serial)| *serial);
        self.whole.iter().map(|line| line.serial).fold(begins, u64::max)
    }
}

/// Does the edits that follow on `snapshot` without a gap; returns how many, and those behind the first gap or damage.
fn replay(snapshot: &mut Snapshot, lines: Vec<Whole>, damaged: &[usize], goes_on: bool) -> (usize, Vec<Edit>) {
    let first = snapshot.serial;
    let end = damaged.iter().copied().find(|line| *line > 1).unwrap_or(usize::MAX);
    let new: Vec<Whole> = lines.into_iter().filter(|line| line.serial > first || !goes_on).collect();
    let follows = |(place, line): &(usize, &Whole)| line.line < end && line.serial == first + *place as u64 + 1;
    let mut count = if goes_on { new.iter().enumerate().take_while(follows).count() } else { 0 };
    let edits: Vec<Edit> = new.into_iter().map(|line| line.edit).collect();
    // An edit that leaves the state unsound is behind the damage too.
    let mut done = 0;
    while done < count {
        let Ok(mut live) = Live::new(snapshot.clone()) else { break };
        done = edits[..count].iter().take_while(|edit| live.apply(edit).is_ok()).count();
        if done == count {
            *snapshot = live.into_snapshot();
            break;
        }
        (count, done) = (done, 0);
    }
    (count, edits[count..].to_vec())
}

/// Takes in edits that do not follow on the state: what they name becomes a call without a record. Returns how many.
fn take_in(snapshot: &mut Snapshot, behind: &[Edit]) -> usize {
    let mut named: BTreeMap<(String, String), Intent> = BTreeMap::new();
    let mut name = |planned: &Recorded, operation: &str, observed_absent: bool| {
        let key = (planned.address.kind().to_owned(), planned.identity.clone());
        let absent = observed_absent || named.get(&key).is_some_and(|before| before.observed_absent);
        let intent = Intent { planned: planned.clone(), operation: operation.to_owned(), observed_absent: absent };
        named.insert(key, intent);
    };
    let mut outputs: Option<&Outputs> = None;
    for edit in behind {
        match edit {
            // What is changed or deleted had been recorded: it is ours.
            Edit::Begin(intent) => {
                name(&intent.planned, &intent.operation, intent.observed_absent || intent.operation != "create");
            }
            Edit::Record(recorded) => name(recorded, "create", true),
            Edit::Differ(difference) => {
                let deposed = difference.deposed.iter().flatten();
                difference.put.iter().chain(deposed).for_each(|recorded| name(recorded, "create", true));
                for intent in difference.pending.iter().flatten() {
                    name(&intent.planned, &intent.operation, intent.observed_absent);
                }
            }
            Edit::Outputs(told) => outputs = Some(told),
            Edit::Run(_) | Edit::Remove(_) => {}
        }
    }
    let count = named.len();
    snapshot.pending.extend(named.into_values().map(Arc::new));
    if let Some(outputs) = outputs {
        snapshot.outputs.clone_from(outputs);
    }
    count
}

/// Makes a snapshot sound, and tells how.
fn mend(mut snapshot: Snapshot) -> (Snapshot, Vec<String>) {
    let mut steps = Vec::new();
    while let Err(unsound) = verify(&snapshot) {
        steps.push(mend_one(&mut snapshot, unsound));
    }
    (snapshot, steps)
}

/// Each puts an end to what it is about, and begins nothing of the kind: a record leaves, or an edge.
fn mend_one(snapshot: &mut Snapshot, unsound: Unsound) -> String {
    match unsound {
        Unsound::Misfiled { filed, found } => {
            let Some(record) = snapshot.resources.remove(&filed) else { return format!("{filed} is filed nowhere") };
            match snapshot.resources.get(&found) {
                None => {
                    snapshot.resources.insert(found.clone(), record);
                    format!("the record of {found} is filed there, no longer under {filed}")
                }
                Some(there) if there.identity == record.identity => {
                    format!("a second record of {found}, under {filed}, is dropped")
                }
                Some(_) => {
                    let identity = record.identity.clone();
                    snapshot.deposed.push(record);
                    format!(
                        "`{identity}` of {found}, filed under {filed}, counts as replaced: the next plan shows its end"
                    )
                }
            }
        }
        Unsound::Dangling { of, on } => {
            if let Some(record) = snapshot.resources.get_mut(&of) {
                Arc::make_mut(record).dependencies.retain(|dependency| *dependency != on);
            }
            format!("{of} no longer depends on {on}, which is not there")
        }
        Unsound::Twice { identity, address } => mend_twice(snapshot, &identity, &address),
        Unsound::Circular(_) => mend_circle(snapshot),
    }
}

/// One thing in the cloud has one record. Of a current record and a deposed one the current one stays: the other would
/// have it deleted. Of two current ones the later generation stays, and what depended on the other depends on it.
fn mend_twice(snapshot: &mut Snapshot, identity: &str, address: &Address) -> String {
    let is_it = |it: &Recorded| it.address.kind() == address.kind() && it.identity == identity;
    let mut current: Vec<(u32, Address)> =
        snapshot.resources.values().filter(|it| is_it(it)).map(|it| (it.generation, it.address.clone())).collect();
    current.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    let mut seen = !current.is_empty();
    snapshot.deposed.retain(|old| !is_it(old) || !std::mem::replace(&mut seen, true));
    let Some(((_, kept), dropped)) = current.split_first() else {
        return format!("`{identity}` is to be deleted once, not twice");
    };
    for (generation, address) in dropped {
        snapshot.resources.remove(address);
        // The next of that address gets another name.
        snapshot.tombstones.insert(address.clone(), Tombstone { generation: *generation, retained: false });
        for other in snapshot.resources.values_mut().filter(|other| other.dependencies.contains(address)) {
            let other = Arc::make_mut(other);
            let own = other.address.clone();
            other.dependencies.iter_mut().filter(|on| *on == address).for_each(|on| *on = kept.clone());
            other.dependencies.sort();
            other.dependencies.dedup();
            other.dependencies.retain(|on| *on != own);
        }
    }
    format!("`{identity}` is the resource of {kept} alone")
}

/// Takes the edges out between those that wait for each other: the next apply writes down again what the program says.
fn mend_circle(snapshot: &mut Snapshot) -> String {
    let mut graph = crate::graph::Graph::default();
    for (address, recorded) in &snapshot.resources {
        recorded.dependencies.iter().for_each(|on| graph.order(address.clone(), on.clone()));
    }
    let circle: BTreeSet<Address> =
        graph.sorted().err().map_or_else(BTreeSet::new, |cycle| cycle.0.into_iter().collect());
    for address in &circle {
        if let Some(recorded) = snapshot.resources.get_mut(address) {
            Arc::make_mut(recorded).dependencies.retain(|on| !circle.contains(on));
        }
    }
    let names: Vec<&str> = circle.iter().map(Address::as_str).collect();
    format!("{} no longer wait for each other", names.join(", "))
}

#[cfg(test)]
mod tests;
