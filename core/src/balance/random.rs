//! Randomness for spreading load: fast, seeded, and not for secrets.

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub fn bits(&mut self) -> u64 {
        let next = mixed(self.0);
        self.0 = self.0.wrapping_add(STEP);
        next
    }

    /// 0 to `bound` - 1; 0 for a bound of 0. The bias is below `bound` / 2^32.
    pub fn below(&mut self, bound: u32) -> u32 {
        let high = self.bits() >> 32;
        let scaled = (high * u64::from(bound)) >> 32;
        u32::try_from(scaled).unwrap_or(0)
    }
}

/// The output of SplitMix64 from this state: each bit of it depends on every bit of `bits`.
pub(super) fn mixed(bits: u64) -> u64 {
    let mut mixed = bits.wrapping_add(STEP);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
