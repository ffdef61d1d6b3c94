//! The number of cases of a property test.

use proptest::prelude::ProptestConfig;

/// `count` cases, or the number in `PROPTEST_CASES`, which `make fuzz` sets.
pub fn cases(count: u32) -> ProptestConfig {
    // By default proptest gives up after 1,024 rejected inputs, no matter how many cases there are.
    let config = ProptestConfig { max_global_rejects: u32::MAX, ..ProptestConfig::default() };
    match std::env::var_os("PROPTEST_CASES") {
        // proptest's default is the variable's number.
        Some(_) => config,
        None => ProptestConfig { cases: count, ..config },
    }
}
