//! How a rank process ends. The worker reads the last report; the exit code serves people and the cases without one.

use std::process::ExitCode;

/// For `--help`.
pub const TABLE: &str = "Exit codes:
  0  voted: the last line on standard output is the vote
  1  failed: the last line on standard output says why
  2  wrong command line, or a device that is not there
  3  the worker is gone: standard input ended, or standard output cannot be written
  5  stuck: a collective went past every deadline, so the process ended itself without a report";

/// The ends that this crate decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Voted,
    Failed,
    Usage,
    Orphaned,
    Stuck,
}

impl Exit {
    /// The code, as in [`TABLE`].
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Voted => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Orphaned => 3,
            Self::Stuck => 5,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lists_every_code() {
        for exit in [Exit::Voted, Exit::Failed, Exit::Usage, Exit::Orphaned, Exit::Stuck] {
            assert!(TABLE.contains(&format!("\n  {}  ", exit.code())), "{exit:?}");
        }
    }
}
