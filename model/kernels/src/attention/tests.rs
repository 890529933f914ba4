//! The attention against a double-precision reference, and its invariance bit for bit, on every form this CPU has.

use super::*;

#[test]
fn this_cpu_passes_the_self_test() {
    for threads in 1..=3 {
        assert_eq!(self_test(&Pool::new(threads)), Ok(()));
    }
}
