//! The key-value store where the ranks of a round meet. One rank serves it, all connect to it.
//!
//! c10d's store has no authentication and, left alone, listens on every interface; here it listens on one loopback or
//! private address only. It must not be offered to an untrusted network.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::time::Duration;

use galapagos_telemetry::clock::monotonic_ms;

use crate::classify::{Cause, classify};
use crate::error::Error;
use crate::ffi::{self, GcSlice};
use crate::handle::{BytesHandle, StoreHandle};

/// A connection to a store; clones share it. Calls from several threads wait for one another, a long
/// [`Store::get`] included. Keys that start with `galapagos/` are this crate's own.
///
/// A call other than `get` and `get_many` waits for the serving process without a deadline of its own: if that process
/// is stopped but not dead, the [`crate::Watchdog`] is what ends the wait.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    handle: StoreHandle,
    addr: SocketAddr,
    serves: bool,
}

impl Store {
    /// Serves a new store on a free port of `bind_ip`, which must be a loopback or private address, and connects to it.
    /// Does not wait for other ranks. The store ends when the last clone is dropped.
    ///
    /// # Errors
    /// `Argument` if `bind_ip` is neither loopback nor private, `Bind` if no socket could be made, `Rendezvous` if the
    /// store did not start.
    pub fn listen(bind_ip: IpAddr, timeout: Duration) -> Result<Self, Error> {
        if !is_inside(bind_ip) {
            return Err(Error::Argument {
                op: "store.listen",
                wrong: format!("{bind_ip} is not a loopback or private address, and the store has no authentication"),
            });
        }
        let wanted = SocketAddr::new(bind_ip, 0);
        let bind = |source| Error::Bind { addr: wanted, source };
        let listener = TcpListener::bind(wanted).map_err(bind)?;
        let addr = listener.local_addr().map_err(bind)?;
        // The store owns the socket from here on.
        let fd = listener.into_raw_fd();
        let host = addr.ip().to_string();
        Self::open(addr, true, |out| {
            // SAFETY: `host` outlives the call, `fd` is a listening socket owned by nobody else, `out` is writable.
            unsafe { ffi::gc_store_listen(GcSlice::new(host.as_bytes()), addr.port(), fd, millis(timeout), out) }
        })
    }

    /// Connects to the store that another rank serves at `addr`, retrying until `timeout`.
    ///
    /// # Errors
    /// `Rendezvous` if there is no store at `addr`; c10d's retries can take up to about twice `timeout`.
    pub fn connect(addr: SocketAddr, timeout: Duration) -> Result<Self, Error> {
        let host = addr.ip().to_string();
        Self::open(addr, false, |out| {
            // SAFETY: `host` outlives the call and `out` is writable.
            unsafe { ffi::gc_store_connect(GcSlice::new(host.as_bytes()), addr.port(), millis(timeout), out) }
        })
    }

    fn open(addr: SocketAddr, serves: bool, entry: impl FnOnce(*mut *mut ffi::GcStore) -> i32) -> Result<Self, Error> {
        let started_ms = monotonic_ms();
        match StoreHandle::create(entry) {
            Ok(handle) => Ok(Self { inner: Arc::new(Inner { handle, addr, serves }) }),
            Err(message) => {
                Err(Error::Rendezvous { addr, waited_ms: monotonic_ms().saturating_sub(started_ms), message })
            }
        }
    }

    /// Where the store is served: what other ranks connect to.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.inner.addr
    }

    /// Whether this process serves the store, so that the store ends with it.
    #[must_use]
    pub fn is_served_here(&self) -> bool {
        self.inner.serves
    }

    /// Sets `key`, overwriting it.
    ///
    /// # Errors
    /// `Store` if the serving process is gone.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        // SAFETY: the handle is alive, and key and value outlive the call.
        let code = unsafe { ffi::gc_store_set(self.ptr(), slice(key), GcSlice::new(value)) };
        self.check(code, || format!("set `{key}`"))
    }

    /// Adds `delta` to the counter at `key` (absent: 0) and returns the sum. One atomic step for all ranks.
    ///
    /// # Errors
    /// `Store` if the serving process is gone.
    pub fn add(&self, key: &str, delta: i64) -> Result<i64, Error> {
        let mut sum = 0;
        // SAFETY: the handle is alive, the key outlives the call and `sum` is writable.
        let code = unsafe { ffi::gc_store_add(self.ptr(), slice(key), delta, &raw mut sum) };
        self.check(code, || format!("add to `{key}`"))?;
        Ok(sum)
    }

    /// Whether `key` is set now.
    ///
    /// # Errors
    /// `Store` if the serving process is gone.
    pub fn contains(&self, key: &str) -> Result<bool, Error> {
        let mut found = 0;
        // SAFETY: the handle is alive, the key outlives the call and `found` is writable.
        let code = unsafe { ffi::gc_store_contains(self.ptr(), slice(key), &raw mut found) };
        self.check(code, || format!("look for `{key}`"))?;
        Ok(found == 1)
    }

    /// Removes `key` if it is there.
    ///
    /// # Errors
    /// `Store` if the serving process is gone.
    pub fn delete(&self, key: &str) -> Result<(), Error> {
        // SAFETY: the handle is alive and the key outlives the call.
        let code = unsafe { ffi::gc_store_delete(self.ptr(), slice(key)) };
        self.check(code, || format!("delete `{key}`"))
    }

    /// Waits until `key` is set and returns its value.
    ///
    /// # Errors
    /// `KeysMissing` after `timeout`, `Store` if the serving process is gone.
    pub fn get(&self, key: &str, timeout: Duration) -> Result<Vec<u8>, Error> {
        Ok(self.get_many(&[key.to_owned()], timeout)?.pop().unwrap_or_default())
    }

    /// Waits until all `keys` are set and returns their values in the same order.
    ///
    /// # Errors
    /// `KeysMissing` after `timeout` with the keys that are not there, `Store` if the serving process is gone.
    pub fn get_many(&self, keys: &[String], timeout: Duration) -> Result<Vec<Vec<u8>>, Error> {
        let started_ms = monotonic_ms();
        let slices: Vec<_> = keys.iter().map(|key| slice(key)).collect();
        let read = BytesHandle::create(|out| {
            // SAFETY: the handle is alive, `slices` has `slices.len()` entries that outlive the call, `out` is writable.
            unsafe { ffi::gc_store_get_many(self.ptr(), slices.as_ptr(), slices.len(), millis(timeout), out) }
        });
        match read {
            Ok(bytes) => Ok((0..keys.len())
                .map(|i| {
                    // SAFETY: the entry returned one value for each key, and `bytes` outlives the copy.
                    unsafe { ffi::gc_bytes_at(bytes.as_ptr(), i).as_bytes().to_vec() }
                })
                .collect()),
            Err(message) if classify(&message) == Cause::Timeout => {
                let waited_ms = monotonic_ms().saturating_sub(started_ms);
                let absent = self.absent(keys)?;
                // The last key came between the deadline and our look.
                if absent.is_empty() {
                    return self.get_many(keys, timeout);
                }
                Err(Error::KeysMissing { keys: absent, waited_ms })
            }
            Err(message) => Err(self.failed(format!("read [{}]", keys.join(", ")), message)),
        }
    }

    fn absent(&self, keys: &[String]) -> Result<Vec<String>, Error> {
        let mut absent = Vec::new();
        for key in keys {
            if !self.contains(key)? {
                absent.push(key.clone());
            }
        }
        Ok(absent)
    }

    pub(crate) fn ptr(&self) -> *mut ffi::GcStore {
        self.inner.handle.as_ptr()
    }

    fn check(&self, code: i32, action: impl FnOnce() -> String) -> Result<(), Error> {
        ffi::check(code).map_err(|message| self.failed(action(), message))
    }

    fn failed(&self, action: String, message: String) -> Error {
        Error::Store { addr: self.inner.addr, action, message }
    }
}

fn slice(key: &str) -> GcSlice<'_> {
    GcSlice::new(key.as_bytes())
}

/// Whole milliseconds for c10d, at least 1: it takes 0 for "no timeout".
pub(crate) fn millis(timeout: Duration) -> i64 {
    i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX / 2_000_000).max(1)
}

/// Loopback, private (RFC 1918, RFC 4193), link-local or carrier-shared (RFC 6598) addresses.
fn is_inside(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local() || is_shared(v4),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

fn is_shared(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    a == 100 && (64..128).contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_inside_addresses_may_be_listened_on() {
        for ip in ["127.0.0.1", "10.1.2.3", "192.168.0.9", "172.16.0.1", "100.64.0.1", "::1", "fd00::1"] {
            assert!(is_inside(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["0.0.0.0", "::", "8.8.8.8", "100.128.0.1", "172.32.0.1", "2001:db8::1"] {
            let refused = Store::listen(ip.parse().unwrap(), Duration::from_secs(1));
            assert!(matches!(refused, Err(Error::Argument { .. })), "{ip}: {refused:?}");
        }
    }

    #[test]
    fn timeouts_stay_within_what_c10d_can_count() {
        assert_eq!(millis(Duration::ZERO), 1);
        assert_eq!(millis(Duration::from_secs(2)), 2000);
        assert!(millis(Duration::MAX).checked_mul(1_000_000).is_some());
    }
}
