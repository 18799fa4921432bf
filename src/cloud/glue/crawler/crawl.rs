//! One crawl: list, read, classify, group, write.
//! <https://docs.aws.amazon.com/glue/latest/dg/crawler-running.html>

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt};

use super::{
    CANNOT_ASSUME, Crawlers, PRINCIPAL,
    cache::Key,
    catalog::{self, Findings},
    classifier,
    classify::{self, CsvRules, Sample},
    describe::CRAWLER_PARAMETER,
    folders::{self, File, FoundTable},
    glob::Exclusions,
    log::Log,
    model::{Counts, Crawler, Definition, RecrawlBehavior, S3Target},
    names::Place,
    rights::{Failure, Rights, in_words_of},
    seams::{ObjectEntry, ObjectPage},
    settings::Configuration,
    state,
};
use crate::cloud::{
    authorise::Need,
    glue::{Scope, notice, partition, table},
    iam,
};

/// Objects that one crawl reads at the same time.
const READERS: usize = 16;
/// Objects that one crawl looks at.
const OBJECTS: usize = 1_000_000;
/// Folders that an object may lie deep below its include path; a deeper one is left out.
const FOLDERS_DEEP: usize = 100;
/// Objects that the log names one by one when they cannot be classified.
const NAMED_OBJECTS: u64 = 20;

/// Which crawl of which crawler.
#[derive(Debug, Clone)]
pub(super) struct Assignment {
    pub region: String,
    pub crawler: String,
    pub id: String,
}

impl Assignment {
    pub(super) fn scope(&self, caller: &str) -> Scope {
        Scope::internal(&self.region, caller.to_owned())
    }
}

/// A crawl at work.
pub(super) struct Work {
    crawlers: Arc<Crawlers>,
    assignment: Assignment,
    definition: Definition,
    rights: Rights,
    log: Log,
    rules: Arc<Vec<CsvRules>>,
    /// Of the rules, for the cache.
    rules_hash: u64,
    /// Locations that earlier crawls have seen, where only new folders count.
    seen: Option<HashSet<String>>,
}

/// What was found below one include path.
#[derive(Default)]
struct Below {
    files: Vec<File>,
    /// The object that the include path itself names.
    itself: Option<File>,
    unknown: u64,
}

/// By folder, how many objects were read and what the first of them is.
type Sampled = HashMap<Vec<String>, (u32, Arc<Sample>)>;

impl Crawlers {
    /// Makes ready for a crawl.
    pub(super) async fn work(self: Arc<Self>, assignment: Assignment) -> Result<Work, Failure> {
        let scope = assignment.scope("");
        let (crawler, rules, trusted) = self.store.read(|tx| {
            let crawler = state::at_work(tx, &scope, &assignment.crawler, &assignment.id)?.ok_or(Failure::Stopped)?;
            let rules = classifier::rules(tx, &scope, &crawler.definition.classifiers)?;
            let trusted = iam::assumable_by(tx, &crawler.definition.role, PRINCIPAL)?;
            Ok::<_, Failure>((crawler, rules, trusted))
        })?;
        let Crawler { definition, region, .. } = crawler;
        if !trusted {
            return Err(Failure::Told(CANNOT_ASSUME.to_owned()));
        }
        let rights = Rights::of(&definition.role);
        let access = rights.log_access(&self.store, &region, &definition.name).await?;
        let log = Log::new(&self.sink, &region, &definition.name, &assignment.id, access);
        let mut hasher = DefaultHasher::new();
        format!("{rules:?}").hash(&mut hasher);
        let rules_hash = hasher.finish();
        let mut work = Work {
            crawlers: self,
            assignment,
            definition,
            rights,
            log,
            rules: Arc::new(rules),
            rules_hash,
            seen: None,
        };
        if work.definition.recrawl.recrawl_behavior == RecrawlBehavior::NewFoldersOnly {
            work.seen = Some(work.locations()?);
        }
        Ok(work)
    }
}

impl Work {
    /// Where it writes its lines, for who ends it.
    pub(super) fn into_log(self) -> Log {
        self.log
    }

    /// Crawls. Nothing is in the catalog before the end, and all is then.
    pub(super) async fn crawl(&self) -> Result<(), Failure> {
        let Definition { name, database, targets, .. } = &self.definition;
        self.log.benchmark(&format!("Running Start Crawl for Crawler {name}")).await;
        let mut findings =
            Findings { tables: Vec::new(), places: Vec::new(), new_only: self.seen.is_some(), warning: None };
        let mut unknown = 0;
        for target in targets {
            let (place, below) = self.look_below(target).await?;
            unknown += below.unknown;
            let itself = below.itself.and_then(folders::alone);
            findings.tables.extend(itself.map(|table| (place.parent(), table)));
            let found = self.group(&place, below.files).await?;
            findings.tables.extend(found.into_iter().map(|table| (place.clone(), table)));
            findings.places.push(place);
        }
        if unknown > 0 {
            findings.warning = Some(format!("{unknown} objects could not be classified: see the crawler's log"));
        }
        self.log.benchmark(&format!("Classification complete, writing results to database {database}")).await;
        self.log.info(&self.configured()).await;
        let (counts, lines) = self.write(findings).await?;
        for line in &lines {
            self.log.info(line).await;
        }
        self.log.benchmark("Finished writing to Catalog").await;
        self.summarise(&counts).await;
        Ok(())
    }

    fn configured(&self) -> String {
        let policy = serde_json::to_string(&self.definition.schema_change).unwrap_or_default();
        match &self.definition.configuration {
            None => format!("Crawler configured with SchemaChangePolicy {policy}."),
            Some(configuration) => format!(
                "Crawler configured with Configuration {configuration} and SchemaChangePolicy {policy}. Note that \
                 values in the Configuration override values in the SchemaChangePolicy for S3 Targets."
            ),
        }
    }

    async fn summarise(&self, counts: &Counts) {
        let kinds = [
            ("PARTITION", counts.partitions_created, counts.partitions_updated, counts.partitions_deleted),
            ("TABLE", counts.tables_created, counts.tables_updated, counts.tables_deleted),
        ];
        for (kind, added, updated, deleted) in kinds {
            if added + updated + deleted == 0 {
                continue;
            }
            self.log.info(&format!("Run Summary For {kind}:")).await;
            for (what, count) in [("ADD", added), ("UPDATE", updated), ("DELETE", deleted)] {
                if count > 0 {
                    self.log.info(&format!("{what}: {count}")).await;
                }
            }
        }
    }

    /// Lists an include path page by page and classifies what is there.
    async fn look_below(&self, target: &S3Target) -> Result<(Place, Below), Failure> {
        let place = Place::parse(&target.path).ok_or_else(|| Failure::Told(format!("{} is no path", target.path)))?;
        let exclusions = Exclusions::parse(target.exclusions.as_deref().unwrap_or_default())?;
        let prefix = place.prefix();
        let mut below = Below::default();
        let mut sampled = Sampled::new();
        let mut after = None;
        loop {
            let page = self.crawlers.objects.list(&place.bucket, &prefix, after.as_deref()).await;
            let page = page.map_err(|error| in_words_of("Amazon S3", &error))?;
            let wanted = self.wanted(&place, &page, &exclusions);
            self.authorise(&place, &prefix, &page, &wanted).await?;
            self.classify_all(&place, wanted, target.sample_size, &mut sampled, &mut below).await?;
            if below.files.len() > OBJECTS {
                return Err(Failure::Told(format!("{} has more than {OBJECTS} objects", target.path)));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok((place, below)),
            }
        }
    }

    /// The objects of a page that count, with their folders: inside the include path, not excluded, not empty, and in
    /// a new folder where only new ones count.
    fn wanted(&self, place: &Place, page: &ObjectPage, exclusions: &Exclusions) -> Vec<(Vec<String>, ObjectEntry)> {
        let prefix = place.prefix();
        let inside = |object: &ObjectEntry| {
            let path = match object.key.strip_prefix(prefix.as_str())? {
                path if prefix.is_empty() => path,
                "" => "",
                path => path.strip_prefix('/')?,
            };
            if object.size == 0 || (!path.is_empty() && exclusions.exclude(path)) {
                return None;
            }
            let mut folders: Vec<String> = path.split('/').map(str::to_owned).collect();
            folders.pop();
            let known = |seen: &HashSet<String>| seen.contains(&place.location(&folders, None));
            let new = !self.seen.as_ref().is_some_and(known);
            (new && folders.len() <= FOLDERS_DEEP).then(|| (folders, object.clone()))
        };
        page.objects.iter().filter_map(inside).collect()
    }

    /// Fails unless the role may list the bucket and read the objects.
    async fn authorise(
        &self,
        place: &Place,
        prefix: &str,
        page: &ObjectPage,
        wanted: &[(Vec<String>, ObjectEntry)],
    ) -> Result<(), Failure> {
        let bucket = format!("arn:aws:s3:::{}", place.bucket);
        let list = Need::new("s3:ListBucket", bucket.as_str()).with("s3:prefix", prefix);
        let read = wanted.iter().map(|(_, object)| Need::new("s3:GetObject", format!("{bucket}/{}", object.key)));
        let needs = std::iter::once(list).chain(read).map(|need| need.under(page.bucket_policy.clone())).collect();
        match self.rights.judge(&self.crawlers.store, [needs]).await? {
            [None] => Ok(()),
            [Some(need)] => {
                let location = need.resource.replacen("arn:aws:s3:::", "s3://", 1);
                Err(self.rights.denied_s3(&need, &location))
            }
        }
    }

    async fn classify_all(
        &self,
        place: &Place,
        wanted: Vec<(Vec<String>, ObjectEntry)>,
        sample_size: Option<u32>,
        sampled: &mut Sampled,
        below: &mut Below,
    ) -> Result<(), Failure> {
        let (mut read, mut spoken_for) = (Vec::new(), Vec::new());
        let mut chosen: HashMap<Vec<String>, u32> = HashMap::new();
        for (folders, object) in wanted {
            let count =
                chosen.entry(folders.clone()).or_insert_with(|| sampled.get(&folders).map_or(0, |(read, _)| *read));
            if sample_size.is_some_and(|most| *count >= most) {
                spoken_for.push((folders, object));
            } else {
                *count += 1;
                read.push((folders, object));
            }
        }
        let bucket: Arc<str> = place.bucket.as_str().into();
        let one = |(folders, object): (Vec<String>, ObjectEntry)| {
            let bucket = Arc::clone(&bucket);
            async move {
                let found = self.classify(bucket, &object).await?;
                Ok::<_, Failure>((folders, object, found))
            }
        };
        let found: Vec<_> = futures::stream::iter(read).map(one).buffered(READERS).try_collect().await?;
        for (folders, object, found) in found {
            match found {
                Found::Is(sample) => {
                    if sample_size.is_some() {
                        sampled.entry(folders.clone()).or_insert_with(|| (0, Arc::clone(&sample))).0 += 1;
                    }
                    below.push(place, folders, &object, sample);
                }
                Found::Unknown => {
                    below.unknown += 1;
                    if below.unknown <= NAMED_OBJECTS {
                        let text = format!("s3://{bucket}/{} is classified as UNKNOWN; no table has it", object.key);
                        self.log.warn(&text).await;
                    }
                }
                Found::Gone => {}
            }
        }
        // Of what is not read, the folder's first object speaks.
        for (folders, object) in spoken_for {
            match sampled.get(&folders) {
                Some((_, sample)) => below.push(place, folders, &object, Arc::clone(sample)),
                None => below.unknown += 1,
            }
        }
        Ok(())
    }

    async fn classify(&self, bucket: Arc<str>, object: &ObjectEntry) -> Result<Found, Failure> {
        let key = |etag: &str| Key {
            bucket: Arc::clone(&bucket),
            key: object.key.clone(),
            etag: etag.to_owned(),
            rules: self.rules_hash,
        };
        if let Some(known) = self.crawlers.cache.get(&key(&object.etag)) {
            return Ok(known.map_or(Found::Unknown, Found::Is));
        }
        match classify::classify(&*self.crawlers.objects, &bucket, object, &self.rules).await {
            Ok(found) => {
                self.crawlers.cache.put(key(&found.etag), found.sample.clone());
                Ok(found.sample.map_or(Found::Unknown, Found::Is))
            }
            // Deleted since it was listed.
            Err(error) if error.code == "NoSuchKey" => Ok(Found::Gone),
            Err(error) => Err(in_words_of("Amazon S3", &error)),
        }
    }

    async fn group(&self, place: &Place, files: Vec<File>) -> Result<Vec<FoundTable>, Failure> {
        let configuration = Configuration::parse(self.definition.configuration.as_deref())?;
        let grouping = configuration.grouping(place.folders.len());
        let grouped = tokio::task::spawn_blocking(move || folders::tables(files, grouping));
        grouped.await.map_err(|error| Failure::from(crate::cloud::error::ApiError::internal(error)))
    }

    /// Locations of the crawler's tables and their partitions.
    fn locations(&self) -> Result<HashSet<String>, Failure> {
        let scope = self.assignment.scope("");
        self.crawlers.store.read(|tx| {
            let (mut own, mut locations) = (Vec::new(), HashSet::new());
            table::each(tx, &scope, &self.definition.database, |table| {
                let parameters = table.input.parameters.as_ref();
                if parameters.and_then(|all| all.get(CRAWLER_PARAMETER)) == Some(&self.definition.name) {
                    own.push(table);
                }
            })?;
            for table in own {
                let storage = table.input.storage_descriptor.as_ref();
                locations.extend(storage.and_then(|storage| storage.location.clone()));
                partition::each(tx, &scope, &table, |partition| {
                    let storage = partition.input.storage_descriptor;
                    locations.extend(storage.and_then(|storage| storage.location));
                })?;
            }
            Ok(locations)
        })
    }

    /// Puts everything into the catalog, unless somebody has stopped the crawl.
    async fn write(&self, findings: Findings) -> Result<(Counts, Vec<String>), Failure> {
        let scope = self.assignment.scope(&self.rights.session);
        let (assignment, rights) = (self.assignment.clone(), self.rights.clone());
        let exchange = Arc::clone(&self.crawlers.exchange);
        let written = self.crawlers.store.commit(move |tx| {
            let crawler = state::at_work(tx, &scope, &assignment.crawler, &assignment.id)?.ok_or(Failure::Stopped)?;
            let (counts, lines) = catalog::write(tx, &scope, &crawler.definition, &rights, &assignment.id, findings)?;
            notice::emit(&exchange, tx, &scope)?;
            state::wrote(tx, &scope, crawler, counts.clone())?;
            Ok::<_, Failure>((counts, lines))
        });
        let written = written.await?;
        self.crawlers.exchange.wake();
        Ok(written)
    }
}

/// What became of an object.
enum Found {
    Is(Arc<Sample>),
    Unknown,
    /// It was deleted meanwhile.
    Gone,
}

impl Below {
    fn push(&mut self, place: &Place, folders: Vec<String>, object: &ObjectEntry, sample: Arc<Sample>) {
        let name = object.key.rsplit('/').next().unwrap_or_default().to_owned();
        let file = File { folders, name, size: object.size, sample };
        if object.key == place.prefix() {
            self.itself = Some(file);
        } else {
            self.files.push(file);
        }
    }
}
