//! The bytes that mean something in one dialect.

use super::Dialect;

/// What separates fields and records, and what quotes them. Every one is an ASCII byte, so that none is ever part of
/// another character in UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks {
    pub delimiter: u8,
    /// `None`: quotes are ordinary characters.
    pub quote: Option<Quoting>,
    pub newline: u8,
    /// A line that begins with it is no record.
    pub comment: Option<u8>,
}

/// How a quote is written within quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quoting {
    pub quote: u8,
    /// Before a quote or itself it stands for what follows; the quote itself where it is doubled.
    pub escape: u8,
}

impl Quoting {
    /// As the dialect writes it. Where there is no quote, there is no field in which it would be looked for.
    pub fn new(dialect: &Dialect) -> Self {
        let quote = dialect.quote.unwrap_or('"');
        Quoting { quote: quote as u8, escape: dialect.escape.unwrap_or(quote) as u8 }
    }

    /// Whether `escape` takes the meaning off this byte.
    pub fn is_escapable(self, byte: u8) -> bool {
        byte == self.quote || byte == self.escape
    }
}

impl From<&Dialect> for Marks {
    fn from(dialect: &Dialect) -> Self {
        Marks {
            delimiter: dialect.delimiter as u8,
            quote: dialect.quote.map(|_| Quoting::new(dialect)),
            newline: dialect.newline.byte(),
            comment: dialect.comment.map(|comment| comment as u8),
        }
    }
}

impl Marks {
    /// Whether a field ends at this byte, outside quotes.
    pub fn ends_field(&self, byte: u8) -> bool {
        byte == self.delimiter || byte == self.newline
    }
}
