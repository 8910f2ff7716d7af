//! How much of one text is in another.

use std::collections::BTreeMap;

/// ROUGE-L of two token sequences: `2 L / (m + n)`, dimensionless in 0 to 1, where `L` is the length of
/// their longest common subsequence and `m` and `n` are theirs. 1 for equal sequences, two empty ones
/// included; 0 if no token is in both.
///
/// It takes `m n / 64` word operations and no gradient.
///
/// # Reference
/// C.-Y. Lin, "ROUGE: a package for automatic evaluation of summaries", 2004, with equal weights of
/// precision and recall; H. Hyyrö, "Bit-parallel LCS-length computation revisited", 2004.
///
/// ```
/// use luffy_trainer::rouge_l;
///
/// // 1 3 4 is in both: 2 * 3 / (4 + 3).
/// assert!((rouge_l(&[1, 2, 3, 4], &[1, 3, 4]) - 6.0 / 7.0).abs() < 1e-12);
/// ```
pub fn rouge_l(a: &[u32], b: &[u32]) -> f64 {
    let n_tokens = a.len() + b.len();
    if n_tokens == 0 {
        return 1.0;
    }
    2.0 * f64::from(common_subsequence_len(a, b)) / n_tokens as f64
}

/// Length of the longest common subsequence. Bit `i` of `row` is clear where a common subsequence grows
/// with token `i` of `a`, after the tokens of `b` so far.
fn common_subsequence_len(a: &[u32], b: &[u32]) -> u32 {
    let n_words = a.len().div_ceil(64);
    let mut places: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for (i, token) in a.iter().enumerate() {
        places.entry(*token).or_insert_with(|| vec![0; n_words])[i / 64] |= 1 << (i % 64);
    }
    let mut row = vec![u64::MAX; n_words];
    for token in b {
        let Some(places) = places.get(token) else { continue };
        let mut carry = false;
        for (word, place) in row.iter_mut().zip(places) {
            let matched = *word & place;
            let (sum, over) = word.overflowing_add(matched);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            carry = over || over_again;
            *word = sum | (*word & !place);
        }
    }
    row.iter().map(|word| word.count_zeros()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The textbook recurrence.
    fn slow(a: &[u32], b: &[u32]) -> u32 {
        let mut row = vec![0; b.len() + 1];
        for x in a {
            let mut diagonal = 0;
            for (j, y) in b.iter().enumerate() {
                let above = row[j + 1];
                row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
                diagonal = above;
            }
        }
        row[b.len()]
    }

    /// The same on every machine; looks like noise.
    fn tokens(n: usize, n_kinds: u64, salt: u64) -> Vec<u32> {
        let mut state = salt;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n_kinds
        };
        (0..n).map(|_| next() as u32).collect()
    }

    #[test]
    fn it_is_the_textbook_recurrence_for_any_lengths() {
        for (i, (m, n)) in
            [(0, 0), (0, 3), (1, 1), (7, 5), (63, 64), (64, 64), (65, 130), (200, 90), (128, 257)]
                .into_iter()
                .enumerate()
        {
            for n_kinds in [1, 2, 5, 40] {
                let (a, b) = (tokens(m, n_kinds, i as u64), tokens(n, n_kinds, 77 + i as u64));
                assert_eq!(common_subsequence_len(&a, &b), slow(&a, &b), "{m} {n} {n_kinds}");
            }
        }
    }

    #[test]
    fn equal_is_one_and_disjoint_is_zero() {
        let is = |a: &[u32], b: &[u32], expected: f64| {
            assert!((rouge_l(a, b) - expected).abs() < 1e-12, "{a:?} {b:?}");
            assert!((rouge_l(b, a) - expected).abs() < 1e-12, "{b:?} {a:?}");
        };
        is(&[], &[], 1.0);
        is(&[4, 4, 9], &[4, 4, 9], 1.0);
        is(&[1, 2], &[3, 4, 5], 0.0);
        is(&[], &[3], 0.0);
        // Order counts: of `1 2` and `2 1` one token is common in order.
        is(&[1, 2], &[2, 1], 0.5);
    }
}
