//! Random numbers that a seed repeats: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
//! generators", OOPSLA 2014). Not for secrets.

/// Dice of one seed.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True with this probability. Certainty and impossibility take no throw.
    pub fn falls(&mut self, probability: f64) -> bool {
        if probability <= 0.0 {
            return false;
        }
        // The 53 bits of a double's fraction.
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        share < probability
    }

    /// A number from 0 to `max`.
    pub fn up_to(&mut self, max: u64) -> u64 {
        match max.checked_add(1) {
            Some(count) => self.next() % count,
            None => self.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_shares_come_out_as_asked() {
        let throw = |seed| {
            let mut dice = Dice::new(seed);
            (0..10_000).map(|_| dice.falls(0.25)).collect::<Vec<_>>()
        };
        assert_eq!(throw(1), throw(1));
        assert_ne!(throw(1), throw(2));
        let hits = throw(3).into_iter().filter(|hit| *hit).count();
        assert!((2_300..2_700).contains(&hits), "{hits}");
        let mut dice = Dice::new(4);
        assert!((0..1_000).all(|_| dice.falls(1.0) && !dice.falls(0.0) && dice.up_to(3) <= 3));
    }
}
