//! Sixteen numbers side by side, kept in registers.
//!
//! The compiler turns plain loops into vector code, but where a dozen sums must stay in registers over a whole
//! loop it puts them into memory: these few lines name the instructions themselves.

/// Numbers that lie side by side in the layouts of this crate.
pub(crate) const WIDE: usize = 16;

/// `sums[r] += lines[i] * rows[r][i]` over all lines `i`: `R` chains of fused additions, each in the order of
/// `i`. Row `r` begins at `x[r * stride]`.
///
/// # Panics
/// If a row reaches out of `x`.
#[inline]
pub(crate) fn add_outer<const R: usize>(
    lines: &[[f32; WIDE]],
    x: &[f32],
    stride: usize,
    sums: &mut [[f32; WIDE]; R],
) {
    #[cfg(target_arch = "x86_64")]
    if crate::simd::has_avx2() {
        #[allow(unsafe_code, reason = "the compiler cannot see the processor")]
        // Safety: the processor has these instructions.
        return unsafe { avx2::add_outer(lines, x, stride, sums) };
    }
    let rows: [&[f32]; R] = std::array::from_fn(|r| &x[r * stride..][..lines.len()]);
    for (i, line) in lines.iter().enumerate() {
        for (row, sums) in rows.iter().zip(sums.iter_mut()) {
            for (sum, w) in sums.iter_mut().zip(line) {
                *sum = w.mul_add(row[i], *sum);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_storeu_ps,
    };

    use super::WIDE;

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    pub(super) fn add_outer<const R: usize>(
        lines: &[[f32; WIDE]],
        x: &[f32],
        stride: usize,
        sums: &mut [[f32; WIDE]; R],
    ) {
        let rows: [&[f32]; R] = std::array::from_fn(|r| &x[r * stride..][..lines.len()]);
        let mut held: [[__m256; 2]; R] = std::array::from_fn(|r| load(&sums[r]));
        for (i, line) in lines.iter().enumerate() {
            let w = load(line);
            for r in 0..R {
                #[allow(
                    unsafe_code,
                    reason = "a check for each number would take as long as the sums"
                )]
                // Safety: every row was cut to the number of lines.
                let x = _mm256_set1_ps(unsafe { *rows[r].get_unchecked(i) });
                held[r] =
                    [_mm256_fmadd_ps(w[0], x, held[r][0]), _mm256_fmadd_ps(w[1], x, held[r][1])];
            }
        }
        for (sums, held) in sums.iter_mut().zip(held) {
            store(held, sums);
        }
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    #[allow(unsafe_code, reason = "loads take pointers")]
    fn load(line: &[f32; WIDE]) -> [__m256; 2] {
        // Safety: sixteen numbers, eight from the first and eight from the ninth; no alignment is asked for.
        unsafe { [_mm256_loadu_ps(line.as_ptr()), _mm256_loadu_ps(line.as_ptr().add(8))] }
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    #[allow(unsafe_code, reason = "stores take pointers")]
    fn store(held: [__m256; 2], line: &mut [f32; WIDE]) {
        // Safety: as in `load`.
        unsafe {
            _mm256_storeu_ps(line.as_mut_ptr(), held[0]);
            _mm256_storeu_ps(line.as_mut_ptr().add(8), held[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against sums in `f64`.
    #[test]
    fn outer_products_add_up() {
        let lines: Vec<[f32; WIDE]> =
            (0..37).map(|i| std::array::from_fn(|j| ((i * 7 + j * 3) % 11) as f32 - 5.0)).collect();
        let x: Vec<f32> = (0..3 * 40).map(|i| ((i * 5) % 13) as f32 * 0.25 - 1.0).collect();
        let mut sums = [[1.0_f32; WIDE]; 3];
        add_outer::<3>(&lines, &x, 40, &mut sums);
        for (r, sums) in sums.iter().enumerate() {
            for (j, sum) in sums.iter().enumerate() {
                let exact: f64 =
                    (0..37).map(|i| f64::from(lines[i][j]) * f64::from(x[r * 40 + i])).sum::<f64>()
                        + 1.0;
                assert!((f64::from(*sum) - exact).abs() < 1e-4, "{sum} is not {exact}");
            }
        }
    }
}
