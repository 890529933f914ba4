//! Why an event was refused, in classes that say what the caller may do. Each has one gRPC status, mapped in `proto`.

/// A refused event. The state is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    pub kind: RejectionKind,
    /// Names the rule, the value and the way out.
    pub message: String,
}

/// Closed set of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionKind {
    /// The request can never be right as it is.
    Invalid,
    NotFound,
    /// It contradicts the present state.
    Conflict,
    /// It comes from an earlier incarnation.
    Fenced,
    /// The worker speaks another protocol version.
    WrongVersion,
}
