//! Bits side by side: bit-packed groups, the RLE/bit-packing hybrid of dictionary indices and levels, and variable
//! length integers (<https://parquet.apache.org/docs/file-format/data-pages/encodings/>).

/// Bits that the largest of some values takes.
pub(super) fn width_of(largest: u64) -> u32 {
    u64::BITS - largest.leading_zeros()
}

/// Appends an unsigned integer in base 128, low bits first.
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed integer, sign folded into the lowest bit.
pub(super) fn zigzag(value: i64, out: &mut Vec<u8>) {
    varint(((value << 1) ^ (value >> 63)) as u64, out);
}

/// Values of one step of [`pack`]: enough for the compiler to use whole vector registers.
const STEP: usize = 64;

/// Appends `values` with `width` bits (1 to 32) each, low bits first; the last group of eight is filled with zeros.
/// No value has more bits than that.
pub(super) fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    let mut at = out.len();
    let bytes = values.len().div_ceil(8) * width as usize;
    // A group of eight is stored as whole words that later groups overwrite.
    out.resize(at + bytes + 32, 0);
    let (steps, rest) = values.as_chunks::<STEP>();
    for step in steps {
        pack_step(step, width, &mut out[at..]);
        at += STEP / 8 * width as usize;
    }
    if !rest.is_empty() {
        let mut last = [0; STEP];
        last[..rest.len()].copy_from_slice(rest);
        let mut packed = [0; STEP * 4 + 32];
        pack_step(&last, width, &mut packed);
        let bytes = rest.len().div_ceil(8) * width as usize;
        out[at..at + bytes].copy_from_slice(&packed[..bytes]);
        at += bytes;
    }
    out.truncate(at);
}

#[inline]
fn pack_step(values: &[u32; STEP], width: u32, out: &mut [u8]) {
    let bytes = width as usize;
    // Neighbours are joined to pairs, pairs to fours, fours to eights, as far as 64 bits hold them: each of these loops
    // has one shift for all lanes.
    let mut pairs = [0_u64; STEP / 2];
    for (pair, values) in pairs.iter_mut().zip(values.as_chunks::<2>().0) {
        *pair = u64::from(values[0]) | u64::from(values[1]) << width;
    }
    if width > 16 {
        for (group, pairs) in pairs.as_chunks::<4>().0.iter().enumerate() {
            pack_pairs(pairs, width, &mut out[group * bytes..]);
        }
        return;
    }
    let mut fours = [0_u64; STEP / 4];
    for (four, pairs) in fours.iter_mut().zip(pairs.as_chunks::<2>().0) {
        *four = pairs[0] | pairs[1] << (2 * width);
    }
    if width > 8 {
        for (group, fours) in fours.as_chunks::<2>().0.iter().enumerate() {
            let eight = u128::from(fours[0]) | u128::from(fours[1]) << (4 * width);
            out[group * bytes..][..16].copy_from_slice(&eight.to_le_bytes());
        }
        return;
    }
    for (group, fours) in fours.as_chunks::<2>().0.iter().enumerate() {
        // `width` is at most 8, so that the shift is at most 32.
        let eight = fours[0] | fours[1] << (4 * width);
        out[group * bytes..][..8].copy_from_slice(&eight.to_le_bytes());
    }
}

/// Eight values of 17 to 32 bits, as four pairs.
#[inline]
fn pack_pairs(pairs: &[u64; 4], width: u32, out: &mut [u8]) {
    let low = u128::from(pairs[0]) | u128::from(pairs[1]) << (2 * width);
    let high = u128::from(pairs[2]) | u128::from(pairs[3]) << (2 * width);
    // Each half has 68 to 128 bits.
    let bits = 4 * width;
    let first = if bits == 128 { low } else { low | high << bits };
    let second = if bits == 128 { high } else { high >> (128 - bits) };
    out[..16].copy_from_slice(&first.to_le_bytes());
    out[16..32].copy_from_slice(&second.to_le_bytes());
}

/// Appends values of up to 64 bits with `width` bits each; their number is a multiple of eight.
pub(super) fn pack_wide(values: &[u64], width: u32, out: &mut Vec<u8>) {
    let (mut pending, mut filled) = (0_u128, 0);
    for &value in values {
        pending |= u128::from(value) << filled;
        filled += width;
        if filled >= 64 {
            out.extend_from_slice(&(pending as u64).to_le_bytes());
            pending >>= 64;
            filled -= 64;
        }
    }
    let rest = filled.div_ceil(8) as usize;
    out.extend_from_slice(&(pending as u64).to_le_bytes()[..rest]);
}

/// Appends `values` as runs and bit-packed groups, whichever is shorter; `width` is 1 to 32.
pub(super) fn hybrid(values: &[u32], width: u32, out: &mut Vec<u8>) {
    // A run costs its header, its value and the next group's header: as many bytes as this many packed values.
    let worth = match width {
        1 => 40,
        2 => 24,
        3..=7 => 16,
        _ => 8,
    };
    let (mut packed, mut at) = (0, 0);
    while at + 8 <= values.len() {
        let first = values[at];
        let group: &[u32; 8] = values[at..].first_chunk().unwrap_or(&[0; 8]);
        if group.iter().fold(0, |differ, value| differ | (value ^ first)) != 0 {
            at += 8;
            continue;
        }
        let run = 8 + values[at + 8..].iter().take_while(|&&value| value == first).count();
        if run < worth {
            at += run / 8 * 8;
            continue;
        }
        groups(&values[packed..at], width, out);
        run_of(first, run, width, out);
        at += run;
        packed = at;
    }
    groups(&values[packed..], width, out);
}

/// Appends one run.
pub(super) fn run_of(value: u32, count: usize, width: u32, out: &mut Vec<u8>) {
    varint((count as u64) << 1, out);
    out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
}

fn groups(values: &[u32], width: u32, out: &mut Vec<u8>) {
    if !values.is_empty() {
        varint((values.len().div_ceil(8) as u64) << 1 | 1, out);
        pack(values, width, out);
    }
}

/// Bits, in the order they came.
#[derive(Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn clear(&mut self) {
        self.words.clear();
        self.len = 0;
    }

    pub fn memory_bytes(&self) -> usize {
        size_of_val(self.words.as_slice())
    }

    /// Appends the low `count` bits (at most 64) of `word`; its other bits are zero.
    #[inline]
    pub fn push(&mut self, word: u64, count: usize) {
        let used = self.len % 64;
        match self.words.last_mut() {
            Some(last) if used > 0 => {
                *last |= word << used;
                if used + count > 64 {
                    self.words.push(word >> (64 - used));
                }
            }
            _ if count > 0 => self.words.push(word),
            _ => {}
        }
        self.len += count;
    }

    /// Appends `count` ones.
    pub fn push_ones(&mut self, mut count: usize) {
        while count > 0 {
            let step = count.min(64);
            self.push(ones(step), step);
            count -= step;
        }
    }

    /// Appends the bits to `out`, the last byte filled with zeros.
    pub fn write(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.len.div_ceil(8);
        out.extend(self.words.iter().flat_map(|word| word.to_le_bytes()));
        out.truncate(end);
    }

    /// Appends the bits as a hybrid of width 1: long runs of whole words, else groups.
    pub fn write_hybrid(&self, out: &mut Vec<u8>) {
        let whole = self.len / 64;
        let (mut packed, mut at) = (0, 0);
        while at < whole {
            let word = self.words[at];
            let run = match word {
                0 | u64::MAX => self.words[at..whole].iter().take_while(|&&next| next == word).count(),
                _ => 0,
            };
            if run < 2 {
                at += 1;
                continue;
            }
            self.write_groups(packed, at * 64, out);
            run_of(word as u32 & 1, run * 64, 1, out);
            at += run;
            packed = at;
        }
        self.write_groups(packed, self.len, out);
    }

    fn write_groups(&self, first_word: usize, end: usize, out: &mut Vec<u8>) {
        let bytes = end.div_ceil(8) - first_word * 8;
        if bytes > 0 {
            varint((bytes as u64) << 1 | 1, out);
            let end = out.len() + bytes;
            out.extend(self.words[first_word..].iter().take(bytes.div_ceil(8)).flat_map(|word| word.to_le_bytes()));
            out.truncate(end);
        }
    }
}

/// A word whose low `count` bits (at most 64) are set.
pub(super) fn ones(count: usize) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}
