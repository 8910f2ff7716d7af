//! Any gold and any response: no panic, no verdict beyond the budget, no reward for an unusable gold.
//!
//! What is checked stands in `fuzz/shared/checks.rs`, for `cargo fuzz` and `examples/fuzz.rs` as well.

#[path = "../fuzz/shared/generate.rs"]
mod generate;
#[path = "../fuzz/shared/mod.rs"]
mod shared;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use generate::Input;
use shared::{Target, check};

/// What rayon gives its threads.
const STACK: usize = 2 << 20;

/// Inputs of a run, and the bytes of their texts at most.
const RUNS: [(u64, usize); 4] = [(196_000, 512), (3_900, 4_096), (96, 65_536), (4, 1 << 20)];

const SEED: u64 = 20_250_730;

fn kept() -> Vec<Input> {
    let mut kept = Vec::new();
    for target in Target::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name());
        let mut paths: Vec<_> = std::fs::read_dir(&folder)
            .expect("the corpus is kept")
            .map(|entry| entry.expect("the folder can be read").path())
            .collect();
        paths.sort();
        for path in paths {
            kept.push((target, std::fs::read(&path).expect("the file can be read")));
        }
    }
    kept
}

/// Checks inputs on all cores, on stacks as small as those of rayon's threads.
fn check_all(n_inputs: u64, max_len: usize, input: impl Fn(u64) -> Input + Sync) {
    let n_threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let work = |thread: u64| {
        let mut index = thread;
        while index < n_inputs {
            let (target, bytes) = input(index);
            let case = target.case(&bytes, max_len);
            let result = catch_unwind(AssertUnwindSafe(|| check(&case)));
            let is_kept = matches!(result, Ok(Ok(())));
            assert!(is_kept, "input {index} of {max_len}: {result:?}: {target:?} {case:?}");
            index += n_threads;
        }
    };
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..n_threads)
            .map(|thread| {
                std::thread::Builder::new()
                    .stack_size(STACK)
                    .spawn_scoped(scope, move || work(thread))
                    .expect("the system has threads")
            })
            .collect();
        for thread in threads {
            assert!(thread.join().is_ok(), "a promise is broken");
        }
    });
}

#[test]
fn no_promise_is_broken_by_the_kept_inputs() {
    let kept = kept();
    assert!(kept.len() > 50);
    check_all(kept.len() as u64, 4_096, |index| kept[index as usize].clone());
}

#[test]
fn no_promise_is_broken_by_two_hundred_thousand_inputs() {
    let kept = kept();
    assert_eq!(RUNS.iter().map(|(n_inputs, _)| n_inputs).sum::<u64>(), 200_000);
    for (n_inputs, max_len) in RUNS {
        check_all(n_inputs, max_len, |index| generate::input(SEED, index, max_len, &kept));
    }
}
