//! Owners of the shim's handles: each frees its handle exactly once. They hold no policy.

use std::ptr::NonNull;

use crate::ffi;

macro_rules! owner {
    ($(#[$doc:meta])* $name:ident, $raw:ty, $free:path) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name(NonNull<$raw>);

        impl $name {
            /// Makes a handle with an entry that writes it to its `out` argument on success.
            pub(crate) fn create(entry: impl FnOnce(*mut *mut $raw) -> i32) -> Result<Self, String> {
                let mut out = std::ptr::null_mut();
                ffi::check(entry(&raw mut out))?;
                NonNull::new(out).map(Self).ok_or_else(|| "the shim returned no handle".to_owned())
            }

            /// The handle, valid while `self` is.
            pub(crate) fn as_ptr(&self) -> *mut $raw {
                self.0.as_ptr()
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: the handle came from the matching entry, is freed here only, and nobody keeps `as_ptr` longer.
                unsafe { $free(self.0.as_ptr()) }
            }
        }
    };
}

owner!(
    /// A connection to a store, and the store itself on the rank that serves it.
    StoreHandle,
    ffi::GcStore,
    ffi::gc_store_free
);
owner!(
    /// Values read from a store.
    BytesHandle,
    ffi::GcBytes,
    ffi::gc_bytes_free
);
owner!(
    /// A process group. Neither Send nor Sync: c10d numbers collectives without a lock, so two threads would mix them up.
    GroupHandle,
    ffi::GcGroup,
    ffi::gc_group_free
);
owner!(
    /// A reducer. Neither Send nor Sync: its hooks issue collectives on its group.
    ReducerHandle,
    ffi::GcReducer,
    ffi::gc_reducer_free
);

// SAFETY: the handle is a heap cell holding one reference-counted pointer (atomic count) to a TCPStore. Nothing in it
// belongs to a thread, and the shim writes the cell only when freeing it.
unsafe impl Send for StoreHandle {}
// SAFETY: every TCPStore operation the shim uses takes the store's own mutex, and set-up values (timeout, host) are not
// changed after construction. Concurrent callers wait for one another.
unsafe impl Sync for StoreHandle {}
