#![no_main]

#[allow(dead_code, reason = "each target uses a part of it")]
#[path = "../shared/mod.rs"]
mod shared;

use libfuzzer_sys::fuzz_target;
use shared::{Target, check};

fuzz_target!(|input: &[u8]| {
    let case = Target::Cases.case(input, 512);
    if let Err(broken) = check(&case) {
        panic!("{broken}: {case:?}");
    }
});
