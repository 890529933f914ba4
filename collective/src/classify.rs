//! Sorts c10d's messages by cause. The exception types of the backends are not exported, so the text is all there is; the phrases are
//! those of libtorch 2.13, which `build.rs` pins. An unknown text is never taken for a timeout or a lost peer.

/// What a message of c10d means for the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    Timeout,
    PeerLost,
    Other,
}

const TIMEOUT: [&str; 5] = ["timed out", "wait timeout", "timeout after", "timed out waiting", "operation timeout"];
const PEER_LOST: [&str; 10] = [
    "connection closed by peer",
    "connection reset by peer",
    "connection refused",
    "broken pipe",
    "connection was closed",
    "failed to recv",
    "failed to send",
    "socket closed",
    // NCCL's ncclRemoteError, short and long.
    "remote process exited",
    "remote process exiting prematurely",
];

pub(crate) fn classify(message: &str) -> Cause {
    let message = message.to_ascii_lowercase();
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
    // A broken connection often reports itself inside a text about waiting, so it is looked for first.
    if has(&PEER_LOST) {
        Cause::PeerLost
    } else if has(&TIMEOUT) {
        Cause::Timeout
    } else {
        Cause::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_messages_are_sorted() {
        let recorded = [
            ("wait timeout after 300ms, keys: /nokey", Cause::Timeout),
            (
                "[../third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 2000ms for recv operation to complete",
                Cause::Timeout,
            ),
            (
                "[../third_party/gloo/gloo/transport/tcp/pair.cc:538] Connection closed by peer [127.0.0.1]:4242",
                Cause::PeerLost,
            ),
            ("Read error [127.0.0.1]:4242: Connection reset by peer", Cause::PeerLost),
            ("writev [127.0.0.1]:4242: Broken pipe", Cause::PeerLost),
            (
                "NCCL error in: ProcessGroupNCCL.cpp:90, remote process exited or there was a network error, NCCL version 2.29.7",
                Cause::PeerLost,
            ),
            (
                "Watchdog caught collective operation timeout: WorkNCCL(SeqNum=3) ran for 2001 milliseconds before timing out.",
                Cause::Timeout,
            ),
            ("Invalid scalar type", Cause::Other),
            ("Expected to have finished reduction in the prior iteration", Cause::Other),
        ];
        for (message, cause) in recorded {
            assert_eq!(classify(message), cause, "{message}");
        }
    }
}
