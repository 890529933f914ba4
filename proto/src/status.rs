//! The only map between refusals and gRPC statuses, both ways. A status carries the closed [`Kind`] in its metadata,
//! because several kinds share one code; the code says to any gRPC client what it may do (retry, correct, give up).

use galapagos_domain::cluster::{Rejection, RejectionKind};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::convert::ConvertError;

/// Metadata key of the kind.
pub const KIND_KEY: &str = "galapagos-kind";

/// Closed set of reasons why a call or a session was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request can never be right as it is.
    Invalid,
    NotFound,
    /// It contradicts the present state.
    Conflict,
    /// It comes from an earlier incarnation or session.
    Fenced,
    /// The worker speaks another protocol version.
    WrongVersion,
    /// The message breaks the wire contract.
    Malformed,
    /// Too much is waiting already: try again later.
    Busy,
    /// No answer in time; it may still happen.
    Deadline,
    /// The reader of a stream did not keep up.
    SlowReader,
    /// The coordinator shuts down or has stopped: try again when another runs.
    Stopping,
    /// The connection is at fault, not the coordinator's logic.
    Transport,
    /// A defect of the coordinator.
    Internal,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Invalid,
        Self::NotFound,
        Self::Conflict,
        Self::Fenced,
        Self::WrongVersion,
        Self::Malformed,
        Self::Busy,
        Self::Deadline,
        Self::SlowReader,
        Self::Stopping,
        Self::Transport,
        Self::Internal,
    ];

    /// The name on the wire and in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Fenced => "fenced",
            Self::WrongVersion => "wrong_version",
            Self::Malformed => "malformed",
            Self::Busy => "busy",
            Self::Deadline => "deadline",
            Self::SlowReader => "slow_reader",
            Self::Stopping => "stopping",
            Self::Transport => "transport",
            Self::Internal => "internal",
        }
    }

    /// Whether the same request may succeed later without anybody correcting anything.
    #[must_use]
    pub fn is_transient(self) -> bool {
        match self {
            Self::Busy | Self::Deadline | Self::SlowReader | Self::Stopping | Self::Transport => true,
            Self::Invalid
            | Self::NotFound
            | Self::Conflict
            | Self::Fenced
            | Self::WrongVersion
            | Self::Malformed
            | Self::Internal => false,
        }
    }

    fn code(self) -> Code {
        match self {
            Self::Invalid | Self::Malformed => Code::InvalidArgument,
            Self::NotFound => Code::NotFound,
            Self::Conflict | Self::WrongVersion => Code::FailedPrecondition,
            Self::Fenced => Code::Aborted,
            Self::Busy | Self::SlowReader => Code::ResourceExhausted,
            Self::Deadline => Code::DeadlineExceeded,
            Self::Stopping | Self::Transport => Code::Unavailable,
            Self::Internal => Code::Internal,
        }
    }

    /// For a status that did not come from our own logic, such as one made by the HTTP/2 layer.
    fn of_foreign(code: Code) -> Self {
        match code {
            Code::DeadlineExceeded => Self::Deadline,
            Code::ResourceExhausted => Self::Busy,
            Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented => Self::Malformed,
            Code::NotFound => Self::NotFound,
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
            | Code::Unauthenticated => Self::Transport,
        }
    }
}

impl From<RejectionKind> for Kind {
    fn from(kind: RejectionKind) -> Self {
        match kind {
            RejectionKind::Invalid => Self::Invalid,
            RejectionKind::NotFound => Self::NotFound,
            RejectionKind::Conflict => Self::Conflict,
            RejectionKind::Fenced => Self::Fenced,
            RejectionKind::WrongVersion => Self::WrongVersion,
        }
    }
}

/// A refusal as it crosses the wire.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub kind: Kind,
    /// Says what was refused and what would be right.
    pub message: String,
}

impl Refusal {
    /// A refusal of that kind.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The pure core's rejection, if it was one.
    #[must_use]
    pub fn rejection(&self) -> Option<Rejection> {
        let kind = match self.kind {
            Kind::Invalid => RejectionKind::Invalid,
            Kind::NotFound => RejectionKind::NotFound,
            Kind::Conflict => RejectionKind::Conflict,
            Kind::Fenced => RejectionKind::Fenced,
            Kind::WrongVersion => RejectionKind::WrongVersion,
            Kind::Malformed
            | Kind::Busy
            | Kind::Deadline
            | Kind::SlowReader
            | Kind::Stopping
            | Kind::Transport
            | Kind::Internal => return None,
        };
        Some(Rejection { kind, message: self.message.clone() })
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self { kind: rejection.kind.into(), message: rejection.message }
    }
}

impl From<ConvertError> for Refusal {
    fn from(error: ConvertError) -> Self {
        Self { kind: Kind::Malformed, message: crate::convert::with_causes(&error) }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let mut status = Self::new(refusal.kind.code(), refusal.message);
        status.metadata_mut().insert(KIND_KEY, MetadataValue::from_static(refusal.kind.name()));
        status
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let named = status.metadata().get(KIND_KEY).and_then(|value| value.to_str().ok());
        let kind = named.and_then(|name| Kind::ALL.into_iter().find(|kind| kind.name() == name));
        let kind = kind.unwrap_or_else(|| Kind::of_foreign(status.code()));
        Self { kind, message: status.message().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_wire() {
        for kind in Kind::ALL {
            let refusal = Refusal::new(kind, format!("because of {}", kind.name()));
            assert_eq!(Refusal::from(Status::from(refusal.clone())), refusal);
        }
    }

    #[test]
    fn every_rejection_comes_back_as_it_was() {
        for kind in [
            RejectionKind::Invalid,
            RejectionKind::NotFound,
            RejectionKind::Conflict,
            RejectionKind::Fenced,
            RejectionKind::WrongVersion,
        ] {
            let rejection = Rejection { kind, message: "no such evolution `a-1`".to_owned() };
            let back = Refusal::from(Status::from(Refusal::from(rejection.clone()))).rejection();
            assert_eq!(back, Some(rejection));
        }
    }

    #[test]
    fn a_status_of_the_http_layer_is_the_connections_fault() {
        let refusal = Refusal::from(Status::unavailable("tcp connect error"));
        assert_eq!(refusal.kind, Kind::Transport);
        assert!(refusal.kind.is_transient());
    }
}
