//! Tiles in 512-bit instructions.
#![allow(
    unsafe_code,
    reason = "loads and stores take pointers, and a check of each takes as long as the sums"
)]

use std::arch::asm;
use std::arch::x86_64::{
    __m512, _MM_HINT_T0, _mm_prefetch, _mm512_add_pd, _mm512_add_ps, _mm512_castps512_ps256,
    _mm512_cvtps_pd, _mm512_fmadd_ps, _mm512_loadu_pd, _mm512_loadu_ps, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_shuffle_f32x4, _mm512_storeu_pd, _mm512_storeu_ps, _mm512_stream_ps,
};

use super::{Ask, Store, Tile, Tiles, WIDE};

/// Most rows of a tile: sixteen registers of sums are more than additions in flight on any processor, and a number of
/// each row fills a line of the cache.
const TALL: usize = WIDE;

pub(super) static TILES: Tiles =
    Tiles { by_rows: &BY_ROWS, by_columns: &BY_COLUMNS, laying: Some(laying), halved: 17..=24 };

/// For each height a tile of rows that lie one after the other, `step` apart.
static BY_ROWS: [Tile; TALL] = [
    rows_1, rows_2, rows_3, rows_4, rows_5, rows_6, rows_7, rows_8, rows_9, rows_10, rows_11,
    rows_12, rows_13, rows_14, rows_15, rows_16,
];

/// For each height a tile of rows whose values `i` lie side by side, `step` before the next.
static BY_COLUMNS: [Tile; TALL] = [
    columns_1, columns_2, columns_3, columns_4, columns_5, columns_6, columns_7, columns_8,
    columns_9, columns_10, columns_11, columns_12, columns_13, columns_14, columns_15, columns_16,
];

/// `held[r] += line * x(r)` for the sixteen numbers at `line` and the one at each `x(r)`.
macro_rules! add_line {
    ($held:ident, $line:expr, $r:ident => $x:expr) => {
        let w = _mm512_loadu_ps($line);
        for ($r, held) in $held.iter_mut().enumerate() {
            *held = _mm512_fmadd_ps(w, _mm512_set1_ps(*$x), *held);
        }
    };
}

/// The same as text for line `$n` of a round, the number for row `r` at `place`.
macro_rules! line_text {
    ($n:literal: $($place:expr, $sum:ident;)*) => {
        concat!("vmovups {w}, [{line} + 64 * ", $n, "]\n", sums_text!($($place, $sum;)*))
    };
}

/// The same, and a line of what is read next is asked for.
macro_rules! asked_text {
    ($n:literal: $($sums:tt)*) => {
        concat!(line_text!($n: $($sums)*), ask_text!("prefetcht1"))
    };
}

/// And for a line that is read at its source and written to its place.
macro_rules! laid_text {
    ($n:literal: $($place:expr, $sum:ident;)*) => {
        concat!(
            "vmovups {w}, [{source}]\nadd {source}, {source_step}\n",
            "vmovups [{line} + 64 * ", $n, "], {w}\n",
            sums_text!($($place, $sum;)*)
        )
    };
}

macro_rules! sums_text {
    ($($place:expr, $sum:ident;)*) => {
        concat!(
            $("vfmadd231ps {", stringify!($sum), "}, {w}, dword ptr [", $place, "]{{1to16}}\n",)*
        )
    };
}

/// Rounds of four lines over rows that lie one after the other, whose sums are `held`: the text of a line, and what it
/// takes beside lines and rows.
macro_rules! rounds {
    (
        $text:ident, ($line:ident, $from:ident, $row:ident, $rounds:ident, $held:ident),
        ($(($r:literal $sum:ident $place:literal))*), $($operands:tt)*
    ) => {
        asm!(
            // One row alone does not ask where the next begins.
            "/* {row} */",
            ".p2align 5",
            "2:",
            $text!(0: $($place, $sum;)*),
            $text!(1: $(concat!($place, " + 4"), $sum;)*),
            $text!(2: $(concat!($place, " + 8"), $sum;)*),
            $text!(3: $(concat!($place, " + 12"), $sum;)*),
            "add {line}, 4 * 64",
            "add {p0}, 4 * 4",
            "add {p1}, 4 * 4",
            "add {p2}, 4 * 4",
            "add {p3}, 4 * 4",
            "add {p4}, 4 * 4",
            "add {p5}, 4 * 4",
            "dec {rounds}",
            "jnz 2b",
            line = inout(reg) $line,
            p0 = inout(reg) $from => _,
            p1 = inout(reg) $from.wrapping_add(3 * $row) => _,
            p2 = inout(reg) $from.wrapping_add(6 * $row) => _,
            p3 = inout(reg) $from.wrapping_add(9 * $row) => _,
            p4 = inout(reg) $from.wrapping_add(12 * $row) => _,
            p5 = inout(reg) $from.wrapping_add(15 * $row) => _,
            row = in(reg) 4 * $row,
            rounds = inout(reg) $rounds => _,
            $($sum = inout(zmm_reg) $held[$r],)*
            w = out(zmm_reg) _,
            $($operands)*
        )
    };
}

/// What a tile does before and after its sums. Sums that go from one function to another go through
/// memory: so it is a macro.
macro_rules! tile {
    ($held:ident, $height:expr, $out:ident, $stride:ident, $store:ident, $sum:block) => {
        for r in 0..if matches!($store, Store::Stream(_)) { 0 } else { $height } {
            // The last number: where sixteen lie in two lines, the tile to the left wrote to the first.
            _mm_prefetch::<_MM_HINT_T0>($out.add(r * $stride + WIDE - 1).cast());
        }
        let mut $held: [__m512; $height] = [_mm512_setzero_ps(); $height];
        $sum
        let mut squares = _mm512_setzero_ps();
        for (r, mut held) in $held.into_iter().enumerate() {
            let out = $out.add(r * $stride);
            if $store == Store::Add {
                held = _mm512_add_ps(_mm512_loadu_ps(out), held);
            }
            if matches!($store, Store::Stream(_)) {
                _mm512_stream_ps(out, held);
            } else {
                _mm512_storeu_ps(out, held);
            }
            squares = _mm512_fmadd_ps(held, held, squares);
        }
        if let Store::Square(to) | Store::Stream(to) = $store {
            add_wide(to.cast(), squares);
        }
    };
}

/// Adds sixteen numbers to as many in `f64`.
///
/// # Safety
/// Those lie there.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn add_wide(to: *mut f64, numbers: __m512) {
    let high = _mm512_castps512_ps256(_mm512_shuffle_f32x4::<0b11_10_11_10>(numbers, numbers));
    for (i, half) in [_mm512_castps512_ps256(numbers), high].into_iter().enumerate() {
        // Safety: as the caller says.
        unsafe {
            let to = to.add(8 * i);
            _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), _mm512_cvtps_pd(half)));
        }
    }
}

/// The two tiles of one height; for each row its number, a name for its sums, and where it lies from one of six
/// pointers on, each three rows behind the one before.
macro_rules! pair {
    ($rows:ident $columns:ident: $(($r:literal $sum:ident $place:literal))*) => {
        /// # Safety
        /// As many rows of `lines.len()` values begin `row` apart; the result is as [`Tile`] says.
        #[target_feature(enable = "avx512f")]
        unsafe fn $rows(
            lines: &[[f32; WIDE]],
            (from, row): (*const f32, usize),
            out: *mut f32,
            stride: usize,
            store: Store,
            ask: Ask,
        ) {
            const HEIGHT: usize = [$($r),*].len();
            let mut line = lines.as_ptr().cast::<f32>();
            let rounds = lines.len() / 4;
            // Safety: every round moves on by four lines and as many values of each row. What is asked for is not
            // read.
            unsafe {
                tile!(held, HEIGHT, out, stride, store, {
                    if rounds > 0 {
                        rounds!(
                            asked_text, (line, from, row, rounds, held),
                            ($(($r $sum $place))*),
                            ask = inout(reg) ask.at => _,
                            ask_step = in(reg) ask.step,
                            options(nostack, readonly),
                        );
                    }
                    for i in 4 * rounds..lines.len() {
                        add_line!(held, line, r => from.add(r * row + i));
                        line = line.add(WIDE);
                    }
                });
            }
        }

        /// # Safety
        /// `lines.len()` groups of as many values begin `step` apart; the result is as [`Tile`] says.
        #[target_feature(enable = "avx512f")]
        unsafe fn $columns(
            lines: &[[f32; WIDE]],
            (from, step): (*const f32, usize),
            out: *mut f32,
            stride: usize,
            store: Store,
            ask: Ask,
        ) {
            const HEIGHT: usize = [$($r),*].len();
            let mut line = lines.as_ptr().cast::<f32>();
            let (mut group, rounds) = (from, lines.len() / 4);
            // Safety: every round moves on by four lines and as many groups.
            unsafe {
                tile!(held, HEIGHT, out, stride, store, {
                    if rounds > 0 {
                        asm!(
                            ".p2align 5",
                            "2:",
                            line_text!(0: $(concat!("{group} + 4 * ", $r), $sum;)*),
                            ask_text!("prefetcht1"),
                            "add {group}, {step}",
                            line_text!(1: $(concat!("{group} + 4 * ", $r), $sum;)*),
                            "add {group}, {step}",
                            line_text!(2: $(concat!("{group} + 4 * ", $r), $sum;)*),
                            "add {group}, {step}",
                            line_text!(3: $(concat!("{group} + 4 * ", $r), $sum;)*),
                            "add {group}, {step}",
                            "add {line}, 4 * 64",
                            "dec {rounds}",
                            "jnz 2b",
                            line = inout(reg) line,
                            group = inout(reg) group,
                            step = in(reg) 4 * step,
                            rounds = inout(reg) rounds => _,
                            ask = inout(reg) ask.at => _,
                            ask_step = in(reg) 4 * ask.step,
                            $($sum = inout(zmm_reg) held[$r],)*
                            w = out(zmm_reg) _,
                            options(nostack, readonly),
                        );
                    }
                    for _ in 4 * rounds..lines.len() {
                        add_line!(held, line, r => group.add(r));
                        line = line.add(WIDE);
                        group = group.wrapping_add(step);
                    }
                });
            }
        }
    };
}

/// The tile that lays out its panel, for all rows of the list.
macro_rules! laying {
    ($(($r:literal $sum:ident $place:literal))*) => {
        /// # Safety
        /// As [`super::LayingTile`] says.
        #[target_feature(enable = "avx512f")]
        unsafe fn laying(
            lines: &mut [[f32; WIDE]],
            (mut source, source_step): (*const f32, usize),
            (from, row): (*const f32, usize),
            out: *mut f32,
            stride: usize,
            store: Store,
        ) {
            let mut line = lines.as_mut_ptr().cast::<f32>();
            let rounds = lines.len() / 4;
            // Safety: every round moves on by four lines, as many rows of the source and as many values of each row.
            unsafe {
                tile!(held, TALL, out, stride, store, {
                    if rounds > 0 {
                        rounds!(
                            laid_text, (line, from, row, rounds, held),
                            ($(($r $sum $place))*),
                            source = inout(reg) source,
                            source_step = in(reg) 4 * source_step,
                            options(nostack),
                        );
                    }
                    for i in 4 * rounds..lines.len() {
                        _mm512_storeu_ps(line, _mm512_loadu_ps(source));
                        add_line!(held, line, r => from.add(r * row + i));
                        line = line.add(WIDE);
                        source = source.wrapping_add(source_step);
                    }
                });
            }
        }
    };
}

/// A pair of tiles for every height: as many rows as the list has up to a name.
macro_rules! pairs {
    ([$($before:tt)*]) => { laying!($($before)*); };
    ([$($before:tt)*] $rows:ident $columns:ident $row:tt $($rest:tt)*) => {
        pair!($rows $columns: $($before)* $row);
        pairs!([$($before)* $row] $($rest)*);
    };
}

pairs!([]
    rows_1 columns_1 (0 s0 "{p0}")
    rows_2 columns_2 (1 s1 "{p0} + {row}")
    rows_3 columns_3 (2 s2 "{p0} + 2 * {row}")
    rows_4 columns_4 (3 s3 "{p1}")
    rows_5 columns_5 (4 s4 "{p1} + {row}")
    rows_6 columns_6 (5 s5 "{p1} + 2 * {row}")
    rows_7 columns_7 (6 s6 "{p2}")
    rows_8 columns_8 (7 s7 "{p2} + {row}")
    rows_9 columns_9 (8 s8 "{p2} + 2 * {row}")
    rows_10 columns_10 (9 s9 "{p3}")
    rows_11 columns_11 (10 s10 "{p3} + {row}")
    rows_12 columns_12 (11 s11 "{p3} + 2 * {row}")
    rows_13 columns_13 (12 s12 "{p4}")
    rows_14 columns_14 (13 s13 "{p4} + {row}")
    rows_15 columns_15 (14 s14 "{p4} + 2 * {row}")
    rows_16 columns_16 (15 s15 "{p5}")
);
