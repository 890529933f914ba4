//! Connection settings of both sides in one place, since they only work as a set: a client that pings more often than the
//! server allows is cut off, and a message may not be larger than the other side reads.

use std::time::Duration;

/// A connection attempt that takes longer has failed.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A call without an answer for so long has failed; for a stream of answers, until it begins.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// HTTP/2 pings on a quiet connection, from both sides: a peer that vanished without closing is noticed.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// A ping that is not answered for so long ends the connection.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest message either side reads: views of long evolutions are the largest.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;
