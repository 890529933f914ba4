//! The long soak: `make soak`, or `cargo run --release -p galapagos-model --example soak -- [REQUESTS] [SEED]`.
//!
//! 10,000 random requests with cancels and swaps through one engine on a tight budget; 1% of the completions are computed again,
//! one at a time. Prints a verdict, and fails if a token is wrong, a page is lost, or memory grows.
#![expect(clippy::unwrap_used, reason = "a test that is run by hand")]

#[path = "../tests/soak/run.rs"]
mod run;

use std::process::ExitCode;

use run::{Soak, run};

/// Growth of the process from the first quarter of the requests to the end that is taken for a leak.
const MOST_GROWTH_BYTES: u64 = 16 << 20;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().unwrap());
    let requests = arguments.next().unwrap_or(10_000) as usize;
    let seed = arguments.next().unwrap_or(1);
    let mut resident = Vec::new();
    let mut verdict = run(Soak { requests, checked_of: 100, seed }, &mut |submitted| {
        if submitted.is_multiple_of((requests / 20).max(1)) {
            resident.push(resident_bytes());
            println!("{submitted:>6} requests submitted, {:>5} MiB resident", resident_bytes() >> 20);
        }
    });
    let (early, late) = (resident.get(resident.len() / 4).copied(), resident.last().copied());
    let growth = late.unwrap_or(0).saturating_sub(early.unwrap_or(0));
    if growth > MOST_GROWTH_BYTES {
        verdict.wrong.push(format!("memory grew by {} MiB after the first quarter", growth >> 20));
    }
    println!(
        "{} completions, {} requests cancelled, {} swaps, {} completions restarted, {} computed again alone",
        verdict.completions, verdict.cancelled, verdict.swaps, verdict.restarted, verdict.checked
    );
    println!("{:?}", verdict.stats);
    println!("memory grew by {} KiB after the first quarter", growth >> 10);
    for wrong in verdict.wrong.iter().take(20) {
        println!("WRONG: {wrong}");
    }
    if verdict.wrong.is_empty() {
        println!("soak: all {requests} requests are right");
        ExitCode::SUCCESS
    } else {
        println!("soak: {} things are wrong", verdict.wrong.len());
        ExitCode::FAILURE
    }
}

/// What this process holds in memory.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
