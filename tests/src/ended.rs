//! A run that ended: its exit, what it said, and the checks that every end must pass, good or bad.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::deadline::Deadline;
use crate::sandbox::{log_tails, logs};
use crate::tree;

/// How long processes may need to see that their run is over: a lifeline's grace and some scheduling.
const STRAY_LIMIT: Duration = Duration::from_secs(15);
/// Fields of the final line that may differ between runs of one recipe and seed.
const MAY_DIFFER: [&str; 2] = ["retries", "elapsed_ms"];

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

/// A run that ended.
#[derive(Debug, Clone)]
pub struct Ended {
    pub exit: Exit,
    /// JSON lines of standard output.
    pub events: Vec<Value>,
    /// Other lines of standard output.
    pub other: Vec<String>,
    pub stderr: String,
    pub dir: PathBuf,
}

impl Ended {
    /// The value of `final`, without what may differ between runs of one recipe and seed: what repeated runs must agree on.
    ///
    /// # Panics
    /// If the run did not end well, or left something behind.
    #[track_caller]
    #[must_use]
    pub fn result(&self) -> Value {
        let mut result = self.last();
        if let Some(fields) = result.as_object_mut() {
            fields.retain(|name, _| !MAY_DIFFER.contains(&name.as_str()));
        }
        result
    }

    /// The value of `final` as printed.
    ///
    /// # Panics
    /// As [`Ended::result`].
    #[track_caller]
    #[must_use]
    pub fn last(&self) -> Value {
        self.expect_exit(0);
        let last = self.events.last().and_then(|event| event.get("final")).cloned();
        let last = last.unwrap_or_else(|| panic!("the last line has no `final`\n{}", self.report()));
        for field in ["digest", "weights", "champion"] {
            let filled = last.get(field).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
            assert!(filled, "`final` has no `{field}`: {last}");
        }
        last
    }

    /// Checks the exit code, and that nothing panicked and no process is left.
    ///
    /// # Panics
    /// If one of them is not so.
    #[track_caller]
    pub fn expect_exit(&self, code: i32) {
        assert_eq!(self.exit, Exit::Code(code), "another exit code than expected\n{}", self.report());
        self.expect_clean();
    }

    /// Checks that nothing panicked and, within a deadline, that no process is left.
    ///
    /// # Panics
    /// If one of them is not so.
    #[track_caller]
    pub fn expect_clean(&self) {
        expect_no_panic(&self.everything());
        self.expect_no_stray();
    }

    /// Checks, within a deadline, that no process of the run is left.
    ///
    /// # Panics
    /// If one is.
    #[track_caller]
    pub fn expect_no_stray(&self) {
        let gone = Deadline::within(STRAY_LIMIT).watch(|| tree::of_run(&self.dir).is_empty().then_some(()));
        let strays = tree::of_run(&self.dir);
        assert!(
            gone.is_some() || strays.is_empty(),
            "processes are left {} s after the end of the run:\n{}{}",
            STRAY_LIMIT.as_secs(),
            tree::describe(&strays),
            self.report()
        );
    }

    /// Checks that the message for the user has each of these pieces.
    ///
    /// # Panics
    /// If one is missing.
    #[track_caller]
    pub fn expect_says(&self, pieces: &[&str]) {
        for piece in pieces {
            assert!(self.stderr.contains(piece), "the message lacks `{piece}`\n{}", self.report());
        }
    }

    /// All that is known, for the message of a failure.
    #[must_use]
    pub fn report(&self) -> String {
        let events: Vec<String> = self.events.iter().map(Value::to_string).collect();
        format!(
            "--- exit: {:?}\n--- standard output:\n{}\n{}\n--- standard error:\n{}\n{}",
            self.exit,
            events.join("\n"),
            self.other.join("\n"),
            self.stderr,
            log_tails(&self.dir)
        )
    }

    fn everything(&self) -> Vec<(String, String)> {
        let mut all = logs(&self.dir);
        all.push(("standard error".to_owned(), self.stderr.clone()));
        all.push(("standard output".to_owned(), self.other.join("\n")));
        all
    }
}

/// Checks that none of the named texts tells of a panic.
///
/// # Panics
/// If one does.
#[track_caller]
pub fn expect_no_panic(texts: &[(String, String)]) {
    for (name, text) in texts {
        let found = text.lines().find(|line| line.contains("panicked at") || line.contains("` panicked: "));
        assert!(found.is_none(), "{name} tells of a panic: {}", found.unwrap_or_default());
    }
}
