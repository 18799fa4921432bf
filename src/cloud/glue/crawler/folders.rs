//! Which folders are tables and which are partitions of one.
//! <https://docs.aws.amazon.com/glue/latest/dg/crawler-s3-folder-table-partition.html>
//!
//! AWS documents that folders of one level become partitions of a table when most of them hold files of one format,
//! one compression and similar schemas, and otherwise tables of their own. It does not document how similar, nor
//! what becomes of files that lie beside folders: here they join the folders in one table without partitions when
//! all is similar, and are tables each otherwise.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::classify::{Column, Sample, Shape, common};

/// Columns in a hundred of the wider schema that two similar schemas share. Not documented by AWS.
const SIMILAR_PERCENT: usize = 70;

/// An object that some classifier knows.
#[derive(Debug, Clone)]
pub(super) struct File {
    /// Folders between the include path and it.
    pub folders: Vec<String>,
    pub name: String,
    pub size: u64,
    pub sample: Arc<Sample>,
}

/// How folders are put together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Grouping {
    /// `CombineCompatibleSchemas`: schemas need not be similar.
    pub combine: bool,
    /// `TableLevelConfiguration`, counted from the include path: its own level is 0.
    pub level: Option<usize>,
}

/// What a table or a partition holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stats {
    pub objects: u64,
    pub bytes: u64,
    /// Records that were looked at, and their bytes.
    records: u64,
    sampled: u64,
    /// Records that the files count themselves.
    counted: u64,
}

/// A table as the objects suggest it.
#[derive(Debug, Clone)]
pub(super) struct FoundTable {
    /// Folders from the include path on.
    pub folders: Vec<String>,
    /// The one file that it is made of, where it is not a folder.
    pub file: Option<String>,
    pub shape: Shape,
    pub keys: Vec<String>,
    pub partitions: Vec<FoundPartition>,
    pub stats: Stats,
}

/// A partition as the objects suggest it.
#[derive(Debug, Clone)]
pub(super) struct FoundPartition {
    pub values: Vec<String>,
    /// Folders from the include path on.
    pub folders: Vec<String>,
    pub shape: Shape,
    pub stats: Stats,
}

impl Stats {
    fn of(file: &File) -> Stats {
        let Sample { records, bytes, counted, .. } = *file.sample;
        Stats { objects: 1, bytes: file.size, records, sampled: bytes, counted: counted.unwrap_or_default() }
    }

    fn add(&mut self, other: Stats) {
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.records += other.records;
        self.sampled += other.sampled;
        self.counted += other.counted;
    }

    /// `averageRecordSize`.
    pub(super) fn average(&self) -> u64 {
        self.sampled.checked_div(self.records).unwrap_or_default().max(1)
    }

    /// `recordCount`: counted where the format counts, else what crawlers' tables show, size by average record.
    pub(super) fn count(&self) -> u64 {
        if self.counted > 0 { self.counted } else { (self.bytes / self.average()).max(1) }
    }
}

#[derive(Default)]
struct Folder {
    files: Vec<File>,
    folders: BTreeMap<String, Folder>,
}

/// A table in the making.
struct Candidate {
    folders: Vec<String>,
    file: Option<String>,
    shape: Shape,
    /// Names of the levels below it, where their folders have them.
    keys: Vec<Option<String>>,
    leaves: Vec<FoundPartition>,
}

/// The tables that `files`, all below one include path, suggest.
pub(super) fn tables(files: Vec<File>, grouping: Grouping) -> Vec<FoundTable> {
    let mut root = Folder::default();
    for file in files {
        let folder =
            file.folders.iter().fold(&mut root, |folder, name| folder.folders.entry(name.clone()).or_default());
        folder.files.push(file);
    }
    let candidates = match grouping.level {
        None => grouping.candidates(root, Vec::new()),
        Some(level) => grouping.at_level(root, Vec::new(), level),
    };
    candidates.into_iter().map(Candidate::finished).collect()
}

/// The table that a file makes by itself.
pub(super) fn alone(file: File) -> Option<FoundTable> {
    each(vec![file], &[]).pop().map(Candidate::finished)
}

impl Grouping {
    fn similar(self, a: &Shape, b: &Shape) -> bool {
        if !a.compatible(b) {
            return false;
        }
        if self.combine || a.columns == b.columns {
            return true;
        }
        let names: HashSet<&str> = a.columns.iter().map(|column| column.name.as_str()).collect();
        let shared = b.columns.iter().filter(|column| names.contains(column.name.as_str())).count();
        shared * 100 >= a.columns.len().max(b.columns.len()) * SIMILAR_PERCENT
    }

    fn candidates(self, folder: Folder, at: Vec<String>) -> Vec<Candidate> {
        let Folder { files, folders } = folder;
        let children: Vec<(String, Vec<Candidate>)> = folders
            .into_iter()
            .map(|(name, child)| {
                let inside = at.iter().cloned().chain([name.clone()]).collect();
                (name, self.candidates(child, inside))
            })
            .filter(|(_, candidates)| !candidates.is_empty())
            .collect();
        if children.is_empty() {
            return self.of_files(files, at);
        }
        if files.is_empty() { self.of_folders(children, at) } else { self.of_both(files, children, at) }
    }

    /// Files alone: one table when all are similar, else one each.
    fn of_files(self, files: Vec<File>, at: Vec<String>) -> Vec<Candidate> {
        let Some(first) = files.first() else { return Vec::new() };
        if files.iter().all(|file| self.similar(&first.sample.shape, &file.sample.shape)) {
            return vec![Candidate::of_folder(at, &files)];
        }
        each(files, &at)
    }

    /// Folders alone: those that most are like become partitions, the others tables of their own.
    fn of_folders(self, children: Vec<(String, Vec<Candidate>)>, at: Vec<String>) -> Vec<Candidate> {
        let alike = |a: &Candidate, b: &Candidate| a.keys == b.keys && self.similar(&a.shape, &b.shape);
        let single = |candidates: &[Candidate]| matches!(candidates, [one] if one.file.is_none());
        let Some(model) = majority(&children, |(_, a), (_, b)| single(a) && single(b) && alike(&a[0], &b[0])) else {
            return children.into_iter().flat_map(|(_, candidates)| candidates).collect();
        };
        let model = (children[model].1[0].shape.clone(), children[model].1[0].keys.clone());
        let (mut members, mut others) = (Vec::new(), Vec::new());
        for (name, mut candidates) in children {
            let fits =
                single(&candidates) && candidates[0].keys == model.1 && self.similar(&model.0, &candidates[0].shape);
            match candidates.pop() {
                Some(candidate) if fits => members.push((name, candidate)),
                Some(candidate) => {
                    others.append(&mut candidates);
                    others.push(candidate);
                }
                None => {}
            }
        }
        let mut all = vec![partitioned(members, at, model)];
        all.append(&mut others);
        all
    }

    fn of_both(self, files: Vec<File>, children: Vec<(String, Vec<Candidate>)>, at: Vec<String>) -> Vec<Candidate> {
        let first = Arc::clone(&files[0].sample);
        let fits = |shape: &Shape| self.similar(&first.shape, shape);
        let alike = files.iter().all(|file| fits(&file.sample.shape))
            && children.iter().all(|(_, all)| all.iter().all(|one| one.file.is_none() && fits(&one.shape)));
        if !alike {
            let own = children.into_iter().flat_map(|(_, candidates)| candidates);
            return each(files, &at).into_iter().chain(own).collect();
        }
        let mut whole = Candidate::of_folder(at, &files);
        for leaf in children.into_iter().flat_map(|(_, all)| all).flat_map(|candidate| candidate.leaves) {
            whole.shape.columns = merged(std::mem::take(&mut whole.shape.columns), &leaf.shape.columns);
            if let Some(own) = whole.leaves.first_mut() {
                own.stats.add(leaf.stats);
            }
        }
        vec![whole]
    }

    /// One table for each folder of a level.
    fn at_level(self, folder: Folder, at: Vec<String>, level: usize) -> Vec<Candidate> {
        if level == 0 {
            return self.forced(folder, at).into_iter().collect();
        }
        let inside = |(name, child): (String, Folder)| {
            self.at_level(child, at.iter().cloned().chain([name]).collect(), level - 1)
        };
        folder.folders.into_iter().flat_map(inside).collect()
    }

    /// One table of all that the first file's format reads, whatever the schemas; partitioned where all files lie
    /// equally deep.
    fn forced(self, folder: Folder, at: Vec<String>) -> Option<Candidate> {
        let mut files = Vec::new();
        flatten(folder, &mut files);
        let first = Arc::clone(&files.first()?.sample);
        files.retain(|file| first.shape.compatible(&file.sample.shape));
        let depth = files[0].folders.len() - at.len();
        if depth == 0 || files.iter().any(|file| file.folders.len() - at.len() != depth) {
            return Some(Candidate::of_folder(at, &files));
        }
        let mut leaves: BTreeMap<Vec<String>, Vec<File>> = BTreeMap::new();
        for file in files {
            leaves.entry(file.folders.clone()).or_default().push(file);
        }
        let folders: Vec<&[String]> = leaves.keys().map(|folders| &folders[at.len()..]).collect();
        let key = |level: usize| common_key(folders.iter().map(|folders| folders[level].as_str()));
        let keys: Vec<Option<String>> = (0..depth).map(key).collect();
        let mut whole =
            Candidate { folders: at.clone(), file: None, shape: first.shape.clone(), keys, leaves: Vec::new() };
        for (folders, files) in leaves {
            let mut leaf = Candidate::of_folder(folders, &files).leaves.remove(0);
            let level = |(name, key): (&String, &Option<String>)| value(name, key.as_deref());
            leaf.values = leaf.folders[at.len()..].iter().zip(&whole.keys).map(level).collect();
            whole.shape.columns = merged(std::mem::take(&mut whole.shape.columns), &leaf.shape.columns);
            whole.leaves.push(leaf);
        }
        Some(whole)
    }
}

fn flatten(folder: Folder, files: &mut Vec<File>) {
    files.extend(folder.files);
    folder.folders.into_values().for_each(|child| flatten(child, files));
}

/// A table for each file.
fn each(files: Vec<File>, at: &[String]) -> Vec<Candidate> {
    let one = |file: File| {
        let mut candidate = Candidate::of_folder(at.to_vec(), std::slice::from_ref(&file));
        candidate.file = Some(file.name);
        candidate
    };
    files.into_iter().map(one).collect()
}

/// The place of an item that more than half of all are like.
fn majority<T>(items: &[T], alike: impl Fn(&T, &T) -> bool) -> Option<usize> {
    let (mut chosen, mut votes) = (0, 0_usize);
    for (place, item) in items.iter().enumerate() {
        if votes == 0 {
            (chosen, votes) = (place, 1);
        } else if alike(&items[chosen], item) {
            votes += 1;
        } else {
            votes -= 1;
        }
    }
    let like = items.iter().filter(|item| alike(&items[chosen], item)).count();
    (like * 2 > items.len()).then_some(chosen)
}

/// A table whose first level of partitions are `members`, all like `model`.
fn partitioned(members: Vec<(String, Candidate)>, at: Vec<String>, model: (Shape, Vec<Option<String>>)) -> Candidate {
    let key = common_key(members.iter().map(|(name, _)| name.as_str()));
    let (mut shape, below) = model;
    shape.columns.clear();
    let mut leaves = Vec::new();
    for (name, candidate) in members {
        shape.columns = merged(std::mem::take(&mut shape.columns), &candidate.shape.columns);
        let value = value(&name, key.as_deref());
        for mut leaf in candidate.leaves {
            leaf.values.insert(0, value.clone());
            leaves.push(leaf);
        }
    }
    let keys = std::iter::once(key).chain(below).collect();
    Candidate { folders: at, file: None, shape, keys, leaves }
}

/// `k`, when all names are `k=v`.
fn common_key<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<String> {
    let key = |name: &'a str| name.split_once('=').map(|(key, _)| key).filter(|key| !key.is_empty());
    let first = key(names.next()?)?;
    names.all(|name| key(name) == Some(first)).then(|| first.to_lowercase())
}

fn value(name: &str, key: Option<&str>) -> String {
    match (key, name.split_once('=')) {
        (Some(_), Some((_, value))) => value.to_owned(),
        _ => name.to_owned(),
    }
}

/// All columns of both, in the order in which they are met.
pub(super) fn merged(mut columns: Vec<Column>, more: &[Column]) -> Vec<Column> {
    if columns.is_empty() || columns == more {
        return more.to_vec();
    }
    for column in more {
        match columns.iter_mut().find(|known| known.name == column.name) {
            Some(known) if known.kind != column.kind => known.kind = common(&known.kind, &column.kind),
            Some(_) => {}
            None => columns.push(column.clone()),
        }
    }
    columns
}

impl Candidate {
    /// Without partitions.
    fn of_folder(folders: Vec<String>, files: &[File]) -> Candidate {
        let mut stats = Stats::default();
        let mut shape = files[0].sample.shape.clone();
        for file in files {
            stats.add(Stats::of(file));
            if !Arc::ptr_eq(&files[0].sample, &file.sample) {
                shape.columns = merged(std::mem::take(&mut shape.columns), &file.sample.shape.columns);
            }
        }
        let leaf = FoundPartition { values: Vec::new(), folders: folders.clone(), shape: shape.clone(), stats };
        Candidate { folders, file: None, shape, keys: Vec::new(), leaves: vec![leaf] }
    }

    fn finished(self) -> FoundTable {
        let Candidate { folders, file, shape, keys, leaves } = self;
        let mut stats = Stats::default();
        leaves.iter().for_each(|leaf| stats.add(leaf.stats));
        let named = |(level, key): (usize, Option<String>)| key.unwrap_or_else(|| format!("partition_{level}"));
        let keys: Vec<String> = keys.into_iter().enumerate().map(named).collect();
        let partitions = if keys.is_empty() { Vec::new() } else { leaves };
        FoundTable { folders, file, shape, keys, partitions, stats }
    }
}

#[cfg(test)]
mod tests;
