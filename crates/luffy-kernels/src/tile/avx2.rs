//! Tiles in 256-bit instructions.
#![allow(
    unsafe_code,
    reason = "loads and stores take pointers, and a check of each takes as long as the sums"
)]

use std::arch::asm;
use std::arch::x86_64::{
    __m256, _MM_HINT_T0, _mm_prefetch, _mm256_add_ps, _mm256_broadcast_ss, _mm256_fmadd_ps,
    _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_setzero_ps, _mm256_shuffle_ps,
    _mm256_storeu_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
};

use super::{Ask, LOW as TALL, Store, Tile, Tiles, WIDE};

pub(super) static TILES: Tiles =
    Tiles { by_rows: &BY_ROWS, by_columns: &BY_COLUMNS, laying: None, halved: 7..=10 };

/// For each height a tile of rows that lie one after the other, `step` apart.
static BY_ROWS: [Tile; TALL] = [rows_1, rows_2, rows_3, rows_4, rows_5, rows_6];

/// For each height a tile of rows whose values `i` lie side by side, `step` before the next.
static BY_COLUMNS: [Tile; TALL] =
    [columns_1, columns_2, columns_3, columns_4, columns_5, columns_6];

/// `held[r] += line * x(r)` for the sixteen numbers at `line` and the one at each `x(r)`.
macro_rules! add_line {
    ($held:ident, $line:expr, $r:ident => $x:expr) => {
        let w = [_mm256_loadu_ps($line), _mm256_loadu_ps($line.add(8))];
        for ($r, held) in $held.iter_mut().enumerate() {
            let x = _mm256_broadcast_ss(&*$x);
            held[0] = _mm256_fmadd_ps(w[0], x, held[0]);
            held[1] = _mm256_fmadd_ps(w[1], x, held[1]);
        }
    };
}

/// The same as text for line `$n` of a round, the number for row `r` at `place`.
macro_rules! line_text {
    ($n:literal: $($place:expr, $a:ident $b:ident;)*) => {
        concat!(
            "vmovups {w0}, [{line} + 64 * ", $n, "]\n",
            "vmovups {w1}, [{line} + 64 * ", $n, " + 32]\n",
            $(
                "vbroadcastss {x}, dword ptr [", $place, "]\n",
                "vfmadd231ps {", stringify!($a), "}, {w0}, {x}\n",
                "vfmadd231ps {", stringify!($b), "}, {w1}, {x}\n",
            )*
        )
    };
}

/// What a tile does before and after its sums. Sums that go from one function to another go through
/// memory: so it is a macro.
macro_rules! tile {
    ($held:ident, $height:literal, $out:ident, $stride:ident, $store:ident, $sum:block) => {
        for r in 0..$height {
            _mm_prefetch::<_MM_HINT_T0>($out.add(r * $stride).cast());
        }
        let mut $held = [[_mm256_setzero_ps(); 2]; $height];
        $sum
        for (r, mut held) in $held.into_iter().enumerate() {
            let out = $out.add(r * $stride);
            if $store == Store::Add {
                held[0] = _mm256_add_ps(_mm256_loadu_ps(out), held[0]);
                held[1] = _mm256_add_ps(_mm256_loadu_ps(out.add(8)), held[1]);
            }
            _mm256_storeu_ps(out, held[0]);
            _mm256_storeu_ps(out.add(8), held[1]);
        }
    };
}

/// The two tiles of one height; for each row its number, a name for where it lies and two for its sums.
///
/// Most lines are added up by instructions written out here: those that the compiler makes of the same
/// intrinsics, in another order and with other addresses, take 13 % longer (79 to 91 GFLOP/s on a Zen 3 core,
/// six rows whose values lie side by side). Four lines a round and more: where another thread shares the core,
/// instructions that count rounds take the place of additions.
macro_rules! tiles {
    ($rows:ident $columns:ident $height:literal: $($r:literal $x:ident $a:ident $b:ident)*) => {
        /// # Safety
        /// As many rows of `lines.len()` values begin `row` apart; the result is as [`Tile`] says.
        #[target_feature(enable = "avx2,fma")]
        unsafe fn $rows(
            lines: &[[f32; WIDE]],
            (from, row): (*const f32, usize),
            out: *mut f32,
            stride: usize,
            store: Store,
            ask: Ask,
        ) {
            let mut line = lines.as_ptr().cast::<f32>();
            let rounds = lines.len() / 4;
            // Safety: every round moves on by four lines and as many values of each row.
            unsafe {
                tile!(held, $height, out, stride, store, {
                    let rows: [*const f32; $height] = std::array::from_fn(|r| from.add(r * row));
                    if rounds > 0 {
                        asm!(
                            ".p2align 5",
                            "2:",
                            line_text!(0: $(concat!("{", stringify!($x), "} + {at}"), $a $b;)*),
                            ask_text!("prefetcht0"),
                            line_text!(1: $(concat!("{", stringify!($x), "} + {at} + 4"), $a $b;)*),
                            ask_text!("prefetcht0"),
                            line_text!(2: $(concat!("{", stringify!($x), "} + {at} + 8"), $a $b;)*),
                            ask_text!("prefetcht0"),
                            line_text!(3: $(concat!("{", stringify!($x), "} + {at} + 12"), $a $b;)*),
                            ask_text!("prefetcht0"),
                            "add {line}, 4 * 64",
                            "add {at}, 4 * 4",
                            "dec {rounds}",
                            "jnz 2b",
                            line = inout(reg) line,
                            at = inout(reg) 0_usize => _,
                            rounds = inout(reg) rounds => _,
                            ask = inout(reg) ask.at => _,
                            ask_step = in(reg) ask.step,
                            $(
                                $x = in(reg) rows[$r],
                                $a = inout(ymm_reg) held[$r][0],
                                $b = inout(ymm_reg) held[$r][1],
                            )*
                            w0 = out(ymm_reg) _,
                            w1 = out(ymm_reg) _,
                            x = out(ymm_reg) _,
                            options(nostack, readonly),
                        );
                    }
                    for i in 4 * rounds..lines.len() {
                        add_line!(held, line, r => rows[r].add(i));
                        line = line.add(WIDE);
                    }
                });
            }
        }

        /// # Safety
        /// `lines.len()` groups of as many values begin `step` apart; the result is as [`Tile`] says.
        #[target_feature(enable = "avx2,fma")]
        unsafe fn $columns(
            lines: &[[f32; WIDE]],
            (from, step): (*const f32, usize),
            out: *mut f32,
            stride: usize,
            store: Store,
            ask: Ask,
        ) {
            let mut line = lines.as_ptr().cast::<f32>();
            let (mut group, rounds) = (from, lines.len() / 8);
            // Safety: every round moves on by eight lines and as many groups.
            unsafe {
                tile!(held, $height, out, stride, store, {
                    if rounds > 0 {
                        asm!(
                            ".p2align 5",
                            "2:",
                            line_text!(0: $(concat!("{group} + 4 * ", $r), $a $b;)*),
                            ask_text!("prefetcht1"),
                            "add {group}, {step}",
                            line_text!(1: $(concat!("{group} + 4 * ", $r), $a $b;)*),
                            "add {group}, {step}",
                            line_text!(2: $(concat!("{group} + 4 * ", $r), $a $b;)*),
                            "add {group}, {step}",
                            line_text!(3: $(concat!("{group} + 4 * ", $r), $a $b;)*),
                            "add {group}, {step}",
                            line_text!(4: $(concat!("{group} + 4 * ", $r), $a $b;)*),
                            ask_text!("prefetcht1"),
                            "add {group}, {step}",
                            line_text!(5: $(concat!("{group} + 4 * ", $r), $a $b;)*),
                            "add {group}, {step}",
                            line_text!(6: $(concat!("{group} + 4 * ", $r), $a $b;)*),
                            "add {group}, {step}",
                            line_text!(7: $(concat!("{group} + 4 * ", $r), $a $b;)*),
                            "add {group}, {step}",
                            "add {line}, 8 * 64",
                            "dec {rounds}",
                            "jnz 2b",
                            line = inout(reg) line,
                            group = inout(reg) group,
                            step = in(reg) 4 * step,
                            rounds = inout(reg) rounds => _,
                            ask = inout(reg) ask.at => _,
                            ask_step = in(reg) 4 * ask.step,
                            $(
                                $a = inout(ymm_reg) held[$r][0],
                                $b = inout(ymm_reg) held[$r][1],
                            )*
                            w0 = out(ymm_reg) _,
                            w1 = out(ymm_reg) _,
                            x = out(ymm_reg) _,
                            options(nostack, readonly),
                        );
                    }
                    for _ in 8 * rounds..lines.len() {
                        add_line!(held, line, r => group.add(r));
                        line = line.add(WIDE);
                        group = group.wrapping_add(step);
                    }
                });
            }
        }
    };
}

tiles!(rows_1 columns_1 1: 0 x0 a0 b0);
tiles!(rows_2 columns_2 2: 0 x0 a0 b0 1 x1 a1 b1);
tiles!(rows_3 columns_3 3: 0 x0 a0 b0 1 x1 a1 b1 2 x2 a2 b2);
tiles!(rows_4 columns_4 4: 0 x0 a0 b0 1 x1 a1 b1 2 x2 a2 b2 3 x3 a3 b3);
tiles!(rows_5 columns_5 5: 0 x0 a0 b0 1 x1 a1 b1 2 x2 a2 b2 3 x3 a3 b3 4 x4 a4 b4);
tiles!(rows_6 columns_6 6: 0 x0 a0 b0 1 x1 a1 b1 2 x2 a2 b2 3 x3 a3 b3 4 x4 a4 b4 5 x5 a5 b5);

/// # Safety
/// Eight rows of eight lie in `from`, `stride` apart, and `at` is at most eight.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub(super) unsafe fn turn(from: &[f32], stride: usize, to: &mut [[f32; WIDE]; 8], at: usize) {
    // Safety: the caller vouches for the rows.
    let row: [__m256; 8] =
        std::array::from_fn(|r| unsafe { _mm256_loadu_ps(from.as_ptr().add(r * stride)) });
    // Pairs of rows, then fours, then halves.
    let two =
        |r: usize| [_mm256_unpacklo_ps(row[r], row[r + 1]), _mm256_unpackhi_ps(row[r], row[r + 1])];
    let four = |a: [__m256; 2], b: [__m256; 2]| {
        [
            _mm256_shuffle_ps::<0x44>(a[0], b[0]),
            _mm256_shuffle_ps::<0xee>(a[0], b[0]),
            _mm256_shuffle_ps::<0x44>(a[1], b[1]),
            _mm256_shuffle_ps::<0xee>(a[1], b[1]),
        ]
    };
    let (low, high) = (four(two(0), two(2)), four(two(4), two(6)));
    for c in 0..4 {
        let (first, second) = (
            _mm256_permute2f128_ps::<0x20>(low[c], high[c]),
            _mm256_permute2f128_ps::<0x31>(low[c], high[c]),
        );
        // Safety: `at` leaves room for eight.
        unsafe {
            _mm256_storeu_ps(to[c].as_mut_ptr().add(at), first);
            _mm256_storeu_ps(to[c + 4].as_mut_ptr().add(at), second);
        }
    }
}
