//! Where expressions are evaluated.

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use crate::seed::hash;

/// Points at which every name is positive.
pub(super) const N_POSITIVE: u32 = 8;

/// All points; at the later ones names have either sign.
pub(super) const N_POINTS: u32 = 11;

/// How many further points there are at which every name is a small whole number.
pub(super) const N_WHOLE: u32 = 12;

/// Whole numbers with roots and logarithms that are whole, and others.
const WHOLE: [i64; 12] = [4, 9, 8, 16, 1, 2, 3, 5, 6, 7, 12, 27];

/// A value for every name: pseudo-random, and the same in every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point(pub(super) u32);

impl Point {
    pub(super) fn is_positive(self) -> bool {
        !(N_POSITIVE..N_POINTS).contains(&self.0)
    }

    /// The points where every name is a whole number.
    pub(super) fn whole() -> impl Iterator<Item = Self> {
        (N_POINTS..N_POINTS + N_WHOLE).map(Self)
    }

    /// A rational number of about 20 bits, up to 1, to 4 or to 12, by the point.
    pub(super) fn fraction(self, name: &str) -> (i64, u64) {
        let random = hash(name, 0x5eed + u64::from(self.0));
        if self.0 >= N_POINTS {
            // The same number for every name that hashes alike, another one at each point.
            return (WHOLE[(u64::from(self.0) + hash(name, 1) % 5) as usize % WHOLE.len()], 1);
        }
        let span = [4, 1, 12, 4][(self.0 % 4) as usize];
        let size = 3_001 + ((random >> 20) as i64).rem_euclid(span * 100_003 - 6_001);
        let is_negative = !self.is_positive() && random & 1 == 1;
        (if is_negative { -size } else { size }, 100_003)
    }

    pub(super) fn value(self, name: &str) -> RBig {
        let (above, below) = self.fraction(name);
        RBig::from_parts(IBig::from(above), UBig::from(below))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_value_at_each_point() {
        assert_eq!(Point(3).fraction("x"), Point(3).fraction("x"));
        assert_ne!(Point(3).fraction("x"), Point(4).fraction("x"));
        assert_ne!(Point(3).fraction("x"), Point(3).fraction("X"));
    }

    #[test]
    fn names_are_positive_at_the_first_points_and_of_either_sign_at_the_later_ones() {
        let names: Vec<String> = ('a'..='z').map(String::from).collect();
        let mut signs = [0, 0];
        for point in (0..N_POINTS).map(Point) {
            for name in &names {
                let (above, below) = point.fraction(name);
                assert_eq!(below, 100_003);
                assert!((3_001..1_200_036).contains(&above.abs()), "{above}");
                assert!(above > 0 || !point.is_positive(), "{name} at {point:?}");
                signs[usize::from(above > 0)] += usize::from(!point.is_positive());
            }
        }
        assert!(signs[0] > 10 && signs[1] > 10, "{signs:?}");
    }

    #[test]
    fn whole_points_are_whole_and_every_number_is_met() {
        let mut met: Vec<i64> = Point::whole().map(|point| point.fraction("x").0).collect();
        assert!(Point::whole().all(|point| point.is_positive() && point.fraction("x").1 == 1));
        met.sort_unstable();
        assert_eq!(met, [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 27]);
    }
}
