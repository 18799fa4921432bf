//! Bounds of texts in at most so many bytes (<https://github.com/apache/parquet-format/blob/master/PageIndex.md>).

/// Bytes of a text in statistics and page index.
pub(super) const BOUND_BYTES_MAX: usize = 64;

/// The longest prefix of at most [`BOUND_BYTES_MAX`] bytes that ends between characters: not after the text. With
/// whether it is the text itself.
pub(super) fn lower_bound(text: &[u8]) -> (&[u8], bool) {
    match std::str::from_utf8(text) {
        _ if text.len() <= BOUND_BYTES_MAX => (text, true),
        Ok(text) => (&text.as_bytes()[..text.floor_char_boundary(BOUND_BYTES_MAX)], false),
        Err(_) => (&text[..BOUND_BYTES_MAX], false),
    }
}

/// A text of at most [`BOUND_BYTES_MAX`] bytes that is not before this one: a prefix, its last character that can be
/// raised raised. The text itself where there is none. With whether it is the text itself.
pub(super) fn upper_bound(text: &[u8]) -> (Vec<u8>, bool) {
    let (prefix, exact) = lower_bound(text);
    if exact {
        return (text.to_vec(), true);
    }
    let raised = match std::str::from_utf8(prefix) {
        Ok(prefix) => prefix.char_indices().rev().find_map(|(at, character)| {
            let next = char::from_u32(u32::from(character) + 1)?;
            // A character of more bytes would make the bound longer.
            (next.len_utf8() == character.len_utf8()).then(|| {
                let mut raised = prefix[..at].to_owned();
                raised.push(next);
                raised.into_bytes()
            })
        }),
        Err(_) => None,
    };
    match raised {
        Some(raised) => (raised, false),
        None => (text.to_vec(), true),
    }
}
