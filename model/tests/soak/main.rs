//! A short soak of the engine; `make soak` runs the long one.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod run;

use run::{Soak, run};

#[test]
fn a_few_hundred_random_requests_come_out_right() {
    let verdict = run(Soak { requests: 300, checked_of: 20, seed: 11 }, &mut |_| {});
    assert!(verdict.wrong.is_empty(), "{:#?}", verdict.wrong);
    let stats = verdict.stats;
    // Nothing of this may be missing, or the test says little.
    for (what, count) in [
        ("cancelled requests", verdict.cancelled as u64),
        ("swaps", verdict.swaps as u64),
        ("restarted completions", verdict.restarted as u64),
        ("checked completions", verdict.checked as u64),
        ("preemptions", stats.preemptions),
        ("evictions", stats.evictions),
        ("reused tokens", stats.reused_tokens),
        ("accepted drafts", stats.accepted_drafts),
    ] {
        assert!(count > 0, "no {what}: {verdict:?}");
    }
}
