//! The cluster's deadlines and budgets. Each wait in the state machine ends by one of these.

/// Deadlines in milliseconds and budgets in tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How often workers say that they are alive.
    pub heartbeat_ms: u64,
    /// A worker unheard for longer is lost.
    pub silence_limit_ms: u64,
    /// An attempt that runs longer is revoked and retried.
    pub job_time_limit_ms: u64,
    /// All ranks of a try must be ready within this time.
    pub start_limit_ms: u64,
    /// Without a report from a training rank for so long, the round is tried anew.
    pub stall_limit_ms: u64,
    /// After a lost try a round waits so long for a worker that joins, then goes on with the ranks that are left.
    pub regroup_ms: u64,
    /// Failures of one job or round before its evolution fails.
    pub attempt_budget: u32,
    /// Lost workers that one job or round may survive.
    pub loss_budget: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            heartbeat_ms: 1_000,
            silence_limit_ms: 10_000,
            job_time_limit_ms: 1_800_000,
            start_limit_ms: 120_000,
            stall_limit_ms: 120_000,
            regroup_ms: 2_000,
            attempt_budget: 3,
            loss_budget: 50,
        }
    }
}
