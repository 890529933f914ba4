//! Where the coordinator is: a fixed address, or an announce file that is read anew before every connection, because a
//! restarted coordinator serves on another port.

use std::path::PathBuf;
use std::str::FromStr;

use galapagos_proto::announce::{AnnounceError, Announcement};
use galapagos_proto::client::Address;

/// `HOST:PORT`, `http://HOST:PORT` or `@FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Fixed(Address),
    Announced(PathBuf),
}

impl FromStr for Endpoint {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.strip_prefix('@') {
            Some(path) => Self::Announced(PathBuf::from(path)),
            None => Self::Fixed(Address::new(text)),
        })
    }
}

impl Endpoint {
    /// The address as it is now.
    pub(super) fn resolve(&self) -> Result<Address, AnnounceError> {
        match self {
            Self::Fixed(address) => Ok(address.clone()),
            Self::Announced(path) => Ok(Announcement::read(path)?.addr.into()),
        }
    }
}
