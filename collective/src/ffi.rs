//! The C interface of the shim, entry by entry as in `shim/collective.h`, which holds the contract. Nothing here is safe
//! to call; `handle.rs`, `store.rs`, `group.rs`, `collectives.rs`, `reducer.rs`, `grads.rs`, `fused.rs` and
//! `watchdog.rs` are its only users.

use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;

macro_rules! opaque {
    ($($name:ident),*) => {
        $(
            #[repr(C)]
            #[derive(Debug)]
            pub(crate) struct $name {
                _opaque: [u8; 0],
            }
        )*
    };
}

opaque!(GcStore, GcGroup, GcReducer, GcBytes);

/// Bytes borrowed for `'a`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct GcSlice<'a> {
    data: *const u8,
    len: usize,
    borrowed: PhantomData<&'a [u8]>,
}

impl<'a> GcSlice<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { data: bytes.as_ptr(), len: bytes.len(), borrowed: PhantomData }
    }

    /// # Safety
    /// The slice must come from an entry of the shim, and what it borrows from must live for `'a`.
    pub(crate) unsafe fn as_bytes(self) -> &'a [u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: the caller vouches for the pointer; a non-empty std::vector's data is non-null and readable.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

pub(crate) const GC_BACKEND_GLOO: i32 = 0;
pub(crate) const GC_BACKEND_NCCL: i32 = 1;

#[repr(C)]
#[derive(Debug)]
pub(crate) struct GcGroupSpec<'a> {
    pub(crate) prefix: GcSlice<'a>,
    pub(crate) host: GcSlice<'a>,
    pub(crate) backend: i32,
    pub(crate) device: i32,
    pub(crate) rank: i32,
    pub(crate) world_size: i32,
    pub(crate) timeout_ms: i64,
}

#[repr(C)]
#[derive(Debug)]
pub(crate) struct GcReducerOptions {
    pub(crate) bucket_bytes: i64,
    pub(crate) first_bucket_bytes: i64,
    pub(crate) find_unused: i32,
    pub(crate) bucket_view: i32,
}

#[repr(C)]
#[derive(Debug)]
pub(crate) struct GcMoved {
    pub(crate) weights: *const *const c_void,
    pub(crate) gradients: *const *const c_void,
    pub(crate) firsts: *const *const c_void,
    pub(crate) seconds: *const *const c_void,
    pub(crate) n: usize,
}

#[repr(C)]
#[derive(Debug)]
pub(crate) struct GcAdamw {
    pub(crate) lr: f64,
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) eps: f64,
    pub(crate) weight_decay: f64,
    pub(crate) gradient_factor: f64,
    pub(crate) step: u64,
}

#[repr(C)]
#[derive(Debug)]
pub(crate) struct GcSgd {
    pub(crate) lr: f64,
    pub(crate) momentum: f64,
    pub(crate) weight_decay: f64,
    pub(crate) gradient_factor: f64,
    pub(crate) nesterov: i32,
}

unsafe extern "C" {
    fn gc_last_error() -> *const c_char;
    pub(crate) safe fn gc_exit_now(code: i32) -> !;

    pub(crate) fn gc_store_listen(
        host: GcSlice<'_>,
        port: u16,
        listen_fd: i32,
        timeout_ms: i64,
        out: *mut *mut GcStore,
    ) -> i32;
    pub(crate) fn gc_store_connect(host: GcSlice<'_>, port: u16, timeout_ms: i64, out: *mut *mut GcStore) -> i32;
    pub(crate) fn gc_store_free(store: *mut GcStore);
    pub(crate) fn gc_store_set(store: *mut GcStore, key: GcSlice<'_>, value: GcSlice<'_>) -> i32;
    pub(crate) fn gc_store_add(store: *mut GcStore, key: GcSlice<'_>, delta: i64, out: *mut i64) -> i32;
    pub(crate) fn gc_store_contains(store: *mut GcStore, key: GcSlice<'_>, out: *mut i32) -> i32;
    pub(crate) fn gc_store_delete(store: *mut GcStore, key: GcSlice<'_>) -> i32;
    pub(crate) fn gc_store_get_many(
        store: *mut GcStore,
        keys: *const GcSlice<'_>,
        n: usize,
        timeout_ms: i64,
        out: *mut *mut GcBytes,
    ) -> i32;

    pub(crate) fn gc_bytes_at<'a>(bytes: *const GcBytes, i: usize) -> GcSlice<'a>;
    pub(crate) fn gc_bytes_free(bytes: *mut GcBytes);

    pub(crate) fn gc_group_join(store: *mut GcStore, spec: *const GcGroupSpec<'_>, out: *mut *mut GcGroup) -> i32;
    pub(crate) fn gc_group_abort(group: *mut GcGroup) -> i32;
    pub(crate) fn gc_group_shutdown(group: *mut GcGroup) -> i32;
    pub(crate) fn gc_group_free(group: *mut GcGroup);
    pub(crate) fn gc_group_all_reduce_sum(group: *mut GcGroup, tensor: *const c_void) -> i32;
    pub(crate) fn gc_group_all_gather(group: *mut GcGroup, output: *const c_void, input: *const c_void) -> i32;
    pub(crate) fn gc_group_reduce_scatter_sum(group: *mut GcGroup, output: *const c_void, input: *const c_void) -> i32;
    pub(crate) fn gc_group_broadcast(group: *mut GcGroup, tensor: *const c_void, root: i32) -> i32;
    pub(crate) fn gc_group_broadcast_each(
        group: *mut GcGroup,
        tensors: *const *const c_void,
        roots: *const i32,
        n: usize,
    ) -> i32;
    pub(crate) fn gc_group_barrier(group: *mut GcGroup) -> i32;

    pub(crate) fn gc_reducer_new(
        group: *mut GcGroup,
        params: *const *const c_void,
        n: usize,
        options: *const GcReducerOptions,
        out: *mut *mut GcReducer,
    ) -> i32;
    pub(crate) fn gc_reducer_free(reducer: *mut GcReducer);
    pub(crate) fn gc_reducer_prepare_forward(reducer: *mut GcReducer) -> i32;
    pub(crate) fn gc_reducer_prepare_backward(reducer: *mut GcReducer, outputs: *const *const c_void, n: usize) -> i32;
    pub(crate) fn gc_reducer_check_finalized(reducer: *mut GcReducer) -> i32;
    pub(crate) fn gc_reducer_bucket_count(reducer: *mut GcReducer, out: *mut i64) -> i32;

    pub(crate) fn gc_clear_grads(params: *const *const c_void, n: usize) -> i32;

    pub(crate) fn gc_fused_adamw(moved: *const GcMoved, by: *const GcAdamw) -> i32;
    pub(crate) fn gc_fused_sgd(moved: *const GcMoved, by: *const GcSgd) -> i32;
    pub(crate) fn gc_norm(tensors: *const *const c_void, n: usize, out: *mut f64) -> i32;
}

/// Turns an entry's return code into a result; must be called on the thread of the entry, before another entry.
pub(crate) fn check(code: i32) -> Result<(), String> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: gc_last_error returns this thread's NUL-terminated static buffer, which only an entry on this thread changes.
    let message = unsafe { CStr::from_ptr(gc_last_error()) };
    Err(message.to_string_lossy().into_owned())
}

/// The pointers that the shim takes for a list of tensors. Valid while `tensors` is borrowed.
pub(crate) fn tensor_pointers<'a>(tensors: impl IntoIterator<Item = &'a tch::Tensor>) -> Vec<*const c_void> {
    tensors.into_iter().map(tensor_pointer).collect()
}

/// tch's tensor handle is a pointer to an `at::Tensor`, which is what the shim takes.
pub(crate) fn tensor_pointer(tensor: &tch::Tensor) -> *const c_void {
    tensor.as_ptr().cast()
}
