//! Reports that must not be lost: kept in order until the coordinator acknowledges them, sent again after a reconnect.
//! Pure: it says what to send, the session sends.
//!
//! An acknowledgement names a token and a rank, not a kind, and a rank has up to two reports (ready, then its vote or
//! failure). On one connection reports arrive and are acknowledged in order, so an acknowledgement takes the earliest
//! report of that key that was sent on this connection, and never one that the coordinator has not seen.

use galapagos_domain::fence::FencingToken;
use galapagos_domain::session::WorkerMessage;

use crate::slots::Key;

/// What kind of report; one report of each kind per key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Done,
    Failed,
    Ready,
    Voted,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    kind: Kind,
    sent: bool,
    message: WorkerMessage,
}

/// The reports not yet acknowledged, in the order they were made.
#[derive(Debug, Default)]
pub struct Outbox {
    entries: Vec<Entry>,
}

impl Outbox {
    /// Keeps a report. False if it is no report that must be kept (registration, heartbeat, progress), or if one of its
    /// kind is kept for the same key already; the first one stands.
    pub fn keep(&mut self, message: WorkerMessage) -> bool {
        let Some((key, kind)) = classify(&message) else { return false };
        if self.entries.iter().any(|entry| entry.key == key && entry.kind == kind) {
            return false;
        }
        self.entries.push(Entry { key, kind, sent: false, message });
        true
    }

    /// The earliest report that was not sent on this connection. It counts as sent only after [`Outbox::sent`].
    #[must_use]
    pub fn next(&self) -> Option<&WorkerMessage> {
        self.entries.iter().find(|entry| !entry.sent).map(|entry| &entry.message)
    }

    /// What [`Outbox::next`] gave is on its way.
    pub fn sent(&mut self) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| !entry.sent) {
            entry.sent = true;
        }
    }

    /// A new connection: everything is to be sent again.
    pub fn reconnected(&mut self) {
        for entry in &mut self.entries {
            entry.sent = false;
        }
    }

    /// The coordinator has, or no longer wants, the earliest report of this key that was sent. Nothing else is forgotten.
    pub fn acknowledged(&mut self, key: Key) {
        if let Some(place) = self.entries.iter().position(|entry| entry.key == key && entry.sent) {
            self.entries.remove(place);
        }
    }

    /// Forgets every report of this key: the coordinator revoked it.
    pub fn forget(&mut self, key: Key) {
        self.entries.retain(|entry| entry.key != key);
    }

    /// Forgets every report of this token, of whatever rank.
    pub fn forget_token(&mut self, token: FencingToken) {
        self.entries.retain(|entry| entry.key.token != token);
    }

    /// Whether a report of this key waits for its acknowledgement.
    #[must_use]
    pub fn holds(&self, key: Key) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// The keys with reports, in the order they were made; a key may occur twice.
    pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.entries.iter().map(|entry| entry.key)
    }

    /// Whether everything was acknowledged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn classify(message: &WorkerMessage) -> Option<(Key, Kind)> {
    match message {
        WorkerMessage::JobDone { token, .. } => Some((Key::attempt(*token), Kind::Done)),
        WorkerMessage::JobFailed { token, .. } => Some((Key::attempt(*token), Kind::Failed)),
        WorkerMessage::RankReady { token, rank, .. } => Some((Key::rank(*token, *rank), Kind::Ready)),
        WorkerMessage::RankVoted { token, rank, .. } => Some((Key::rank(*token, *rank), Kind::Voted)),
        WorkerMessage::RankFailed { token, rank, .. } => Some((Key::rank(*token, *rank), Kind::Failed)),
        WorkerMessage::Register(_)
        | WorkerMessage::Heartbeat
        | WorkerMessage::JobProgress { .. }
        | WorkerMessage::RankProgress { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use galapagos_domain::ids::RoundId;
    use galapagos_domain::job::{FailureClass, JobFailure};
    use proptest::prelude::*;

    use super::*;

    fn failed(token: u64) -> WorkerMessage {
        let failure = JobFailure { class: FailureClass::Transient, chain: vec!["lost".to_owned()] };
        WorkerMessage::JobFailed { token: FencingToken(token), failure }
    }

    fn ready(token: u64, rank: u32) -> WorkerMessage {
        let round = RoundId::new("e/g1/candidate").unwrap();
        WorkerMessage::RankReady { round, token: FencingToken(token), rank, rendezvous: None }
    }

    fn rank_failed(token: u64, rank: u32) -> WorkerMessage {
        let round = RoundId::new("e/g1/candidate").unwrap();
        let failure = JobFailure { class: FailureClass::Transient, chain: vec!["lost".to_owned()] };
        WorkerMessage::RankFailed { round, token: FencingToken(token), rank, failure }
    }

    fn drain(outbox: &mut Outbox) -> Vec<WorkerMessage> {
        let mut sent = Vec::new();
        while let Some(message) = outbox.next().cloned() {
            outbox.sent();
            sent.push(message);
        }
        sent
    }

    #[test]
    fn a_report_is_sent_once_per_connection_until_it_is_acknowledged() {
        let mut outbox = Outbox::default();
        assert!(outbox.keep(failed(1)));
        assert!(!outbox.keep(failed(1)), "the same report twice");
        assert!(!outbox.keep(WorkerMessage::Heartbeat));
        assert_eq!(drain(&mut outbox), [failed(1)]);
        assert_eq!(drain(&mut outbox), []);
        outbox.reconnected();
        assert_eq!(drain(&mut outbox), [failed(1)]);
        outbox.acknowledged(Key::attempt(FencingToken(1)));
        outbox.reconnected();
        assert!(outbox.is_empty() && outbox.next().is_none());
    }

    #[test]
    fn an_acknowledgement_takes_what_was_sent_and_not_what_followed() {
        let mut outbox = Outbox::default();
        outbox.keep(ready(1, 0));
        drain(&mut outbox);
        outbox.keep(rank_failed(1, 0));
        outbox.acknowledged(Key::rank(FencingToken(1), 0));
        assert_eq!(drain(&mut outbox), [rank_failed(1, 0)], "the failure was made after, and must still go out");
        outbox.acknowledged(Key::rank(FencingToken(1), 1));
        assert!(outbox.holds(Key::rank(FencingToken(1), 0)), "another rank's acknowledgement changes nothing");
        outbox.acknowledged(Key::rank(FencingToken(1), 0));
        assert!(outbox.is_empty());
    }

    #[test]
    fn an_acknowledgement_of_an_earlier_connection_forgets_nothing_unsent() {
        let mut outbox = Outbox::default();
        outbox.keep(failed(1));
        drain(&mut outbox);
        outbox.reconnected();
        outbox.acknowledged(Key::attempt(FencingToken(1)));
        assert_eq!(drain(&mut outbox), [failed(1)]);
    }

    #[test]
    fn a_revoked_token_leaves_nothing() {
        let mut outbox = Outbox::default();
        for message in [ready(1, 0), ready(1, 1), ready(2, 0), failed(3)] {
            outbox.keep(message);
        }
        outbox.forget_token(FencingToken(1));
        outbox.forget(Key::attempt(FencingToken(3)));
        assert_eq!(outbox.keys().collect::<Vec<_>>(), [Key::rank(FencingToken(2), 0)]);
    }

    proptest! {
        /// Invariant `no_report_is_lost`: whatever breaks when, everything kept is acknowledged or still to be sent.
        #[test]
        fn no_report_is_lost(events in prop::collection::vec((0..4u8, 0..5u64), 0..80)) {
            let mut outbox = Outbox::default();
            let mut wanted = std::collections::BTreeSet::new();
            let mut arrived = std::collections::BTreeSet::new();
            for (event, token) in events {
                match event {
                    0 => if outbox.keep(failed(token)) { wanted.insert(token); arrived.remove(&token); },
                    1 => for message in drain(&mut outbox) {
                        if let WorkerMessage::JobFailed { token, .. } = message { arrived.insert(token.0); }
                    },
                    2 => { outbox.reconnected(); arrived.clear(); }
                    _ => {
                        outbox.acknowledged(Key::attempt(FencingToken(token)));
                        if arrived.remove(&token) { wanted.remove(&token); }
                    }
                }
            }
            let kept: std::collections::BTreeSet<u64> = outbox.keys().map(|key| key.token.0).collect();
            prop_assert_eq!(kept, wanted);
        }
    }
}
