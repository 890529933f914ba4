// The C interface between the Rust half of this crate (`src/ffi.rs`) and libtorch: its c10d,
// and kernels that tch lacks.
//
// Every entry that can fail returns 0 on success and -1 on failure; the reason is then in `gc_last_error()` of the same
// thread. No C++ exception leaves an entry. Handles are created by an entry with an `out` argument, are owned by the
// caller and are freed by the matching `_free`; `out` is written only on success. A `tensor` is tch's own handle, a
// pointer to an `at::Tensor`. Times are milliseconds.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

struct GcStore;
struct GcGroup;
struct GcReducer;
struct GcBytes;

// Borrowed bytes, valid for the duration of the call.
struct GcSlice {
  const uint8_t* data;
  size_t len;
};

constexpr int32_t GC_BACKEND_GLOO = 0; // CPU tensors
constexpr int32_t GC_BACKEND_NCCL = 1; // CUDA tensors; in builds with the feature `cuda`

struct GcGroupSpec {
  GcSlice prefix; // namespace of this group's keys in the store; never used twice
  GcSlice host; // address of the interface that peers connect to; NCCL finds its own
  int32_t backend; // one of GC_BACKEND_*
  int32_t device; // number of the CUDA device; Gloo takes none
  int32_t rank;
  int32_t world_size;
  int64_t timeout_ms; // of the connection phase and of every collective
};

struct GcReducerOptions {
  int64_t bucket_bytes;
  int64_t first_bucket_bytes;
  int32_t find_unused;
  int32_t bucket_view; // gradients become views into the buckets
};

// Weights to move, `n` in each list. Dense contiguous f32 tensors on one device, of equal sizes at equal places, no two of
// which share memory.
struct GcMoved {
  const void* const* weights;
  const void* const* gradients;
  const void* const* firsts; // AdamW's means, SGD's momenta
  const void* const* seconds; // AdamW's squares
  size_t n;
};

struct GcAdamw {
  double lr;
  double beta1;
  double beta2;
  double eps;
  double weight_decay;
  double gradient_factor;
  uint64_t step; // of this update, counted from 1
};

struct GcSgd {
  double lr;
  double momentum; // 0: `firsts` is not looked at
  double weight_decay;
  double gradient_factor;
  int32_t nesterov;
};

// Why the last failing entry of this thread failed; first line only, without a backtrace. Valid until the next entry.
const char* gc_last_error();

// Ends the process at once with `code`: no destructors, no atexit handlers, which could wait for a stuck collective.
[[noreturn]] void gc_exit_now(int32_t code);

// Serves a store on `listen_fd`, a listening socket bound to `host`:`port`, and connects to it. Owns the socket from
// here on, on failure too. Does not wait for peers.
int32_t gc_store_listen(GcSlice host, uint16_t port, int32_t listen_fd, int64_t timeout_ms, GcStore** out);
// Connects to the store served at `host`:`port`, retrying for `timeout_ms` (c10d may take about twice as long).
int32_t gc_store_connect(GcSlice host, uint16_t port, int64_t timeout_ms, GcStore** out);
void gc_store_free(GcStore* store);
int32_t gc_store_set(GcStore* store, GcSlice key, GcSlice value);
// Adds `delta` to the decimal counter at `key` (absent: 0); `out` is the sum.
int32_t gc_store_add(GcStore* store, GcSlice key, int64_t delta, int64_t* out);
// `out` is 1 if the key is there and 0 if not.
int32_t gc_store_contains(GcStore* store, GcSlice key, int32_t* out);
int32_t gc_store_delete(GcStore* store, GcSlice key);
// Waits until all `n` keys are there, at most `timeout_ms`, and returns their values in the same order.
int32_t gc_store_get_many(GcStore* store, const GcSlice* keys, size_t n, int64_t timeout_ms, GcBytes** out);

// Value `i` of a `gc_store_get_many`; borrowed from `bytes`.
GcSlice gc_bytes_at(const GcBytes* bytes, size_t i);
void gc_bytes_free(GcBytes* bytes);

// Connects all ranks.
int32_t gc_group_join(GcStore* store, const GcGroupSpec* spec, GcGroup** out);
// Ends what still runs on the group without waiting for other ranks. Does nothing on Gloo, whose connections close with
// the group. No collective may follow.
int32_t gc_group_abort(GcGroup* group);
// Ends the group in good order with the other ranks, after all their collectives. Does nothing on Gloo.
int32_t gc_group_shutdown(GcGroup* group);
// Aborts unless the group was aborted or shut down.
void gc_group_free(GcGroup* group);
// The collectives take dense contiguous tensors and return when they are complete. Writes are in place.
int32_t gc_group_all_reduce_sum(GcGroup* group, const void* tensor);
// `output` has the elements of all ranks' `input`s, one rank after the other.
int32_t gc_group_all_gather(GcGroup* group, const void* output, const void* input);
// `input` has one part for each rank, one after the other; `output` is the sum over ranks of this rank's part.
int32_t gc_group_reduce_scatter_sum(GcGroup* group, const void* output, const void* input);
int32_t gc_group_broadcast(GcGroup* group, const void* tensor, int32_t root);
// Tensor `i` from rank `roots[i]`, outside of any graph; all at the same time. The tensors must not share memory.
int32_t gc_group_broadcast_each(GcGroup* group, const void* const* tensors, const int32_t* roots, size_t n);
int32_t gc_group_barrier(GcGroup* group);

// Hooks the gradients of `params` (leaves that require a gradient) for all-reduce during backward. The caller has made
// sure that shapes, kinds and options are the same on all ranks.
int32_t gc_reducer_new(
    GcGroup* group, const void* const* params, size_t n, const GcReducerOptions* options, GcReducer** out);
void gc_reducer_free(GcReducer* reducer);
// Before the forward pass of a step that reduces. Rearranges the buckets once, after the first such step.
int32_t gc_reducer_prepare_forward(GcReducer* reducer);
// Arms the hooks for the next backward pass. `outputs` is looked at only with `find_unused`.
int32_t gc_reducer_prepare_backward(GcReducer* reducer, const void* const* outputs, size_t n);
// Fails unless the armed backward pass has reduced every bucket.
int32_t gc_reducer_check_finalized(GcReducer* reducer);
int32_t gc_reducer_bucket_count(GcReducer* reducer, int64_t* out);

// Makes the gradients of `params` undefined, as `zero_grad(set_to_none)` does.
int32_t gc_clear_grads(const void* const* params, size_t n);

// One update in place, outside of any graph, by the gradients times `gradient_factor`, which may be written back into
// them. Weight decay is decoupled.
int32_t gc_fused_adamw(const GcMoved* moved, const GcAdamw* by);
int32_t gc_fused_sgd(const GcMoved* moved, const GcSgd* by);

// The 2-norm of dense contiguous f32 tensors taken as one vector, accumulated in f64.
int32_t gc_norm(const void* const* tensors, size_t n, double* out);

} // extern "C"
