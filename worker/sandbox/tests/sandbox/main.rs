//! The sandbox with real processes: what runs in it, what its verdicts say, and what cannot get out of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod checks;
mod fewer_walls;
mod forgeries;
mod host;
mod pool;
mod red_team;
mod runs;
