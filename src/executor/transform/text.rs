//! Text that comes from plugins, made fit for errors and logs: bounded, on one line, without control characters. A
//! terminal obeys those: <https://docs.wasmtime.dev/security.html>.

use std::fmt::Write;

/// `text` on one line, of at most `max` bytes of its own. White space becomes a space; what steers a terminal, or the
/// direction of writing, is spelled out.
pub(super) fn shown(text: &str, max: usize) -> String {
    let cut = text.floor_char_boundary(max);
    let mut line = String::with_capacity(cut);
    for letter in text[..cut].trim().chars() {
        match letter {
            '\n' | '\r' | '\t' if line.ends_with(' ') => {}
            '\n' | '\r' | '\t' => line.push(' '),
            steering if is_steering(steering) => {
                // Writing into a string does not fail.
                let _ = write!(line, "{}", steering.escape_unicode());
            }
            plain => line.push(plain),
        }
    }
    if cut < text.len() {
        line.push('…');
    }
    line
}

/// A name in an error: [`shown`], in backquotes.
pub(super) fn quoted(name: &str) -> String {
    /// Bytes of a name.
    const NAME_BYTES_MAX: usize = 80;
    format!("`{}`", shown(name, NAME_BYTES_MAX))
}

fn is_steering(letter: char) -> bool {
    // Besides control characters: marks and overrides of the direction, line and paragraph separators, zero widths.
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
