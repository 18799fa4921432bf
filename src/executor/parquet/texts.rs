//! Columns of texts, and of decimals too long for an integer: dictionary while it pays, else one after the other.

use parquet::basic::Encoding;

use super::{
    delta,
    numbers::{DICTIONARY_BYTES_MAX, LONG_SAMPLE_BYTES, LONG_SAMPLE_VALUES, SAMPLE_VALUES, SETTLED_VALUES},
    pack::{hybrid, width_of},
    text_dictionary::{TextDictionary, head},
};

/// What the values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bytes {
    /// UTF-8 of any length, ordered by its bytes.
    Text,
    /// Two's complement, big end first, of one length, ordered as numbers.
    Decimal,
}

impl Bytes {
    /// What orders values that differ in their heads.
    #[inline]
    fn key(self, head: u64) -> u64 {
        match self {
            Bytes::Text => head.swap_bytes(),
            Bytes::Decimal => head.swap_bytes() ^ 1 << 63,
        }
    }

    /// Whether `a` comes before `b`.
    pub fn before(self, a: &[u8], b: &[u8]) -> bool {
        let key = |value: &[u8]| self.key(head(value, 0, value.len()));
        (key(a), a) < (key(b), b)
    }
}

/// Least and greatest value.
pub(super) type Bounds = Option<(Vec<u8>, Vec<u8>)>;

/// The values of a column of texts.
pub(super) struct Texts {
    kind: Bytes,
    /// Values of the page in the making, once there is no dictionary.
    bytes: Vec<u8>,
    lengths: Vec<i32>,
    /// The same as indices, while there is one.
    indices: Vec<u32>,
    dictionary: Option<TextDictionary>,
    building: bool,
    /// Values, distinct bytes and bytes after [`SETTLED_VALUES`], or after the page before.
    settled: (usize, usize, usize),
    page_bytes: usize,
    pages: usize,
    all: Bounds,
}

impl Texts {
    pub fn new(kind: Bytes) -> Self {
        Texts {
            kind,
            bytes: Vec::new(),
            lengths: Vec::new(),
            indices: Vec::new(),
            dictionary: Some(TextDictionary::default()),
            building: true,
            settled: (0, 0, 0),
            page_bytes: 0,
            pages: 0,
            all: None,
        }
    }

    /// Begins the next chunk.
    pub fn reset(&mut self) {
        let mut dictionary = self.dictionary.take().unwrap_or_default();
        dictionary.clear();
        let (mut bytes, mut lengths) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.lengths));
        let mut indices = std::mem::take(&mut self.indices);
        bytes.clear();
        lengths.clear();
        indices.clear();
        *self = Texts { bytes, lengths, indices, dictionary: Some(dictionary), ..Texts::new(self.kind) };
    }

    pub fn kind(&self) -> Bytes {
        self.kind
    }

    /// Bytes of the values of the page in the making.
    pub fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    pub fn memory_bytes(&self) -> usize {
        let dictionary = self.dictionary.as_ref().map_or(0, TextDictionary::memory_bytes);
        self.pending_bytes() + dictionary
    }

    pub fn pending_bytes(&self) -> usize {
        self.bytes.len() + self.lengths.len() * 4 + self.indices.len() * 4
    }

    /// The dictionary, if pages use it.
    pub fn dictionary(&self) -> Option<&TextDictionary> {
        self.dictionary.as_ref().filter(|_| self.pages > 0)
    }

    /// The dictionary, if all values of the chunk are in it.
    pub fn distinct(&self) -> Option<&TextDictionary> {
        self.dictionary().filter(|_| self.building)
    }

    /// Values of the page in the making that are in no dictionary.
    pub fn undictionaried(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.lengths.iter().scan(0, |end, &length| {
            let start = *end;
            *end += length as usize;
            Some(start..*end)
        });
        ends.map(|range| &self.bytes[range])
    }

    /// Takes values in; value `i` is `data[offsets[i]..offsets[i + 1]]`.
    pub fn push(&mut self, mut offsets: &[i32], data: &[u8]) {
        let (Some(&first), Some(&last)) = (offsets.first(), offsets.last()) else { return };
        self.page_bytes += (last - first) as usize;
        while self.building && offsets.len() > 1 {
            let Some(dictionary) = &mut self.dictionary else { break };
            let seen = self.indices.len();
            let stop = match self.pages {
                0 if seen < LONG_SAMPLE_VALUES => LONG_SAMPLE_VALUES,
                0 if seen < SAMPLE_VALUES => SAMPLE_VALUES,
                0 if seen < SETTLED_VALUES => SETTLED_VALUES,
                _ => usize::MAX,
            };
            let taken = (offsets.len() - 1).min(stop - seen);
            dictionary.encode(&offsets[..=taken], data, &mut self.indices);
            offsets = &offsets[taken..];
            match self.indices.len() {
                LONG_SAMPLE_VALUES
                    if self.pages == 0
                        && dictionary.bytes() > LONG_SAMPLE_BYTES
                        && dictionary.len() * 10 > LONG_SAMPLE_VALUES * 9 =>
                {
                    self.abandon();
                }
                SAMPLE_VALUES if self.pages == 0 && dictionary.len() * 10 > SAMPLE_VALUES * 9 => self.abandon(),
                SETTLED_VALUES if self.pages == 0 => {
                    let rest = (last - offsets[0]) as usize;
                    self.settled = (SETTLED_VALUES, dictionary.bytes(), self.page_bytes - rest);
                }
                _ => {}
            }
        }
        if offsets.len() > 1 {
            self.bytes.extend_from_slice(&data[offsets[0] as usize..last as usize]);
            self.lengths.extend(offsets.array_windows::<2>().map(|ends| ends[1] - ends[0]));
        }
    }

    /// Gives the dictionary up before any page used it.
    fn abandon(&mut self) {
        if let Some(dictionary) = self.dictionary.take() {
            for index in self.indices.drain(..) {
                let value = dictionary.get(index as usize);
                self.bytes.extend_from_slice(value);
                self.lengths.push(value.len() as i32);
            }
        }
        self.indices = Vec::new();
        self.building = false;
    }

    /// Decides, before the first page with values is written, whether there is to be a dictionary.
    pub fn decide(&mut self) {
        if self.building && self.pages == 0 && !self.indices.is_empty() && !self.pays() {
            self.abandon();
        }
    }

    /// Appends the values of the page in the making, which [`Self::decide`] has seen, and begins the next one.
    pub fn finish_page(&mut self, out: &mut Vec<u8>) -> (Encoding, Bounds) {
        if self.indices.is_empty() && self.lengths.is_empty() {
            return (Encoding::PLAIN, None);
        }
        let page = match &self.dictionary {
            Some(dictionary) if self.building => {
                let width = width_of(dictionary.len().saturating_sub(1) as u64).max(1);
                out.push(width as u8);
                hybrid(&self.indices, width, out);
                (Encoding::RLE_DICTIONARY, self.bounds_of_indices(dictionary))
            }
            _ => (self.write_plain(out), self.bounds_of_plain()),
        };
        if self.building {
            self.close_if_spent();
        }
        self.bytes.clear();
        self.lengths.clear();
        self.indices.clear();
        self.page_bytes = 0;
        self.pages += 1;
        if let Some((least, most)) = &page.1 {
            self.widen(least, most);
        }
        page
    }

    /// Appends values outside a dictionary: texts with their lengths apart, which compresses better and takes fewer
    /// instructions than length after length (Trino's writer does so by default for Hive tables:
    /// <https://github.com/trinodb/trino/pull/29246>).
    fn write_plain(&self, out: &mut Vec<u8>) -> Encoding {
        let encoding = match self.kind {
            Bytes::Text => {
                delta::encode(&self.lengths, out);
                Encoding::DELTA_LENGTH_BYTE_ARRAY
            }
            Bytes::Decimal => Encoding::PLAIN,
        };
        out.extend_from_slice(&self.bytes);
        encoding
    }

    /// Whether the dictionary makes the first page, without the values that are known early, shorter.
    fn pays(&self) -> bool {
        let Some(dictionary) = &self.dictionary else { return false };
        let tail = self.indices.len() - self.settled.0;
        let new = dictionary.bytes() - self.settled.1;
        let coded = new + tail * width_of(dictionary.len() as u64) as usize / 8;
        coded < (self.page_bytes - self.settled.2 + tail) / 5 * 4
    }

    /// Closes the dictionary once it is full, or once most bytes are new to it.
    fn close_if_spent(&mut self) {
        let Some(dictionary) = &mut self.dictionary else { return };
        let new = if self.pages == 0 { 0 } else { dictionary.bytes() - self.settled.1 };
        self.settled.1 = dictionary.bytes();
        let size = dictionary.bytes() + dictionary.len() * 4;
        if size >= DICTIONARY_BYTES_MAX || new * 10 > self.page_bytes * 7 {
            dictionary.seal();
            self.building = false;
            self.indices = Vec::new();
        }
    }

    fn bounds_of_indices(&self, dictionary: &TextDictionary) -> Bounds {
        let mut seen = vec![false; dictionary.len()];
        self.indices.iter().for_each(|&index| seen[index as usize] = true);
        let used = || seen.iter().enumerate().filter(|(_, seen)| **seen).map(|(index, _)| index);
        let (mut least, mut most) = (used().next()?, used().next()?);
        let key = |index: usize| self.kind.key(dictionary.head(index));
        for index in used() {
            if (key(index), dictionary.get(index)) < (key(least), dictionary.get(least)) {
                least = index;
            }
            if (key(index), dictionary.get(index)) > (key(most), dictionary.get(most)) {
                most = index;
            }
        }
        Some((dictionary.get(least).to_vec(), dictionary.get(most).to_vec()))
    }

    fn bounds_of_plain(&self) -> Bounds {
        let first = &self.bytes[..*self.lengths.first()? as usize];
        let key = self.kind.key(head(&self.bytes, 0, first.len()));
        let (mut least, mut most) = ((key, first), (key, first));
        let mut start = 0;
        for &length in &self.lengths {
            let key = self.kind.key(head(&self.bytes, start, length as usize));
            if key <= least.0 {
                least = least.min((key, &self.bytes[start..start + length as usize]));
            }
            if key >= most.0 {
                most = most.max((key, &self.bytes[start..start + length as usize]));
            }
            start += length as usize;
        }
        Some((least.1.to_vec(), most.1.to_vec()))
    }

    fn widen(&mut self, page_least: &[u8], page_most: &[u8]) {
        match &mut self.all {
            None => self.all = Some((page_least.to_vec(), page_most.to_vec())),
            Some((least, most)) => {
                if self.kind.before(page_least, least) {
                    *least = page_least.to_vec();
                }
                if self.kind.before(most, page_most) {
                    *most = page_most.to_vec();
                }
            }
        }
    }

    /// Least and greatest value of the chunk.
    pub fn bounds(&self) -> Option<&(Vec<u8>, Vec<u8>)> {
        self.all.as_ref()
    }
}
