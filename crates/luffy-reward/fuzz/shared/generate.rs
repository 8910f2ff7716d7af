//! Inputs without a fuzzer: the same for the same seed and index.

use super::shared::Target;

/// An input of a target.
pub(crate) type Input = (Target, Vec<u8>);

/// The pseudo-random numbers of `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// The input number `index`. Texts of its case have at most `max_len` bytes.
pub(crate) fn input(seed: u64, index: u64, max_len: usize, kept: &[Input]) -> Input {
    let mut random = Random(seed ^ index.wrapping_mul(0xa076_1d64_78bd_642f));
    match random.below(16) {
        0 => {
            let len = random.below(max_len.min(512));
            (Target::Bytes, random.bytes(len))
        }
        1..=3 if !kept.is_empty() => {
            let (target, bytes) = &kept[random.below(kept.len())];
            let other = &kept[random.below(kept.len())].1;
            let mut bytes = bytes.clone();
            for _ in 0..=random.below(4) {
                havoc(&mut random, &mut bytes, other);
            }
            bytes.truncate(max_len);
            (*target, bytes)
        }
        4 => (Target::Bytes, repeated(&mut random, max_len)),
        _ => {
            let len = 8 + random.below(120);
            (Target::Cases, random.bytes(len))
        }
    }
}

/// Changes of bytes that know nothing of their meaning.
fn havoc(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    let from = random.below(bytes.len() + 1);
    let to = (from + random.below(12)).min(bytes.len());
    match random.below(6) {
        0 if from < bytes.len() => bytes[from] = random.next() as u8,
        1 if from < bytes.len() => bytes[from] ^= 1 << random.below(8),
        2 => drop(bytes.drain(from..to)),
        3 => {
            let part = bytes[from..to].repeat(1 << random.below(6));
            bytes.splice(from..from, part);
        }
        4 => {
            let start = random.below(other.len() + 1);
            let end = (start + random.below(24)).min(other.len());
            bytes.splice(from..to, other[start..end].iter().copied());
        }
        _ => {
            const SIGNS: &[u8] = b"0123456789{}()[]\\^_+-*/=,.$%!|<>&~ \nxyei";
            bytes.insert(from, SIGNS[random.below(SIGNS.len())]);
        }
    }
}

/// A response, or a gold and an answer, that says the same thing again and again.
fn repeated(random: &mut Random, max_len: usize) -> Vec<u8> {
    let mut piece = Vec::new();
    for _ in 0..=random.below(3) {
        let bytes = random.bytes(6);
        let case = Target::Cases.case(&bytes, 64);
        piece.extend_from_slice(if random.below(2) == 0 {
            case.gold.as_bytes()
        } else {
            super::shared::token(random.below(usize::MAX)).as_bytes()
        });
    }
    piece.retain(|byte| *byte != b'\n');
    piece.truncate(max_len);
    if piece.is_empty() {
        piece.push(b'{');
    }
    let is_hostile_gold = random.below(3) == 0;
    let room = if is_hostile_gold { max_len / 2 } else { max_len }.saturating_sub(16);
    let text = piece.repeat(room / piece.len());
    let mut bytes = vec![random.next() as u8];
    bytes.extend_from_slice(if is_hostile_gold { &text } else { b"7" });
    bytes.push(b'\n');
    let is_boxed = random.below(2) == 0;
    bytes.extend_from_slice(if is_boxed { b"\\boxed{" } else { b"" });
    bytes.extend_from_slice(&text);
    bytes.extend_from_slice(if is_boxed { b"}" } else { b"" });
    bytes
}
