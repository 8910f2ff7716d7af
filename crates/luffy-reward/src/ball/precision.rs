//! How many bits a [`Big`](super::Big) has, and the constants that go with that.

use std::sync::OnceLock;

use dashu_float::round::mode::HalfEven;
use dashu_float::{ConstCache, Context, Repr};
use dashu_int::UBig;

use super::fixed;

/// How many bits a result has, and the constants that go with that.
#[derive(Debug)]
pub(crate) struct Precision {
    pub(super) bits: usize,
    pi: OnceLock<UBig>,
    ln2: OnceLock<UBig>,
    e: OnceLock<UBig>,
}

/// Fixed-point bits beyond those of the result: what the kernels lose, and a rounding.
pub(super) const GUARD: usize = 8;
/// Bits by which a constant must be better than a result to reduce an argument of 40 bits with it.
pub(super) const REDUCTION: usize = 48;

pub(super) fn signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX / 4)
}

pub(super) fn unsigned(n: i64) -> usize {
    usize::try_from(n).unwrap_or(0)
}

/// The nearest float as a fixed-point number; both come from dashu, which rounds them correctly.
fn fixed_point(repr: &Repr<2>, w: usize) -> UBig {
    let (_, mantissa) = repr.significand().clone().into_parts();
    let shift = repr.exponent() as i64 + signed(w);
    if shift >= 0 { mantissa << unsigned(shift) } else { mantissa >> unsigned(-shift) }
}

impl Precision {
    pub(super) fn new(bits: usize) -> Self {
        let bits = bits.clamp(64, 1 << 14);
        Self { bits, pi: OnceLock::new(), ln2: OnceLock::new(), e: OnceLock::new() }
    }

    /// pi at `w` bits after the point, within one unit.
    pub(super) fn pi(&self, w: usize) -> UBig {
        let compute = |w: usize| {
            let context = Context::<HalfEven>::new(w + 4);
            fixed_point(context.pi::<2>(None).value().repr(), w)
        };
        let kept = self.bits + 128;
        if w > kept {
            return compute(w);
        }
        self.pi.get_or_init(|| compute(kept)) >> (kept - w)
    }

    /// ln 2 with [`REDUCTION`] more bits after the point than the fixed-point results have, within
    /// one unit.
    pub(super) fn ln2(&self) -> &UBig {
        self.ln2.get_or_init(|| {
            let w = self.bits + GUARD + REDUCTION;
            fixed_point(ConstCache::new().ln2::<2, HalfEven>(w + 4).repr(), w)
        })
    }

    /// e at [`GUARD`] more bits after the point than a result has, within two units.
    pub(super) fn e(&self) -> &UBig {
        let w = self.bits + GUARD;
        self.e.get_or_init(|| fixed::exp(&(UBig::ONE << w), w))
    }
}
