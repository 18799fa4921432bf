//! A column chunk in the making: its pages as bytes, and what the footer and the page index say of them.

use std::ops::Range;

use parquet::{
    basic::{BoundaryOrder, Encoding, PageType},
    bloom_filter::Sbbf,
    errors::Result,
    file::{
        metadata::{ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, OffsetIndexBuilder, PageEncodingStats},
        page_index::{column_index::ColumnIndexMetaData, offset_index::OffsetIndexMetaData},
        statistics::Statistics,
    },
    schema::types::ColumnDescPtr,
};

use super::{
    encoding::Encoding as FileEncoding,
    page::{Backoff, Compressor, Content, Header},
    store::Store,
};

/// Turns bodies of pages into pages that lie in a store.
pub(super) struct Press {
    pub compressor: Compressor,
    /// The compressed bytes of a page.
    pub compressed: Vec<u8>,
    pub store: Store,
}

/// A page's bounds as the column index has them, with what orders them.
pub(super) enum PageBounds {
    /// No value: all are null.
    None,
    Numbers {
        key: (i128, i128),
        bytes: (Vec<u8>, Vec<u8>),
    },
    Texts {
        least: Vec<u8>,
        most: Vec<u8>,
    },
}

/// A page that is to be appended.
pub(super) struct DataPage {
    pub encoding: Encoding,
    pub rows: usize,
    pub nulls: usize,
    pub bounds: PageBounds,
    /// Values that are no number; `None`: not a column of doubles.
    pub nans: Option<u64>,
    /// Bytes of the texts, their lengths not counted; `None`: not texts.
    pub text_bytes: Option<usize>,
}

/// Characters of a long text, on an average.
const LONG_TEXT_BYTES: usize = 64;

impl DataPage {
    fn content(&self) -> Content {
        let are_long = |bytes| bytes >= (self.rows - self.nulls) * LONG_TEXT_BYTES;
        match self.encoding == Encoding::DELTA_LENGTH_BYTE_ARRAY && self.text_bytes.is_some_and(are_long) {
            true => Content::LongTexts,
            false => Content::Values,
        }
    }
}

/// The pages of a column so far.
pub(super) struct Chunk {
    /// Where its pages lie.
    pages: Vec<Range<usize>>,
    bytes: usize,
    uncompressed: usize,
    rows: usize,
    nulls: usize,
    text_bytes: Option<usize>,
    index: ColumnIndexBuilder,
    offsets: OffsetIndexBuilder,
    encodings: Vec<PageEncodingStats>,
    order: Order,
    backoff: Backoff,
}

/// Whether bounds only rise, or only fall, from page to page.
#[derive(Default)]
struct Order {
    last: Option<PageBounds>,
    falls: bool,
    rises: bool,
}

impl Order {
    fn push(&mut self, next: PageBounds) {
        use PageBounds::{None, Numbers, Texts};
        let (less, more) = match (&self.last, &next) {
            (_, None) => return,
            (Some(Numbers { key: a, .. }), Numbers { key: b, .. }) => (b.0 < a.0 || b.1 < a.1, b.0 > a.0 || b.1 > a.1),
            (Some(Texts { least: a, most: c }), Texts { least: b, most: d }) => (b < a || d < c, b > a || d > c),
            _ => (false, false),
        };
        self.falls |= less;
        self.rises |= more;
        self.last = Some(next);
    }

    fn order(&self) -> BoundaryOrder {
        match (self.falls, self.rises) {
            (false, _) => BoundaryOrder::ASCENDING,
            (true, false) => BoundaryOrder::DESCENDING,
            (true, true) => BoundaryOrder::UNORDERED,
        }
    }
}

/// A column chunk as bytes, offsets counted from its first.
pub(super) struct EncodedChunk {
    /// Where its pages lie, in their order.
    pub pages: Vec<Range<usize>>,
    pub metadata: ColumnChunkMetaData,
    pub column_index: ColumnIndexMetaData,
    pub offset_index: OffsetIndexMetaData,
    pub bloom_filter: Option<Sbbf>,
}

/// What only the end of a chunk knows.
pub(super) struct ChunkEnd<'a> {
    /// Plain bytes of the dictionary page and how many values.
    pub dictionary: Option<(&'a [u8], usize)>,
    pub statistics: Statistics,
    pub bloom_filter: Option<Sbbf>,
}

impl Chunk {
    pub fn new(column: &ColumnDescPtr) -> Self {
        Chunk {
            pages: Vec::new(),
            bytes: 0,
            uncompressed: 0,
            rows: 0,
            nulls: 0,
            text_bytes: None,
            index: ColumnIndexBuilder::new(column.physical_type()),
            offsets: OffsetIndexBuilder::new(),
            encodings: Vec::new(),
            order: Order::default(),
            backoff: Backoff::default(),
        }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn nulls(&self) -> usize {
        self.nulls
    }

    /// Compresses and appends a data page.
    pub fn push(&mut self, body: &[u8], page: DataPage, press: &mut Press) -> Result<()> {
        let place = self.page(body, (Some(page.encoding), page.content()), page.rows, press)?;
        let (null_page, least, most) = match &page.bounds {
            PageBounds::None => (true, Vec::new(), Vec::new()),
            PageBounds::Numbers { bytes, .. } => (false, bytes.0.clone(), bytes.1.clone()),
            PageBounds::Texts { least, most } => (false, least.clone(), most.clone()),
        };
        let number = |count: usize| count as i64;
        self.index.append(null_page, least, most, number(page.nulls), page.nans.map(|nans| nans as i64));
        self.index.append_histograms(&None, &histogram(page.rows, page.nulls));
        self.offsets.append_row_count(number(page.rows));
        self.offsets.append_unencoded_byte_array_data_bytes(page.text_bytes.map(number));
        self.order.push(page.bounds);
        if let Some(bytes) = page.text_bytes {
            *self.text_bytes.get_or_insert(0) += bytes;
        }
        match self.encodings.last_mut().filter(|stats| stats.encoding == page.encoding) {
            Some(stats) => stats.count += 1,
            None => self.encodings.push(PageEncodingStats {
                page_type: PageType::DATA_PAGE,
                encoding: page.encoding,
                count: 1,
            }),
        }
        self.rows += page.rows;
        self.nulls += page.nulls;
        self.bytes += place.len();
        self.pages.push(place);
        Ok(())
    }

    fn page(
        &mut self,
        body: &[u8],
        (data, content): (Option<Encoding>, Content),
        values: usize,
        press: &mut Press,
    ) -> Result<Range<usize>> {
        let Press { compressor, compressed, store } = press;
        let packed = compressor.compress(body, content, &mut self.backoff, compressed)?;
        let mut header = Vec::with_capacity(HEADER_BYTES);
        Header { data, values, uncompressed: body.len(), compressed: packed.len() }.write(&mut header)?;
        self.uncompressed += header.len() + body.len();
        let start = store.push(&header).start;
        packed.write(|bytes| _ = store.push(bytes));
        Ok(start..store.len())
    }

    /// Ends the chunk.
    pub fn finish(
        mut self,
        column: &ColumnDescPtr,
        encoding: &FileEncoding,
        end: ChunkEnd<'_>,
        press: &mut Press,
    ) -> Result<EncodedChunk> {
        let mut first_data_page = 0;
        if let Some((body, values)) = end.dictionary {
            self.backoff = Backoff::default();
            let page = self.page(body, (None, Content::Values), values, press)?;
            first_data_page = page.len();
            self.pages.insert(0, page);
            let (page_type, encoding) = (PageType::DICTIONARY_PAGE, Encoding::PLAIN);
            self.encodings.insert(0, PageEncodingStats { page_type, encoding, count: 1 });
        }
        let mut offset = first_data_page;
        for page in &self.pages[usize::from(first_data_page > 0)..] {
            let size = i32::try_from(page.len()).unwrap_or(i32::MAX);
            self.offsets.append_offset_and_size(offset as i64, size);
            offset += page.len();
        }
        let mut encodings: Vec<Encoding> = self.encodings.iter().map(|stats| stats.encoding).collect();
        encodings.push(Encoding::RLE);
        let metadata = ColumnChunkMetaData::builder(column.clone())
            .set_compression(encoding.codec())
            .set_encodings(encodings)
            .set_page_encoding_stats(self.encodings)
            .set_total_compressed_size(offset as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_num_values(self.rows as i64)
            .set_data_page_offset(first_data_page as i64)
            .set_dictionary_page_offset((first_data_page > 0).then_some(0))
            .set_statistics(end.statistics)
            .set_unencoded_byte_array_data_bytes(self.text_bytes.map(|bytes| bytes as i64))
            .set_definition_level_histogram(histogram(self.rows, self.nulls))
            .build()?;
        self.index.set_boundary_order(self.order.order());
        Ok(EncodedChunk {
            pages: self.pages,
            metadata,
            column_index: self.index.build()?,
            offset_index: self.offsets.build(),
            bloom_filter: end.bloom_filter,
        })
    }
}

/// Most bytes of a page's header.
const HEADER_BYTES: usize = 40;

/// How many rows have no value, and how many have one.
fn histogram(rows: usize, nulls: usize) -> Option<LevelHistogram> {
    let mut histogram = LevelHistogram::try_new(1)?;
    histogram.increment_by(0, nulls as i64);
    histogram.increment_by(1, (rows - nulls) as i64);
    Some(histogram)
}
