//! `DELTA_BINARY_PACKED`: differences to the value before, packed in blocks
//! (<https://parquet.apache.org/docs/file-format/data-pages/encodings/>, delta encoding).

use super::pack::{pack, pack_wide, varint, width_of, zigzag};

/// Values of a block, as every writer in use has it.
const BLOCK: usize = 128;
/// Miniblocks of a block: each has a width of its own.
const MINIBLOCKS: usize = 4;
const MINIBLOCK: usize = BLOCK / MINIBLOCKS;

/// An integer as Parquet stores it.
pub(super) trait Integer: Copy + Default {
    /// `self - before`, wrapped in this type's bits.
    fn difference(self, before: Self) -> i64;
    /// `self` as an `i64`.
    fn wide(self) -> i64;
    /// A difference less the least one, in this type's bits.
    fn excess(difference: i64, least: i64) -> u64;
}

impl Integer for i32 {
    fn difference(self, before: Self) -> i64 {
        i64::from(self.wrapping_sub(before))
    }

    fn wide(self) -> i64 {
        i64::from(self)
    }

    fn excess(difference: i64, least: i64) -> u64 {
        u64::from(difference.wrapping_sub(least) as u32)
    }
}

impl Integer for i64 {
    fn difference(self, before: Self) -> i64 {
        self.wrapping_sub(before)
    }

    fn wide(self) -> i64 {
        self
    }

    fn excess(difference: i64, least: i64) -> u64 {
        difference.wrapping_sub(least) as u64
    }
}

/// Appends the values.
pub(super) fn encode<T: Integer>(values: &[T], out: &mut Vec<u8>) {
    varint(BLOCK as u64, out);
    varint(MINIBLOCKS as u64, out);
    varint(values.len() as u64, out);
    zigzag(values.first().map_or(0, |first| first.wide()), out);
    let Some((_, rest)) = values.split_first() else { return };
    let mut differences = [0_i64; BLOCK];
    for (befores, block) in values.chunks(BLOCK).zip(rest.chunks(BLOCK)) {
        for ((difference, &value), &before) in differences.iter_mut().zip(block).zip(befores) {
            *difference = value.difference(before);
        }
        encode_block::<T>(&mut differences, block.len(), out);
    }
}

fn encode_block<T: Integer>(differences: &mut [i64; BLOCK], len: usize, out: &mut Vec<u8>) {
    let least = least_of(&differences[..len]);
    differences[len..].fill(least);
    let mut excesses = [0_u64; BLOCK];
    for (excess, &difference) in excesses.iter_mut().zip(differences.iter()) {
        *excess = T::excess(difference, least);
    }
    let mut widths = [0; MINIBLOCKS];
    for (width, miniblock) in widths.iter_mut().zip(excesses.as_chunks::<MINIBLOCK>().0) {
        *width = width_of(miniblock.iter().fold(0, |all, excess| all | excess)) as u8;
    }
    zigzag(least, out);
    out.extend_from_slice(&widths);
    let miniblocks = excesses.as_chunks::<MINIBLOCK>().0.iter().zip(widths);
    for (miniblock, width) in miniblocks.take(len.div_ceil(MINIBLOCK)) {
        match u32::from(width) {
            0 => {}
            width @ 1..=32 => pack(&miniblock.map(|excess| excess as u32), width, out),
            width => pack_wide(miniblock, width, out),
        }
    }
}

/// The least of at least one value: four at a time, so that no comparison waits for the one before.
fn least_of(values: &[i64]) -> i64 {
    let mut lanes = [i64::MAX; 4];
    let (fours, rest) = values.as_chunks::<4>();
    for four in fours {
        for (lane, &value) in lanes.iter_mut().zip(four) {
            *lane = value.min(*lane);
        }
    }
    lanes.iter().chain(rest).copied().min().unwrap_or(0)
}
