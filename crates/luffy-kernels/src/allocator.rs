//! The C library's allocator, told to keep what it has, and large blocks that begin where lines of the cache do.

use std::alloc::{GlobalAlloc, Layout, System};

/// Keeps large freed blocks for the next request instead of handing each back to the system, where the next
/// tensor of that size would have to be mapped and cleared again: 17 % of a training step was measured to be
/// page faults. All threads share one heap: the others that glibc would make are of 64 MiB and go back to the system
/// when they are empty, which was a quarter of an update of 0.5B parameters. Call it first in `main`. The process
/// keeps what it once needed.
///
/// Does nothing where the C library is not glibc.
pub fn keep_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[allow(unsafe_code, reason = "the C library has no other door to these settings")]
        // Safety: `mallopt` only writes numbers of the allocator, under its lock.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 1);
            libc::mallopt(libc::M_MMAP_MAX, 0);
            // Minus one turns trimming off.
            libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
        }
    }
}

/// The system's allocator, which begins a block of a page or more where a line of the cache begins, and asks for large
/// pages for blocks as long as one (Linux with glibc).
///
/// A tensor that does not begin at a line has every vector of sixteen numbers in two, and the columns of its matrix in
/// lines of their neighbours: products of large matrices took 2 to 9 % longer on two threads. With large pages they gain
/// another percent, and the first update of 0.5B parameters, which asks the system for gigabytes, takes half as long.
///
/// ```
/// use luffy_kernels::LineAllocator;
///
/// #[global_allocator]
/// static ALLOCATOR: LineAllocator = LineAllocator;
///
/// assert_eq!(vec![0.0_f32; 5000].as_ptr().addr() % 64, 0);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct LineAllocator;

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// Fewest bytes of a block that is moved to one.
const LARGE: usize = 4096;

/// The layout of the block that a moved one lies in: a line longer, so that the distance fits between the two. `None` if
/// the block is not moved.
fn around(layout: Layout) -> Option<Layout> {
    let is_moved = layout.size() >= LARGE && layout.align() <= LINE;
    is_moved.then(|| Layout::from_size_align(layout.size() + LINE, layout.align()).ok()).flatten()
}

/// Bytes of a large page.
const PAGE: usize = 2 << 20;

/// Asks the system for large pages wherever this block lies, if it is as long as one: a page that comes later is cleared
/// at once, and more of the block is found without a look at page tables.
fn ask_for_large_pages(block: *mut u8, size: usize) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if size >= PAGE {
        let before = block.addr() % PAGE;
        let whole = (before + size).next_multiple_of(PAGE);
        #[allow(unsafe_code, reason = "the system call takes a pointer")]
        // Safety: the advice changes no byte, neither of the block nor beside it. A system without large pages refuses.
        unsafe {
            libc::madvise(block.wrapping_sub(before).cast(), whole, libc::MADV_HUGEPAGE);
        }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = (block, size, PAGE);
}

/// Moves a block of this layout to the next line.
///
/// # Safety
/// The block is as [`around`] says, or null.
#[allow(unsafe_code, reason = "an allocator hands out pointers")]
unsafe fn moved(block: *mut u8, around: Layout) -> *mut u8 {
    if block.is_null() {
        return block;
    }
    ask_for_large_pages(block, around.size());
    // One to a line.
    let distance = LINE - block.addr() % LINE;
    // Safety: the block is a line longer than what is asked for, and a byte of it at least lies before the place.
    unsafe {
        let to = block.add(distance);
        to.sub(1).write(distance as u8);
        to
    }
}

#[allow(unsafe_code, reason = "an allocator hands out pointers")]
// Safety: every block comes from the system's allocator, with the layout asked for or one that has room for it, and
// goes back with the same, which depends on nothing but the layout asked for.
unsafe impl GlobalAlloc for LineAllocator {
    // Safety: as the trait says.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Safety: layouts are the caller's or longer.
        unsafe {
            match around(layout) {
                Some(around) => moved(System.alloc(around), around),
                None => System.alloc(layout),
            }
        }
    }

    // Safety: as the trait says.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // Safety: as above.
        unsafe {
            match around(layout) {
                Some(around) => moved(System.alloc_zeroed(around), around),
                None => System.alloc_zeroed(layout),
            }
        }
    }

    // Safety: as the trait says.
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // Safety: the block is one of ours with this layout, so where it was moved the distance lies before it.
        unsafe {
            match around(layout) {
                Some(around) => {
                    let distance = block.sub(1).read();
                    System.dealloc(block.sub(distance.into()), around);
                }
                None => System.dealloc(block, layout),
            }
        }
    }

    // Safety: as the trait says.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Safety: the caller vouches that the size makes a layout.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // Safety: as above; a block that is moved before or after is copied, as the default does.
        unsafe {
            if around(layout).is_none() && around(new).is_none() {
                return System.realloc(block, layout, size);
            }
            let to = self.alloc(new);
            if !to.is_null() {
                std::ptr::copy_nonoverlapping(block, to, layout.size().min(size));
                self.dealloc(block, layout);
            }
            to
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of all sizes and alignments begin where they should, can be written from end to end, and keep what is in
    /// them when they grow and shrink.
    #[test]
    fn blocks_begin_at_lines_and_keep_their_bytes() {
        let sizes = [1, 100, LARGE - 1, LARGE, LARGE + 1, 100_000, 3 * PAGE];
        for (size, other) in sizes.into_iter().flat_map(|size| sizes.map(|other| (size, other))) {
            for align in [1, 8, 16, 32, 64, 4096] {
                let layout = Layout::from_size_align(size, align).unwrap();
                let line = if size >= LARGE { LINE } else { 1 };
                #[allow(unsafe_code, reason = "an allocator hands out pointers")]
                // Safety: blocks have room for what is written, and go back with the layout they have.
                unsafe {
                    let zeroed = LineAllocator.alloc_zeroed(layout);
                    assert!(std::slice::from_raw_parts(zeroed, size).iter().all(|byte| *byte == 0));
                    let block = LineAllocator.alloc(layout);
                    for place in [block, zeroed] {
                        assert_eq!(place.addr() % align.max(line), 0, "{size} bytes, {align}");
                    }
                    for i in 0..size {
                        block.add(i).write(i as u8);
                    }
                    let block = LineAllocator.realloc(block, layout, other);
                    let kept = std::slice::from_raw_parts(block, size.min(other));
                    assert!(kept.iter().enumerate().all(|(i, byte)| *byte == i as u8));
                    let line = if other >= LARGE { LINE } else { 1 };
                    assert_eq!(block.addr() % align.max(line), 0, "{other} bytes, {align}");
                    LineAllocator.dealloc(block, Layout::from_size_align(other, align).unwrap());
                    LineAllocator.dealloc(zeroed, layout);
                }
            }
        }
    }
}
