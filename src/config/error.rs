//! What is wrong with a `lake.toml`: every problem of one pass, each with its place in the file.

use std::{fmt, ops::Range, sync::Arc};

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

/// A configuration that cannot be used. Holds every problem found, in file order, at least one.
///
/// As a miette diagnostic it shows the first problem with its line, and the others as related diagnostics.
#[derive(Clone)]
pub struct ConfigError {
    first: Box<Problem>,
    others: Vec<Problem>,
}

impl ConfigError {
    /// A problem with the file as a whole, or with what was asked of it.
    pub(super) fn without_place(message: impl Into<String>, help: impl Into<String>) -> Self {
        let first = Problem {
            message: message.into(),
            help: Some(help.into()),
            labels: Vec::new(),
            place: None,
            source: None,
            cause: None,
        };
        ConfigError { first: Box::new(first), others: Vec::new() }
    }

    /// The same with what the operating system answered.
    pub(super) fn with_cause(mut self, cause: std::io::Error) -> Self {
        self.first.cause = Some(Arc::new(cause));
        self
    }

    /// One error of all of them; `None` when there are none.
    pub fn joined(errors: impl IntoIterator<Item = ConfigError>) -> Option<Self> {
        let mut errors = errors.into_iter();
        let mut first = errors.next()?;
        for error in errors {
            first.others.push(*error.first);
            first.others.extend(error.others);
        }
        Some(first)
    }

    /// Every problem, in file order.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        std::iter::once(&*self.first).chain(&self.others)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        match self.others.len() {
            0 => Ok(()),
            1 => f.write_str(" (and 1 more problem)"),
            more => write!(f, " (and {more} more problems)"),
        }
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.problems()).finish()
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.first.source()
    }
}

impl Diagnostic for ConfigError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.first.help()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.first.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.first.labels()
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        if self.others.is_empty() {
            return None;
        }
        Some(Box::new(self.others.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}

/// One thing that is wrong, and where.
#[derive(Clone)]
pub struct Problem {
    message: String,
    help: Option<String>,
    labels: Vec<(Range<usize>, String)>,
    place: Option<Place>,
    source: Option<Arc<NamedSource<String>>>,
    cause: Option<Arc<std::io::Error>>,
}

/// A position in a file, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as the user knows it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// A place in `lake.toml` that can be pointed at after the file was read, by whoever finds that what stands there is
/// of no use.
#[derive(Clone)]
pub struct Anchor {
    span: Range<usize>,
    place: Place,
    source: Arc<NamedSource<String>>,
}

impl Anchor {
    /// The position.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Something is wrong there: `label` is written under the marked text, `help` says what to do.
    pub fn error(&self, message: impl Into<String>, label: &str, help: Option<String>) -> ConfigError {
        let problem = Problem {
            message: message.into(),
            help,
            labels: vec![(self.span.clone(), label.to_owned())],
            place: Some(self.place.clone()),
            source: Some(Arc::clone(&self.source)),
            cause: None,
        };
        ConfigError { first: Box::new(problem), others: Vec::new() }
    }
}

impl fmt::Debug for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, column } = &self.place;
        write!(f, "{file}:{line}:{column}")
    }
}

impl PartialEq for Anchor {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Problem {
    /// What is wrong, without its place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn advice(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Where it is; `None` when the file as a whole is meant.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { file, line, .. }) = &self.place {
            write!(f, "{file}:{line}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::error::Error for Problem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as _)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.labels.is_empty() {
            return None;
        }
        Some(Box::new(self.labels.iter().enumerate().map(|(position, (span, label))| {
            let label = Some(label.clone());
            // The primary label decides which line the snippet's head names.
            if position == 0 {
                LabeledSpan::new_primary_with_span(label, span.clone())
            } else {
                LabeledSpan::new_with_span(label, span.clone())
            }
        })))
    }
}

/// Collects problems while a file is read, so that one pass shows all of them.
pub(super) struct Problems {
    file: String,
    source: Arc<NamedSource<String>>,
    drafts: Vec<Draft>,
}

/// A problem under construction.
pub(super) struct Draft {
    message: String,
    help: Option<String>,
    labels: Vec<(Range<usize>, String)>,
}

impl Draft {
    /// Says what to do about it.
    pub(super) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Points at a second place.
    pub(super) fn also(&mut self, span: Range<usize>, label: impl Into<String>) -> &mut Self {
        self.labels.push((span, label.into()));
        self
    }
}

impl Problems {
    pub(super) fn new(file: &str, text: &str) -> Self {
        let source = NamedSource::new(file, without_secrets(text)).with_language("TOML");
        Problems { file: file.to_owned(), source: Arc::new(source), drafts: Vec::new() }
    }

    /// The place at `span`, to be pointed at later.
    pub(super) fn anchor(&self, span: Range<usize>) -> Anchor {
        let place = place(&self.file, self.source.inner(), span.start);
        Anchor { span, place, source: Arc::clone(&self.source) }
    }

    /// Notes a problem at `span`; `label` is written under the marked text.
    pub(super) fn at(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> &mut Draft {
        let position = self.drafts.len();
        self.drafts.push(Draft { message: message.into(), help: None, labels: vec![(span, label.into())] });
        &mut self.drafts[position]
    }

    /// The value when nothing was wrong, else every problem in file order.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<T, ConfigError> {
        self.drafts.sort_by_key(|draft| draft.labels[0].0.start);
        let source = self.source;
        let mut problems = self.drafts.into_iter().map(|draft| Problem {
            place: Some(place(&self.file, source.inner(), draft.labels[0].0.start)),
            message: draft.message,
            help: draft.help,
            labels: draft.labels,
            source: Some(Arc::clone(&source)),
            cause: None,
        });
        match (problems.next(), value) {
            (Some(first), _) => Err(ConfigError { first: Box::new(first), others: problems.collect() }),
            (None, Some(value)) => Ok(value),
            (None, None) => unreachable!("BUG: a section was given up without naming a problem"),
        }
    }
}

/// Whether a word looks like the name of something that must never be shown.
pub(super) fn smells_of_a_secret(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    ["secret", "password", "token", "access_key", "credential"].iter().any(|smell| word.contains(smell))
}

/// The text for snippets, byte for byte as long: credentials have no place in the file, and where somebody
/// put them all the same they are not repeated. Works on lines, so that files that are not TOML are covered.
fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let named = line.find('=').filter(|_| smells_of_a_secret(line)).map(|equals| equals + 1);
        let in_url = line.find("://").filter(|scheme| line[*scheme..].contains('@')).map(|scheme| scheme + 3);
        let Some(from) = named.into_iter().chain(in_url).min() else {
            shown.push_str(line);
            continue;
        };
        shown.push_str(&line[..from]);
        shown.extend(line[from..].bytes().map(|byte| if byte.is_ascii_whitespace() { byte as char } else { '*' }));
    }
    shown
}

fn place(file: &str, text: &str, offset: usize) -> Place {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    Place {
        file: file.to_owned(),
        line: before.iter().filter(|&&byte| byte == b'\n').count() + 1,
        column: String::from_utf8_lossy(&before[line_start..]).chars().count() + 1,
    }
}
