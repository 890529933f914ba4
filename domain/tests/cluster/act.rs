//! What may happen, in the abstract: numbers pick a worker, a held token or an evolution among those there are when the act
//! is carried out, so every list of acts means something.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// One act; its numbers are taken modulo what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    SubmitWide,
    /// The same, of a higher priority than the others.
    SubmitUrgent,
    /// An evolution of many small jobs.
    SubmitBroad,
    /// An evolution whose trees are spread over jobs.
    SubmitSpread,
    Pause(u8),
    Resume(u8),
    Cancel(u8),
    /// The worker opens a session; its process goes on if it lives.
    Register(u8),
    /// A worker of another protocol version knocks.
    RegisterWrongVersion(u8),
    /// The stream breaks and the coordinator sees it.
    Disconnect(u8),
    /// The stream breaks and the coordinator does not see it.
    Vanish(u8),
    /// The process dies and starts anew under its name.
    Crash(u8),
    Heartbeats,
    /// The worker brings something that it holds one report further.
    Advance(u8, u8),
    /// The worker reports progress.
    Progress(u8, u8),
    /// The worker sends an unacknowledged report again, not always the oldest.
    Resend(u8, u8),
    /// The worker reports a transient failure.
    Fail(u8, u8),
    /// The worker reports a failure that no retry can mend.
    FailForGood(u8, u8),
    /// The worker reports a result that does not fit, or a vote that differs.
    Garble(u8, u8),
    /// Something from an earlier session arrives.
    Late(u8),
    /// The coordinator dies and starts from the store.
    Restart,
    /// So many tenths of a second pass.
    Wait(u8),
    /// Several minutes pass at once.
    LongWait,
}

impl Act {
    /// Whether an evolution must still end as it would have without this act.
    pub fn keeps_results(&self) -> bool {
        match self {
            Self::SubmitWide
            | Self::SubmitUrgent
            | Self::SubmitBroad
            | Self::SubmitSpread
            | Self::Cancel(_)
            | Self::FailForGood(..) => false,
            Self::Pause(_)
            | Self::Resume(_)
            | Self::Register(_)
            | Self::RegisterWrongVersion(_)
            | Self::Disconnect(_)
            | Self::Vanish(_)
            | Self::Crash(_)
            | Self::Heartbeats
            | Self::Advance(..)
            | Self::Progress(..)
            | Self::Resend(..)
            | Self::Fail(..)
            | Self::Garble(..)
            | Self::Late(_)
            | Self::Restart
            | Self::Wait(_)
            | Self::LongWait => true,
        }
    }
}

/// Mostly work, some faults.
pub fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        60 => (any::<u8>(), any::<u8>()).prop_map(|(w, n)| Act::Advance(w, n)),
        14 => any::<u8>().prop_map(Act::Register),
        6 => (any::<u8>(), any::<u8>()).prop_map(|(w, n)| Act::Progress(w, n)),
        6 => (any::<u8>(), any::<u8>()).prop_map(|(w, n)| Act::Resend(w, n)),
        5 => any::<u8>().prop_map(Act::Wait),
        4 => Just(Act::Heartbeats),
        4 => (any::<u8>(), any::<u8>()).prop_map(|(w, n)| Act::Fail(w, n)),
        3 => (any::<u8>(), any::<u8>()).prop_map(|(w, n)| Act::Garble(w, n)),
        3 => any::<u8>().prop_map(Act::Crash),
        3 => any::<u8>().prop_map(Act::Disconnect),
        2 => any::<u8>().prop_map(Act::Vanish),
        3 => Just(Act::Restart),
        2 => any::<u8>().prop_map(Act::Late),
        2 => any::<u8>().prop_map(Act::Pause),
        3 => any::<u8>().prop_map(Act::Resume),
        1 => Just(Act::LongWait),
        1 => Just(Act::SubmitWide),
        1 => Just(Act::SubmitUrgent),
        1 => Just(Act::SubmitBroad),
        1 => Just(Act::SubmitSpread),
        1 => any::<u8>().prop_map(Act::RegisterWrongVersion),
        1 => any::<u8>().prop_map(Act::Cancel),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(w, n)| Act::FailForGood(w, n)),
    ]
}
