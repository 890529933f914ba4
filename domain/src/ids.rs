//! Typed ids: one newtype per kind of thing, so that two kinds cannot be mixed.
//!
//! Ids are readable paths (`quickstart-1/g2/samples/3`), derived from what they name and not from history, so that
//! a run that was interrupted names everything as an undisturbed run does.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {kind}: use 1 to 200 of a-z A-Z 0-9 . _ - /, starting with a letter or digit")]
pub struct InvalidId {
    /// The kind of id that was expected.
    pub kind: &'static str,
    /// What was given.
    pub text: String,
}

fn check(kind: &'static str, text: &str) -> Result<(), InvalidId> {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    if first && rest && text.len() <= 200 { Ok(()) } else { Err(InvalidId { kind, text: text.to_owned() }) }
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the characters and the length.
            ///
            /// # Errors
            /// [`InvalidId`] names what was given and what is allowed.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                check($kind, &text)?;
                Ok(Self(text))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

typed_id!(
    /// One submitted evolution, for example `quickstart-1`.
    EvolutionId, "evolution id"
);
typed_id!(
    /// One job: `EVOLUTION/PHASE/RECIPE_STEP/N`, for example `quickstart-1/g2/samples/3`.
    ///
    /// Ids of two kinds cannot be mixed:
    /// ```compile_fail
    /// use galapagos_domain::ids::{JobId, WorkerId};
    /// let worker: WorkerId = JobId::new("quickstart-1/g1/samples/0").unwrap();
    /// ```
    JobId, "job id"
);
typed_id!(
    /// One training round: `EVOLUTION/PHASE/RECIPE_STEP`, for example `quickstart-1/g1/candidate`.
    RoundId, "round id"
);
typed_id!(
    /// One worker process by its configured name, for example `w1`.
    WorkerId, "worker id"
);
typed_id!(
    /// One member of an evolution: `ROLE-gGENERATION-DIGEST8`, for example `policy-g1-7f3a90cc`.
    MemberId, "member id"
);
typed_id!(
    /// A name given by the recipe: a role, a task set, a dataset, a recipe step.
    Name, "name"
);

/// BLAKE3 of a byte string: names an immutable artifact.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Wraps 32 bytes that a BLAKE3 hasher produced.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hexadecimal characters.
    #[must_use]
    pub fn hex(&self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The first eight hexadecimal characters: for people, never for look-up.
    #[must_use]
    pub fn short(&self) -> String {
        self.hex()[..8].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl FromStr for Digest {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId { kind: "digest (64 hexadecimal characters)", text: text.to_owned() };
        if text.len() != 64 || !text.is_ascii() {
            return Err(invalid());
        }
        let mut bytes = [0u8; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| invalid())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.hex()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_a_path_or_a_shell_could_misread() {
        for bad in ["", "/x", "-x", "a b", "a\n", "ü", &"x".repeat(201)] {
            assert!(JobId::new(bad).is_err(), "{bad:?} was accepted");
        }
        assert_eq!(JobId::new("quickstart-1/g2/samples/3").unwrap().as_str(), "quickstart-1/g2/samples/3");
    }

    #[test]
    fn a_digest_round_trips_through_text() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.hex().parse::<Digest>().unwrap(), digest);
        assert!("zz".repeat(32).parse::<Digest>().is_err());
        assert!("ab".parse::<Digest>().is_err());
    }
}
