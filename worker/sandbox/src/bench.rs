//! How many checks a second: warm and cold, on one thread and on as many as there are processors. For `galapagos-worker bench sandbox`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use galapagos_telemetry::clock::monotonic_ns;
use galapagos_telemetry::machine::median;
use serde::Serialize;
use serde_json::{Map, json};

use crate::check::{
    Asserts, Budget, CallTest, Comparison, Grade, InputTest, Outcome, Tolerance, asserts, calls, inputs,
};
use crate::error::SandboxError;
use crate::pool::Pool;
use crate::sandbox::Sandbox;

/// Checks a second that a warm pool must reach on two processors.
pub const TARGET: f64 = 50.0;

/// One line of the result.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// `calls`, `inputs`, `asserts`, each `_warm` or `_cold`.
    pub name: String,
    pub threads: usize,
    pub checks: usize,
    /// Checks a second.
    pub ours: f64,
    pub unit: &'static str,
    /// Middle and 99th percentile of one check's time on the clock.
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Interpreters that somebody waited for, because the pool was empty.
    pub cold_starts: u64,
    pub target: Option<f64>,
    pub met: Option<bool>,
}

/// What is checked: a small function, as tests of code tasks have them.
const CODE: &str = "def f(x):\n    return sorted(x)[::-1]\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Calls,
    Inputs,
    Asserts,
}

/// Measures every kind of check, `checks` of each, with `threads` asking at a time.
///
/// # Errors
/// If the sandbox fails, or a check of a right program does not pass.
pub fn run(sandbox: &Arc<Sandbox>, checks: usize, threads: usize) -> Result<Vec<Row>, SandboxError> {
    let mut rows = Vec::new();
    for (kind, name) in [(Kind::Calls, "calls"), (Kind::Inputs, "inputs"), (Kind::Asserts, "asserts")] {
        for (warm, way) in [(2 * threads, "warm"), (0, "cold")] {
            let pool = Pool::new(Arc::clone(sandbox), warm)?;
            let target = (warm > 0 && kind == Kind::Calls).then_some(TARGET);
            rows.push(Row { target, ..measure(&pool, kind, format!("{name}_{way}"), (checks, threads))? });
        }
    }
    for row in &mut rows {
        row.met = row.target.map(|target| row.ours >= target);
    }
    Ok(rows)
}

fn measure(pool: &Pool, kind: Kind, name: String, (checks, threads): (usize, usize)) -> Result<Row, SandboxError> {
    let left = AtomicU64::new(checks as u64);
    let started = monotonic_ns();
    let times = std::thread::scope(|scope| {
        let work = || {
            let mut times = Vec::new();
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let from = monotonic_ns();
                let outcome = one(pool, kind)?;
                if outcome.grade != Grade::Passed {
                    return Err(SandboxError::Check { what: format!("a right program got {outcome:?}") });
                }
                times.push((monotonic_ns() - from) as f64 / 1e6);
            }
            Ok(times)
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let panicked = |_| SandboxError::Check { what: "a thread of the benchmark panicked".to_owned() };
        running.into_iter().map(|thread| thread.join().map_err(panicked)?).collect::<Result<Vec<Vec<f64>>, _>>()
    })?;
    let seconds = (monotonic_ns() - started) as f64 / 1e9;
    let mut times = times.concat();
    times.sort_by(f64::total_cmp);
    Ok(Row {
        name,
        threads,
        checks,
        ours: checks as f64 / seconds,
        unit: "checks/s",
        p50_ms: median(&times).unwrap_or(f64::NAN),
        p99_ms: times.get(times.len() * 99 / 100).copied().unwrap_or(f64::NAN),
        cold_starts: pool.cold_starts(),
        target: None,
        met: None,
    })
}

fn one(pool: &Pool, kind: Kind) -> Result<Outcome, SandboxError> {
    let budget = Budget::default();
    match kind {
        Kind::Calls => {
            let test = |x: [i32; 3], expected: [i32; 3]| CallTest {
                function: "f".to_owned(),
                arguments: vec![json!(x)],
                named: Map::new(),
                expected: json!(expected),
            };
            let tests = [test([1, 2, 3], [3, 2, 1]), test([2, 3, 1], [3, 2, 1]), test([0, 0, 1], [1, 0, 0])];
            calls(pool, CODE, &tests, Tolerance::default(), budget)
        }
        Kind::Inputs => {
            let test =
                |input: &str, expected: &str| InputTest { input: input.to_owned(), expected: expected.to_owned() };
            let code = "print(*sorted(map(int, input().split())))";
            inputs(pool, code, &[test("2 1", "1 2"), test("3 1 2", "1 2 3")], Comparison::Trimmed, budget)
        }
        Kind::Asserts => {
            let programs = vec!["assert f([1, 2]) == [2, 1]\nassert f([]) == []".to_owned()];
            asserts(pool, CODE, &Asserts { programs, names: None }, budget)
        }
    }
}
