//! The C library's allocator, told to keep what it has.

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
