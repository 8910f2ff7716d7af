//! Strips that lay out their panel on the way.
//!
//! A panel that is copied first is read twice, and the copy waits for memory; the first tile over it adds up while it
//! reads, and a store with each line costs it nothing.

use super::{Left, Next, Panel, Target, WIDE, strip, tall, tiles};

/// Sixteen columns of a matrix whose rows lie one after the other, which become a panel.
#[derive(Debug)]
pub(crate) struct Columns<'a> {
    /// From their first value on.
    pub(crate) data: &'a [f32],
    /// Values from row to row.
    pub(crate) stride: usize,
    /// Room for as many rows as it has lines.
    pub(crate) lines: &'a mut [[f32; WIDE]],
    /// What will be read after them.
    pub(crate) next: Next<'a>,
}

/// Whether sixteen columns from here on lie in one line of the cache in each row, rows being `stride` apart.
pub(crate) fn lie_in_lines(start: *const f32, stride: usize) -> bool {
    stride.is_multiple_of(WIDE) && start.addr().is_multiple_of(size_of::<[f32; WIDE]>())
}

/// [`strip`], with its panel to be laid out: by the first tile while it adds up, where they lie in lines of the cache.
///
/// # Safety
/// As of [`strip`].
///
/// # Panics
/// If a row or column reaches out of its slice.
#[allow(unsafe_code, reason = "results are written before anybody reads them")]
pub(crate) unsafe fn laying_strip(
    rows: usize,
    Columns { data, stride, lines, next }: Columns<'_>,
    left: Left<'_>,
    out: Target<'_>,
    add: bool,
) {
    let k = lines.len();
    assert!(k == 0 || (k - 1) * stride + WIDE <= data.len(), "columns lie in their slice");
    if rows >= tall()
        && let Left::Rows(from, row) = left
        && let Some(tile) = tiles().and_then(|tiles| tiles.laying)
        && lie_in_lines(data.as_ptr(), stride)
        && k > 0
    {
        out.check(rows, WIDE);
        assert!(left.place(rows - 1, k - 1, k) < from.len(), "rows of a strip lie in their slice");
        // Safety: the processor has these instructions, and rows, columns and the result were checked; for the rest
        // the caller vouches.
        unsafe {
            let (source, from_row) = ((data.as_ptr(), stride), (from.as_ptr(), row));
            tile(lines, source, from_row, out.start, out.stride, out.store(add));
            if rows > tall() {
                let left = Left::Rows(&from[tall() * row..], row);
                strip(rows - tall(), Panel { lines, next }, left, out.at(tall(), 0), add);
            }
        }
        return;
    }
    for (i, line) in lines.iter_mut().enumerate() {
        line.copy_from_slice(&data[i * stride..][..WIDE]);
    }
    // Safety: as the caller says.
    unsafe { strip(rows, Panel { lines, next }, left, out, add) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::as_room;
    use crate::tile::strip_into;
    use crate::tile::tests::values;

    /// A strip that lays its panel out is the same to the bit as one over a panel that lies there, and leaves that panel,
    /// whether columns lie in lines of the cache or not.
    #[test]
    fn panels_are_laid_out_on_the_way() {
        let (data, x) = (values(48 * 40), values(40 * 40));
        for (rows, first) in [(5, 16), (16, 16), (16, 3), (23, 16), (40, 32), (40, 5)] {
            let data = &data[first..];
            let laid: Vec<[f32; WIDE]> =
                (0..37).map(|i| data[i * 48..][..WIDE].try_into().unwrap()).collect();
            for left in [Left::Rows(&x, 40), Left::Columns(&x, 40)] {
                let mut lines = vec![[f32::NAN; WIDE]; 37];
                let mut sums = values(rows * WIDE);
                let columns = Columns { data, stride: 48, lines: &mut lines, next: Next::Unknown };
                #[allow(unsafe_code, reason = "as in `strip_into`")]
                // Safety: numbers are written over numbers, and the result is not shared.
                unsafe {
                    laying_strip(rows, columns, left, Target::new(as_room(&mut sums), WIDE), true);
                }
                assert_eq!(lines, laid, "{rows} rows");
                let mut wanted = values(rows * WIDE);
                let panel = Panel { lines: &laid, next: Next::Unknown };
                strip_into(rows, panel, left, &mut wanted, WIDE, true);
                assert_eq!(sums, wanted, "{rows} rows");
            }
        }
    }

    #[test]
    #[should_panic(expected = "columns lie in their slice")]
    fn columns_out_of_the_slice_are_refused() {
        let (data, x) = (values(1040), values(40 * 40));
        let lines = &mut vec![[0.0; WIDE]; 37];
        let mut sums = [0.0; 16 * WIDE];
        let columns = Columns { data: &data, stride: 32, lines, next: Next::Unknown };
        let left = Left::Rows(&x, 40);
        #[allow(unsafe_code, reason = "as in `strip_into`")]
        // Safety: as above.
        unsafe {
            laying_strip(16, columns, left, Target::new(as_room(&mut sums), WIDE), false);
        }
    }
}
