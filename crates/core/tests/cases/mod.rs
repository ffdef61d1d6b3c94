//! How many cases a property is tried with.

use proptest::prelude::ProptestConfig;

/// `count` cases, or as many as `PROPTEST_CASES` says: `make fuzz` sets it.
pub fn cases(count: u32) -> ProptestConfig {
    // By default proptest gives up after 1024 inputs that a property has nothing to say about, however many cases there are.
    let config = ProptestConfig { max_global_rejects: u32::MAX, ..ProptestConfig::default() };
    match std::env::var_os("PROPTEST_CASES") {
        // The default is what the variable says.
        Some(_) => config,
        None => ProptestConfig { cases: count, ..config },
    }
}
