//! Dictionaries of numbers: each distinct value once, in the order of appearance.

use super::numbers::Number;

/// Slots of a new hash table.
const SLOTS_FIRST: usize = 64;
/// Values up to which a table has four slots or more for each, so that a second look is rare: these fit the processor's
/// innermost cache. Larger ones have two or more.
const SPARSE_VALUES_MAX: usize = 1024;
/// Widest range of values that has one slot for each: 256 KiB of slots.
const SPAN_MAX: u64 = 64 * 1024;
/// Slots of a direct table for each value known when it is made or grows.
const SPAN_PER_VALUE: u64 = 32;
/// Odd, its bits without a pattern: the golden ratio's fraction.
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

/// Distinct values by their bits.
pub(super) struct Dictionary<T> {
    values: Vec<T>,
    /// Index + 1 of the value; 0 is empty.
    slots: Vec<u32>,
    table: Table,
}

enum Table {
    /// Slots are found by hash, then by walking on.
    Hashed { shift: u32 },
    /// Slot `value - base` is the value's own.
    Direct { base: i64 },
}

#[inline]
fn slot_of(bits: u64, shift: u32) -> usize {
    let product = u128::from(bits).wrapping_mul(u128::from(MIX));
    (((product >> 64) as u64 ^ product as u64) >> shift) as usize
}

impl<T: Number> Dictionary<T> {
    pub fn new() -> Self {
        Dictionary { values: Vec::new(), slots: Vec::new(), table: Table::Hashed { shift: 63 } }
    }

    pub fn values(&self) -> &[T] {
        &self.values
    }

    pub fn memory_bytes(&self) -> usize {
        size_of_val(self.values.as_slice()) + size_of_val(self.slots.as_slice())
    }

    /// Forgets all values, not the room that they had.
    pub fn clear(&mut self) {
        self.values.clear();
        self.slots.clear();
        self.table = Table::Hashed { shift: 63 };
    }

    /// Gives the table's memory back: no more values come.
    pub fn seal(&mut self) {
        self.slots = Vec::new();
        self.table = Table::Hashed { shift: 63 };
        self.values.shrink_to_fit();
    }

    /// Appends the index of each value.
    pub fn encode(&mut self, values: &[T], indices: &mut Vec<u32>) {
        let start = indices.len();
        indices.resize(start + values.len(), 0);
        let indices = &mut indices[start..];
        let mut done = 0;
        while done < values.len() {
            done += match self.table {
                Table::Direct { base } => self.known_direct(base, &values[done..], &mut indices[done..]),
                Table::Hashed { shift } => self.known_hashed(shift, &values[done..], &mut indices[done..]),
            };
            if let Some(&value) = values.get(done) {
                indices[done] = self.insert(value);
                done += 1;
            }
        }
    }

    /// Writes the indices of values up to the first unknown one; says how many.
    fn known_direct(&self, base: i64, values: &[T], indices: &mut [u32]) -> usize {
        for (at, (value, index)) in values.iter().zip(indices).enumerate() {
            let slot = value.integer().wrapping_sub(base) as u64;
            match self.slots.get(slot as usize) {
                Some(&entry) if entry != 0 => *index = entry - 1,
                _ => return at,
            }
        }
        values.len()
    }

    fn known_hashed(&self, shift: u32, values: &[T], indices: &mut [u32]) -> usize {
        if self.slots.is_empty() {
            return 0;
        }
        let mask = self.slots.len() - 1;
        for (at, (value, index)) in values.iter().zip(indices).enumerate() {
            let bits = value.bits();
            let mut slot = slot_of(bits, shift);
            loop {
                let entry = self.slots[slot & mask];
                if entry == 0 {
                    return at;
                }
                if self.values[entry as usize - 1].bits() == bits {
                    *index = entry - 1;
                    break;
                }
                slot += 1;
            }
        }
        values.len()
    }

    /// Takes in a value that is not there.
    #[inline(never)]
    fn insert(&mut self, value: T) -> u32 {
        let index = self.values.len() as u32;
        self.values.push(value);
        match self.table {
            Table::Direct { base } => {
                let slot = value.integer().wrapping_sub(base) as u64;
                if slot < self.slots.len() as u64 {
                    self.slots[slot as usize] = index + 1;
                } else if !self.use_direct() {
                    self.rehash();
                }
            }
            Table::Hashed { .. } if self.is_crowded() => self.rehash(),
            Table::Hashed { shift } => {
                Self::place(&mut self.slots, shift, value, index);
            }
        }
        index
    }

    fn is_crowded(&self) -> bool {
        let room = if self.values.len() <= SPARSE_VALUES_MAX { 4 } else { 2 };
        self.values.len() * room > self.slots.len()
    }

    fn place(slots: &mut [u32], shift: u32, value: T, index: u32) {
        let mask = slots.len() - 1;
        let mut slot = slot_of(value.bits(), shift) & mask;
        while slots[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        slots[slot] = index + 1;
    }

    fn rehash(&mut self) {
        let room = if self.values.len() <= SPARSE_VALUES_MAX { 8 } else { 4 };
        let len = (self.values.len() * room).next_power_of_two().max(SLOTS_FIRST);
        let shift = 64 - len.trailing_zeros();
        self.slots.clear();
        self.slots.resize(len, 0);
        for (value, index) in self.values.iter().zip(0..) {
            Self::place(&mut self.slots, shift, *value, index);
        }
        self.table = Table::Hashed { shift };
    }

    /// Gives each value of the range a slot of its own, if the values known are integers and dense enough in it.
    pub fn use_direct(&mut self) -> bool {
        let integers = || self.values.iter().map(|value| value.integer());
        let (Some(least), Some(most)) = (integers().min(), integers().max()) else { return false };
        let span = most.wrapping_sub(least) as u64;
        if !T::INTEGER || span >= SPAN_MAX.min(self.values.len() as u64 * SPAN_PER_VALUE) {
            return false;
        }
        // Room at both ends: what comes next is often just beyond.
        let margin = span / 4 + 8;
        let base = least.saturating_sub(margin as i64);
        let len = (most.saturating_add(margin as i64).wrapping_sub(base) as u64 + 1) as usize;
        self.slots.clear();
        self.slots.resize(len, 0);
        for (value, entry) in self.values.iter().zip(1..) {
            self.slots[value.integer().wrapping_sub(base) as usize] = entry;
        }
        self.slots.shrink_to_fit();
        self.table = Table::Direct { base };
        true
    }
}
