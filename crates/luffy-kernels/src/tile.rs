//! Strips of products: rows times a panel of sixteen columns, in tiles of a few rows that stay in registers.
//!
//! The compiler turns plain loops into vector code, but where a dozen sums must stay in registers over a whole
//! loop it puts them into memory: `avx2.rs` and `avx512.rs` name the instructions themselves.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::RangeInclusive;

use crate::host::as_room;

/// A request as text, for a line or some.
#[cfg(target_arch = "x86_64")]
macro_rules! ask_text {
    ($hint:literal) => {
        concat!($hint, " [{ask}]\nadd {ask}, {ask_step}")
    };
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod laying;

pub(crate) use laying::{Columns, laying_strip, lie_in_lines};

/// Numbers that lie side by side in the layouts of this crate.
pub(crate) const WIDE: usize = 16;

/// Rows of the tallest tile of this processor, which rows are laid out for.
pub(crate) fn tall() -> usize {
    tiles().map_or(LOW, Tiles::tall)
}

/// Rows of the tallest tile without 512-bit instructions: twelve registers of sums leave three for what is multiplied.
pub(crate) const LOW: usize = 6;

/// Sixteen columns of the right matrix, line by line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panel<'a> {
    pub(crate) lines: &'a [[f32; WIDE]],
    /// What will be read after it.
    pub(crate) next: Next<'a>,
}

/// What will be read soon. The tiles of a strip ask for it, a little with each line: all at once would keep what they
/// read themselves waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Next<'a> {
    Unknown,
    Lines(&'a [[f32; WIDE]]),
    /// Sixteen columns of a matrix, from their first value on, with as many rows as the panel has lines.
    Part {
        data: &'a [f32],
        strides: [usize; 2],
    },
}

/// How sums come to the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Store {
    Put,
    Add,
    /// Squares of the sums of each column are added up here. Tiles of 512 bits alone do this and the next.
    Square(*mut [f64; WIDE]),
    /// The same, and the sums go past the cache.
    Stream(*mut [f64; WIDE]),
}

/// What a tile asks for: with line `i` the number `i * step` bytes behind `at`.
#[derive(Debug, Clone, Copy)]
struct Ask {
    at: *const u8,
    step: usize,
}

impl Panel<'_> {
    /// For what the tile of so many asks, with one line of `every`.
    fn ask(&self, tile: usize, n_tiles: usize, every: usize) -> Ask {
        let k = self.lines.len();
        let ask = |data: &[f32], skipped: usize, step: usize| Ask {
            at: data.as_ptr().wrapping_add(skipped).cast(),
            step: step * size_of::<f32>(),
        };
        match self.next {
            Next::Lines(lines) => {
                let step = size_of_val(lines).div_ceil((k * n_tiles).max(1));
                Ask { at: lines.as_ptr().cast::<u8>().wrapping_add(tile * k * step), step }
            }
            // A row with each line, or one tile the first of four rows, the next the second. The last number of it:
            // where sixteen lie in two lines, the first is the second of the columns before.
            Next::Part { data, strides: [row, 1] } if tile < every => {
                ask(data, tile * row + WIDE - 1, row)
            }
            // A column each.
            Next::Part { data, strides: [1, column] } if tile < WIDE => ask(data, tile * column, 1),
            // What is there.
            Next::Part { .. } | Next::Unknown => ask(self.lines.as_flattened(), 0, 0),
        }
    }
}

/// A tile of some rows: lines of a panel; the first value of the left matrix, and values from one row to the next or,
/// where values `i` lie side by side, from one `i` to the next; the result, and values from row to row there; how to
/// write it; what to ask for.
///
/// # Safety
/// The processor has its instructions. For as many rows as the tile is high: they lie in the left matrix, there is room
/// for sixteen numbers of each in the result, and with `add` there are numbers.
type Tile = unsafe fn(&[[f32; WIDE]], (*const f32, usize), *mut f32, usize, Store, Ask);

/// The tallest tile of rows that lie one after the other, which lays out the lines of its panel: it reads each where it
/// lies, so many values behind the one before, and writes it to its place.
///
/// # Safety
/// As of [`Tile`]; every line lies in its source.
type LayingTile =
    unsafe fn(&mut [[f32; WIDE]], (*const f32, usize), (*const f32, usize), *mut f32, usize, Store);

/// The tiles of one kind of instructions, one for each height.
struct Tiles {
    by_rows: &'static [Tile],
    by_columns: &'static [Tile],
    laying: Option<LayingTile>,
    /// So many rows are two tiles of about one height: a low one would wait for its own sums.
    halved: RangeInclusive<usize>,
}

/// Those of this processor.
fn tiles() -> Option<&'static Tiles> {
    #[cfg(target_arch = "x86_64")]
    if crate::simd::has_avx512() {
        return Some(&avx512::TILES);
    } else if crate::simd::has_avx2() {
        return Some(&avx2::TILES);
    }
    None
}

impl Tiles {
    fn tall(&self) -> usize {
        self.by_rows.len()
    }

    /// [`strip`] in tiles.
    ///
    /// # Safety
    /// As of every [`Tile`], for all rows. Rows that are laid out are so for tiles as high as these.
    #[allow(unsafe_code, reason = "tiles take pointers")]
    unsafe fn strip(
        &self,
        rows: usize,
        panel: Panel<'_>,
        left: Left<'_>,
        out: Target<'_>,
        add: bool,
    ) {
        let (lines, from) = (panel.lines, left.data().as_ptr());
        // Row to row of the left matrix, from one value of a row to the next, which of the two a tile wants, and
        // with which lines it asks.
        let (row, step, tiles, every) = match left {
            Left::Rows(_, row) => (row, row, self.by_rows, 1),
            Left::Columns(_, step) => (1, step, self.by_columns, 4),
            Left::Packed(_) => (lines.len(), self.tall(), self.by_columns, 4),
        };
        let n_tiles = rows.div_ceil(self.tall());
        let (mut top, mut tile) = (0, 0);
        while top < rows {
            let rest = rows - top;
            let is_halved = !matches!(left, Left::Packed(_)) && self.halved.contains(&rest);
            let height = if is_halved { rest.div_ceil(2) } else { rest.min(self.tall()) };
            let ask = panel.ask(tile, n_tiles, every);
            let from = (from.wrapping_add(top * row), step);
            let to = out.start.wrapping_add(top * out.stride);
            // Safety: the tile is a part of what the caller vouches for.
            unsafe { tiles[height - 1](lines, from, to, out.stride, out.store(add), ask) };
            top += height;
            tile += 1;
        }
    }
}

/// Rows of the left matrix.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Left<'a> {
    /// Value `i` of row `r` lies at `r * stride + i`.
    Rows(&'a [f32], usize),
    /// Value `i` of row `r` lies at `i * stride + r`.
    Columns(&'a [f32], usize),
    /// As many rows as the tallest tile has after as many rows, in each their values `i` side by side.
    Packed(&'a [f32]),
}

impl Left<'_> {
    /// Where value `i` of row `r` lies, `k` values being in a row.
    fn place(&self, r: usize, i: usize, k: usize) -> usize {
        match *self {
            Self::Rows(_, stride) => r * stride + i,
            Self::Columns(_, stride) => i * stride + r,
            Self::Packed(_) => (r / tall() * k + i) * tall() + r % tall(),
        }
    }

    const fn data(&self) -> &[f32] {
        match self {
            Self::Rows(data, _) | Self::Columns(data, _) | Self::Packed(data) => data,
        }
    }
}

/// Room for a result whose rows begin `stride` values apart. Copies are of the same room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    start: *mut f32,
    len: usize,
    stride: usize,
    /// Room for sums of squares, one for each column, and for how many sixteens of columns.
    squares: *mut [f64; WIDE],
    n_squares: usize,
    /// Whether nobody reads it soon and its rows begin at lines of the cache: sums go past the cache.
    streams: bool,
    lent: PhantomData<&'a mut [MaybeUninit<f32>]>,
}

#[allow(unsafe_code, reason = "threads make parts of one result")]
// Safety: whoever writes vouches that nobody else touches the same values meanwhile.
unsafe impl Send for Target<'_> {}
#[allow(unsafe_code, reason = "threads make parts of one result")]
// Safety: as above.
unsafe impl Sync for Target<'_> {}

impl<'a> Target<'a> {
    pub(crate) const fn new(room: &'a mut [MaybeUninit<f32>], stride: usize) -> Self {
        let (start, len) = (room.as_mut_ptr().cast(), room.len());
        let squares = std::ptr::null_mut();
        Self { start, len, stride, squares, n_squares: 0, streams: false, lent: PhantomData }
    }

    /// The same, to be read later: tiles add the squares of what they write to those of its column, and where rows begin
    /// at lines they write past the cache, which spares reading what is written over and writing back what it takes the
    /// place of. Who writes calls [`Self::finish`] before others read.
    pub(crate) fn for_later(self, squares: &'a mut [[f64; WIDE]]) -> Self {
        let streams = lie_in_lines(self.start, self.stride);
        Self { squares: squares.as_mut_ptr(), n_squares: squares.len(), streams, ..self }
    }

    /// Lets other threads see what this one has written.
    pub(crate) fn finish(self) {
        #[cfg(target_arch = "x86_64")]
        if self.streams {
            #[allow(unsafe_code, reason = "an instruction that every such processor has")]
            // Safety: as the reason says.
            unsafe {
                std::arch::x86_64::_mm_sfence();
            }
        }
    }

    const fn store(self, add: bool) -> Store {
        match (add, self.n_squares, self.streams) {
            (true, _, _) => Store::Add,
            (false, 0, _) => Store::Put,
            (false, _, false) => Store::Square(self.squares),
            (false, _, true) => Store::Stream(self.squares),
        }
    }

    /// What lies behind this row and column.
    ///
    /// # Panics
    /// If that is nothing.
    pub(crate) fn at(self, row: usize, column: usize) -> Self {
        let skipped = row * self.stride + column;
        assert!(skipped < self.len, "a part of a result lies in it");
        let is_aligned = column.is_multiple_of(WIDE);
        Self {
            start: self.start.wrapping_add(skipped),
            len: self.len - skipped,
            squares: self.squares.wrapping_add(column / WIDE),
            n_squares: if is_aligned { self.n_squares.saturating_sub(column / WIDE) } else { 0 },
            ..self
        }
    }

    fn check(self, rows: usize, width: usize) {
        assert!((rows - 1) * self.stride + width <= self.len, "a strip lies in its result");
    }
}

/// `out[r] = sum_i lines[i] * left[r][i]`, or `+=` where `add`, for all sixteen columns of a panel and `rows`
/// rows. Each sum is one chain of fused additions in the order of `i`, however many rows there are.
///
/// # Safety
/// Nobody else touches these values of the result meanwhile; with `add`, they are there.
///
/// # Panics
/// If a row reaches out of its slice.
#[inline]
#[allow(unsafe_code, reason = "results are written before anybody reads them")]
pub(crate) unsafe fn strip(
    rows: usize,
    panel: Panel<'_>,
    left: Left<'_>,
    out: Target<'_>,
    add: bool,
) {
    let lines = panel.lines;
    let k = lines.len();
    if rows == 0 {
        return;
    }
    out.check(rows, WIDE);
    assert!(
        k == 0 || left.place(rows - 1, k - 1, k) < left.data().len(),
        "rows of a strip lie in their slice"
    );
    if let Some(tiles) = tiles() {
        // Safety: the processor has these instructions, the rows and the result were checked, and the caller
        // vouches for who touches the result and for what is added to.
        return unsafe { tiles.strip(rows, panel, left, out, add) };
    }
    for r in 0..rows {
        let mut sums = [0.0_f32; WIDE];
        for (i, line) in lines.iter().enumerate() {
            let x = left.data()[left.place(r, i, k)];
            for (sum, w) in sums.iter_mut().zip(line) {
                *sum = w.mul_add(x, *sum);
            }
        }
        // Safety: the result was checked; for the rest the caller vouches.
        unsafe { put(&sums, out, r, add) };
    }
}

/// `out[row] = values`, or `+=` where `add`.
///
/// # Safety
/// The row lies in the result; nobody else touches it meanwhile; with `add`, its values are there.
#[allow(unsafe_code, reason = "results are written before anybody reads them")]
unsafe fn put(values: &[f32], out: Target<'_>, row: usize, add: bool) {
    for (j, value) in values.iter().enumerate() {
        // Safety: as the caller says.
        unsafe {
            let to = out.start.add(row * out.stride + j);
            to.write(value + if add { to.read() } else { 0.0 });
        }
    }
}

/// [`strip`] over numbers.
///
/// # Panics
/// If a row reaches out of its slice.
#[inline]
pub(crate) fn strip_into(
    rows: usize,
    panel: Panel<'_>,
    left: Left<'_>,
    out: &mut [f32],
    stride: usize,
    add: bool,
) {
    #[allow(unsafe_code, reason = "numbers are written over numbers")]
    // Safety: nothing but numbers is written, what is added to is there, and the result is not shared.
    unsafe {
        strip(rows, panel, left, Target::new(as_room(out), stride), add);
    }
}

/// [`strip`] for the first columns of a panel alone.
///
/// # Safety
/// Nobody else touches these values of the result meanwhile; with `add`, they are there.
///
/// # Panics
/// If a row reaches out of its slice.
#[allow(unsafe_code, reason = "results are written before anybody reads them")]
pub(crate) unsafe fn narrow_strip(
    rows: usize,
    panel: Panel<'_>,
    left: Left<'_>,
    out: Target<'_>,
    width: usize,
    add: bool,
) {
    if width == WIDE || rows == 0 {
        // Safety: as the caller says.
        return unsafe { strip(rows, panel, left, out, add) };
    }
    out.check(rows, width);
    let mut room = vec![0.0; rows * WIDE];
    strip_into(rows, panel, left, &mut room, WIDE, false);
    for (r, sums) in room.as_chunks::<WIDE>().0.iter().enumerate() {
        // Safety: the result was checked; for the rest the caller vouches.
        unsafe { put(&sums[..width], out, r, add) };
    }
}

/// Asks for values that are read soon, sixteen apart.
#[inline]
pub(crate) fn ask_for(values: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for value in values.iter().step_by(WIDE) {
        #[allow(unsafe_code, reason = "a hint that reads nothing")]
        // Safety: the address is that of a value.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
        }
    }
}

/// Turns the 8 x 8 values whose rows begin at `from[r * stride]`: column `c` goes to `to[c][at..at + 8]`.
///
/// # Panics
/// If a row reaches out of its slice.
#[inline]
pub(crate) fn turn(from: &[f32], stride: usize, to: &mut [[f32; WIDE]; 8], at: usize) {
    assert!(
        7 * stride + 8 <= from.len() && at + 8 <= WIDE,
        "eight rows of eight lie in their slice"
    );
    #[cfg(target_arch = "x86_64")]
    if crate::simd::has_avx2() {
        #[allow(unsafe_code, reason = "the compiler cannot see the processor")]
        // Safety: the processor has these instructions, and the rows were checked.
        return unsafe { avx2::turn(from, stride, to, at) };
    }
    for (c, to) in to.iter_mut().enumerate() {
        for r in 0..8 {
            to[at + r] = from[r * stride + c];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(n: usize) -> Vec<[f32; WIDE]> {
        (0..n).map(|i| std::array::from_fn(|j| ((i * 7 + j * 3) % 11) as f32 - 5.0)).collect()
    }

    pub(super) fn values(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 5) % 13) as f32 * 0.25 - 1.0).collect()
    }

    fn product(rows: usize, lines: &[[f32; WIDE]], left: Left<'_>) -> Vec<f32> {
        let mut sums = vec![f32::NAN; rows * WIDE];
        strip_into(rows, Panel { lines, next: Next::Unknown }, left, &mut sums, WIDE, false);
        sums
    }

    /// Against sums in `f64`, in tiles of all heights; 37 lines are nine rounds of four and
    /// one more, and four of eight and five more.
    #[test]
    fn strips_add_up() {
        for rows in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 20] {
            let (lines, x) = (lines(37), values(rows * 40));
            let columns: Vec<f32> = (0..37 * rows).map(|i| x[i % rows * 40 + i / rows]).collect();
            let mut packed = vec![0.0; rows.next_multiple_of(tall()) * 37];
            for (i, value) in columns.iter().enumerate() {
                let (r, i) = (i % rows, i / rows);
                packed[Left::Packed(&[]).place(r, i, 37)] = *value;
            }
            for left in [Left::Rows(&x, 40), Left::Columns(&columns, rows), Left::Packed(&packed)] {
                for (at, sum) in product(rows, &lines, left).iter().enumerate() {
                    let (r, j) = (at / WIDE, at % WIDE);
                    let exact: f64 =
                        (0..37).map(|i| f64::from(lines[i][j]) * f64::from(x[r * 40 + i])).sum();
                    assert!((f64::from(*sum) - exact).abs() < 1e-4, "{sum} is not {exact}");
                }
            }
        }
    }

    /// What goes past the cache is the same, with the squares of each column beside it, whatever rows begin at; what is
    /// added to does not.
    #[test]
    fn streams_write_the_same_and_add_up_squares() {
        let (lines, x) = (lines(37), values(40 * 40));
        let panel = Panel { lines: &lines, next: Next::Unknown };
        for ((rows, add), first) in [(1, false), (16, false), (23, false), (40, false), (40, true)]
            .into_iter()
            .flat_map(|case| [0, 3].map(|first| (case, first)))
        {
            let [mut plain, mut streamed] = [0; 2].map(|_| values(first + 40 * 48));
            let mut squares = [[0.0; WIDE]; 3];
            #[allow(unsafe_code, reason = "as in `strip_into`")]
            // Safety: numbers are written over numbers, and the results are not shared.
            unsafe {
                let [plain, streamed] = [&mut plain, &mut streamed]
                    .map(|out| Target::new(&mut as_room(out)[first..], 48));
                let streamed = streamed.for_later(&mut squares);
                assert_eq!(streamed.streams, first == 0, "where rows begin at lines");
                let (plain, streamed) = (plain.at(0, 16), streamed.at(0, 16));
                strip(rows, panel, Left::Columns(&x, 40), plain, add);
                strip(rows, panel, Left::Columns(&x, 40), streamed, add);
                streamed.finish();
            }
            assert_eq!(plain, streamed, "{rows} rows, {add}");
            let exact: [f64; WIDE] = std::array::from_fn(|j| {
                let column = (0..rows).map(|r| f64::from(plain[first + r * 48 + 16 + j]));
                if add || tall() < WIDE { 0.0 } else { column.map(|x| x * x).sum() }
            });
            for (found, exact) in squares[1].iter().zip(exact) {
                assert!((found - exact).abs() <= 1e-6 * exact, "{rows} rows: {found} for {exact}");
            }
            assert_eq!([squares[0], squares[2]].as_flattened(), [0.0; 32], "of other columns");
        }
    }

    /// Both kinds of vector instructions add up in one order; places between the columns stay as they are.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn strips_of_both_widths_are_the_same_to_the_bit() {
        if !crate::simd::has_avx512() {
            return;
        }
        let (lines, x) = (lines(37), values(40 * 40));
        let panel = Panel { lines: &lines, next: Next::Unknown };
        for (rows, add) in (1..40).flat_map(|rows| [(rows, false), (rows, true)]) {
            for left in [Left::Rows(&x, 40), Left::Columns(&x, 40)] {
                let [mut narrow, mut wide] = [0; 2].map(|_| values(rows * 19));
                #[allow(unsafe_code, reason = "as in `strip`")]
                // Safety: the processor has these instructions, and there is room.
                unsafe {
                    let [narrow, wide] =
                        [&mut narrow, &mut wide].map(|out| Target::new(as_room(out), 19));
                    avx2::TILES.strip(rows, panel, left, narrow, add);
                    avx512::TILES.strip(rows, panel, left, wide, add);
                }
                assert_eq!(narrow, wide, "{rows} rows");
            }
        }
    }

    /// Tiles of a strip ask once or more for every line of the cache that is read next, and for nothing else but the
    /// bytes behind it that rounding up gives.
    #[test]
    fn tiles_ask_for_all_that_comes_next() {
        let (now, data) = (lines(36), values(36 * 50));
        let later = data.as_chunks().0;
        let part = |strides| Next::Part { data: &data, strides };
        for (every, n_tiles, next, runs) in [
            (1, 3, Next::Lines(&later[..36]), [36 * 16, 0, 1]),
            (1, 5, Next::Lines(&later[..100]), [100 * 16, 0, 1]),
            (1, 2, part([50, 1]), [16, 50, 36]),
            (4, 4, part([50, 1]), [16, 50, 36]),
            (4, 16, part([1, 50]), [36, 50, 16]),
        ] {
            let mut asked = std::collections::BTreeSet::new();
            for tile in 0..n_tiles {
                let Ask { at, step } = Panel { lines: &now, next }.ask(tile, n_tiles, every);
                asked.extend((0..36).step_by(every).map(|i| at as usize + i * step));
            }
            let [width, stride, n] = runs;
            let own = now.as_ptr() as usize;
            let starts = (0..n).map(|run| data.as_ptr() as usize + 4 * run * stride);
            let rounding = 36 * n_tiles;
            let wanted: Vec<_> = starts.map(|start| start..start + 4 * width).collect();
            for run in &wanted {
                for start in run.clone().step_by(64) {
                    assert!(asked.range(start..start + 64).next().is_some(), "{every} {runs:?}");
                }
            }
            let is_wanted = |at: &usize| {
                *at == own || wanted.iter().any(|run| (run.start..run.end + rounding).contains(at))
            };
            assert!(asked.iter().all(is_wanted), "{every} {runs:?}");
        }
    }

    #[test]
    #[should_panic(expected = "rows of a strip lie in their slice")]
    fn rows_out_of_the_slice_are_refused() {
        product(2, &lines(5), Left::Rows(&values(8), 4));
    }

    #[test]
    fn turning_swaps_rows_and_columns() {
        let from = values(8 * 9);
        let mut to = [[0.0; WIDE]; 8];
        turn(&from, 9, &mut to, 8);
        for (c, to) in to.iter().enumerate() {
            for (r, value) in to[8..].iter().enumerate() {
                assert_eq!(value.to_bits(), from[r * 9 + c].to_bits(), "row {r}, column {c}");
            }
        }
    }
}
