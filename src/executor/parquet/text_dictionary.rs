//! Dictionaries of texts: each distinct value once, in the order of appearance, in one buffer.

/// Slots of a new table.
const SLOTS_FIRST: usize = 64;
const MIX: [u64; 2] = [0x9E37_79B9_7F4A_7C15, 0xC2B2_AE3D_27D4_EB4F];

/// Distinct values by their bytes.
#[derive(Default)]
pub(super) struct TextDictionary {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    slots: Vec<Slot>,
}

#[derive(Clone, Copy)]
struct Entry {
    start: usize,
    len: usize,
    /// The first bytes, as [`head`] says.
    head: u64,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// Bits of the hash that the slot's place does not say.
    tag: u32,
    /// Index + 1 of the value; 0 is empty.
    entry: u32,
}

/// The first eight bytes of a value within `data`, zeros after its end, the first byte lowest.
#[inline]
pub(super) fn head(data: &[u8], start: usize, len: usize) -> u64 {
    match data.get(start..start + 8).and_then(|bytes| bytes.first_chunk::<8>()) {
        Some(bytes) => {
            let word = u64::from_le_bytes(*bytes);
            if len >= 8 { word } else { word & ((1 << (len * 8)) - 1) }
        }
        None => {
            let mut bytes = [0; 8];
            let taken = len.min(8);
            bytes[..taken].copy_from_slice(&data[start..start + taken]);
            u64::from_le_bytes(bytes)
        }
    }
}

#[inline]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

#[inline]
fn hash(head: u64, value: &[u8]) -> u64 {
    let mut hash = mix(head ^ MIX[0], value.len() as u64 ^ MIX[1]);
    if value.len() > 8 {
        for bytes in value[8..].as_chunks::<8>().0 {
            hash = mix(hash ^ u64::from_le_bytes(*bytes), MIX[0]);
        }
        if let Some(last) = value.last_chunk::<8>() {
            hash = mix(hash ^ u64::from_le_bytes(*last), MIX[1]);
        }
    }
    hash
}

impl TextDictionary {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of all values.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn get(&self, index: usize) -> &[u8] {
        let entry = self.entries[index];
        &self.bytes[entry.start..entry.start + entry.len]
    }

    pub fn head(&self, index: usize) -> u64 {
        self.entries[index].head
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().map(|entry| &self.bytes[entry.start..entry.start + entry.len])
    }

    pub fn memory_bytes(&self) -> usize {
        self.bytes.len() + size_of_val(self.entries.as_slice()) + size_of_val(self.slots.as_slice())
    }

    /// Forgets all values, not the room that they had.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.slots.clear();
    }

    /// Gives the table's memory back: no more values come.
    pub fn seal(&mut self) {
        self.slots = Vec::new();
        self.bytes.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    /// Appends the index of each value; value `i` is `data[offsets[i]..offsets[i + 1]]`.
    pub fn encode(&mut self, offsets: &[i32], data: &[u8], indices: &mut Vec<u32>) {
        indices.reserve(offsets.len().saturating_sub(1));
        for ends in offsets.array_windows::<2>() {
            let (start, end) = (ends[0] as usize, ends[1] as usize);
            let head = head(data, start, end - start);
            let value = &data[start..end];
            let hash = hash(head, value);
            indices.push(self.find(hash, head, value).unwrap_or_else(|| self.insert(hash, head, value)));
        }
    }

    #[inline]
    fn find(&self, hash: u64, head: u64, value: &[u8]) -> Option<u32> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize;
        loop {
            let slot = self.slots[at & mask];
            if slot.entry == 0 {
                return None;
            }
            if slot.tag == (hash >> 32) as u32 {
                let index = slot.entry - 1;
                let entry = self.entries[index as usize];
                let same = entry.head == head && entry.len == value.len();
                if same && (value.len() <= 8 || self.bytes[entry.start + 8..entry.start + entry.len] == value[8..]) {
                    return Some(index);
                }
            }
            at += 1;
        }
    }

    #[inline(never)]
    fn insert(&mut self, hash: u64, head: u64, value: &[u8]) -> u32 {
        let index = self.entries.len();
        self.entries.push(Entry { start: self.bytes.len(), len: value.len(), head });
        self.bytes.extend_from_slice(value);
        if self.entries.len() * 2 > self.slots.len() {
            self.grow();
        } else {
            Self::place(&mut self.slots, hash, index);
        }
        index as u32
    }

    fn place(slots: &mut [Slot], hash: u64, index: usize) {
        let mask = slots.len() - 1;
        let mut at = hash as usize & mask;
        while slots[at].entry != 0 {
            at = (at + 1) & mask;
        }
        slots[at] = Slot { tag: (hash >> 32) as u32, entry: index as u32 + 1 };
    }

    fn grow(&mut self) {
        let len = (self.entries.len() * 4).next_power_of_two().max(SLOTS_FIRST);
        self.slots.clear();
        self.slots.resize(len, Slot::default());
        for (index, entry) in self.entries.iter().enumerate() {
            let value = &self.bytes[entry.start..entry.start + entry.len];
            Self::place(&mut self.slots, hash(entry.head, value), index);
        }
    }
}
