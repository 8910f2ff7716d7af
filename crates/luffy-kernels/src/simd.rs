//! Loops over numbers, compiled for the vector instructions of the machine they run on.

/// Defines functions that run compiled for the widest vector instructions that the processor has. What they
/// call must be `#[inline(always)]` to be compiled along.
macro_rules! vectorized {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "slices and sizes of one loop")]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "slices and sizes of one loop")]
            fn plain($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments, reason = "slices and sizes of one loop")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    plain($($arg),*)
                }

                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
                #[allow(clippy::too_many_arguments, reason = "slices and sizes of one loop")]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    plain($($arg),*)
                }

                if $crate::simd::has_avx512() {
                    #[allow(unsafe_code, reason = "the compiler cannot see the processor")]
                    // Safety: the processor has these instructions.
                    return unsafe { avx512($($arg),*) };
                }
                if $crate::simd::has_avx2() {
                    #[allow(unsafe_code, reason = "the compiler cannot see the processor")]
                    // Safety: the processor has these instructions.
                    return unsafe { avx2($($arg),*) };
                }
            }
            plain($($arg),*)
        }
    )*};
}
pub(crate) use vectorized;

/// Whether the processor has the 512-bit instructions that `avx512` functions use.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && has_avx2()
}

/// Whether the processor has the 256-bit instructions that `avx2` functions use.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// Values a loop adds up side by side.
pub(crate) const LANES: usize = 8;

/// `e^x` to 1.5 units in the last place; below the smallest normal number it is zero, NaN stays NaN.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`, Taylor's series of degree 7 for `e^r` (the next term is below
/// 6e-9), and `2^n` by its exponent bits. No branch and no call, so loops over it become vector code.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// `1.5 * 2^23`: adding it leaves the rounded number in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    /// `ln 2` in two parts, of which the first has trailing zeros: `n` times it is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    /// `ln` of the smallest normal number, and just below the largest.
    const LEAST: f32 = -87.336_54;
    const MOST: f32 = 88.37;
    let clamped = if x < LEAST { LEAST } else { x };
    let clamped = if clamped > MOST { MOST } else { clamped };
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_HIGH, clamped);
    let r = n.mul_add(-LN2_LOW, r);
    let mut p = 1.0 / 5040.0_f32;
    p = p.mul_add(r, 1.0 / 720.0);
    p = p.mul_add(r, 1.0 / 120.0);
    p = p.mul_add(r, 1.0 / 24.0);
    p = p.mul_add(r, 1.0 / 6.0);
    p = p.mul_add(r, 0.5);
    p = p.mul_add(r, 1.0);
    p = p.mul_add(r, 1.0);
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < LEAST { 0.0 } else { p * power }
}

/// The largest value, minus infinity for none. NaN is passed over.
#[inline(always)]
pub(crate) fn max(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
        }
    }
    let mut max = f32::NEG_INFINITY;
    for i in 0..LANES {
        max = if lanes[i] > max { lanes[i] } else { max };
    }
    for value in rest {
        max = if *value > max { *value } else { max };
    }
    max
}

/// Values that are added in `f32` before the sum goes on in `f64`: a vocabulary has 150,000.
const BLOCK: usize = 2048;

/// `sum(f(i))` over two slices of equal length, in lanes.
#[inline(always)]
pub(crate) fn sum2(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sum = 0.0_f64;
    for (a, b) in a.chunks(BLOCK).zip(b.chunks(BLOCK)) {
        let mut lanes = [0.0_f32; LANES];
        let (a_chunks, a_rest) = a.as_chunks::<LANES>();
        let (b_chunks, b_rest) = b.as_chunks::<LANES>();
        for (a, b) in a_chunks.iter().zip(b_chunks) {
            for i in 0..LANES {
                lanes[i] += f(a[i], b[i]);
            }
        }
        let mut part = 0.0;
        for i in 0..LANES {
            part += lanes[i];
        }
        for (a, b) in a_rest.iter().zip(b_rest) {
            part += f(*a, *b);
        }
        sum += f64::from(part);
    }
    sum as f32
}

/// `sum(a b)`.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum2(a, b, |a, b| a * b)
}

/// Turns each value `x` into `exp((x - max) * scale)` and gives the sum of the results.
#[inline(always)]
pub(crate) fn exp_shifted(values: &mut [f32], max: f32, scale: f32) -> f32 {
    // Two loops: a sum beside the exponential keeps the compiler from making vector code of either.
    for value in values.iter_mut() {
        *value = exp((*value - max) * scale);
    }
    sum2(values, values, |x, _| x)
}

vectorized! {
    /// `e^x` of every value, to 1.5 units in the last place; results below the smallest normal number are zero.
    #[cfg(test)]
    fn exp_into(values: &mut [f32]) {
        for value in values {
            *value = exp(*value);
        }
    }

    /// The largest value; `None` if one is NaN.
    fn largest(values: &[f32]) -> Option<f32> {
        let mut has_nan = false;
        for value in values {
            has_nan |= value.is_nan();
        }
        (!has_nan).then(|| max(values))
    }

    fn exp_shifted_into(values: &mut [f32], max: f32, scale: f32) -> f32 {
        exp_shifted(values, max, scale)
    }
}

/// Weights of a softmax that are not yet divided by their sum: `exp((logit - max) / temperature)` into
/// `weights`; gives the maximum. `None` if no logit is finite, or one is NaN or plus infinity.
pub fn softmax_weights(logits: &[f32], temperature: f32, weights: &mut Vec<f32>) -> Option<f32> {
    let max = largest(logits).filter(|max| max.is_finite())?;
    weights.clear();
    weights.extend_from_slice(logits);
    exp_shifted_into(weights, max, temperature.recip());
    Some(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against `f64`, over the whole range: `e^x` spans 76 decades.
    #[test]
    fn exp_is_within_two_units_of_the_last_place() {
        for i in -87_000..88_000 {
            let x = i as f32 * 1e-3;
            let mut values = [x];
            exp_into(&mut values);
            let exact = f64::from(x).exp();
            let error = (f64::from(values[0]) / exact - 1.0).abs();
            assert!(error < 2.0 * f64::from(f32::EPSILON), "exp({x}) is off by {error:e}");
        }
    }

    #[test]
    fn exp_of_what_is_hidden_is_zero_and_of_nan_is_nan() {
        let mut values = [f32::NEG_INFINITY, -1e30, -100.0, f32::NAN, 0.0];
        exp_into(&mut values);
        assert_eq!(values[..3], [0.0; 3]);
        assert!(values[3].is_nan());
        assert!((values[4] - 1.0).abs() <= 0.0);
    }

    #[test]
    fn sums_and_maxima_see_every_value() {
        let values: Vec<f32> = (0..21).map(|i| i as f32).collect();
        assert!((max(&values) - 20.0).abs() <= 0.0);
        assert!((dot(&values, &values) - 2870.0).abs() <= 0.0);
        let mut weights = values.clone();
        let sum = exp_shifted(&mut weights, 20.0, 0.5);
        let exact: f64 = (0..21).map(|i| (f64::from(i - 20) * 0.5).exp()).sum();
        assert!((f64::from(sum) - exact).abs() < 1e-6);
    }

    #[test]
    fn softmax_weights_refuse_what_has_no_distribution() {
        let mut weights = vec![];
        for logits in [[f32::NEG_INFINITY; 2], [0.0, f32::NAN], [0.0, f32::INFINITY]] {
            assert_eq!(softmax_weights(&logits, 1.0, &mut weights), None);
        }
        assert_eq!(softmax_weights(&[0.0, f32::NEG_INFINITY], 1.0, &mut weights), Some(0.0));
        assert_eq!(weights, [1.0, 0.0]);
    }
}
