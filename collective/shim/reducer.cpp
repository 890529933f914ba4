// Gradient all-reduce that overlaps with backward: c10d::Reducer, the engine of PyTorch's DistributedDataParallel.
#include "collective.h"
#include "group.h"
#include "guard.h"
#include "handles.h"

#include <torch/csrc/distributed/c10d/reducer.hpp>

#include <algorithm>
#include <memory>

using galapagos::guard;
using galapagos::to_tensor;
using galapagos::to_tensors;

struct GcReducer {
  std::unique_ptr<c10d::Reducer> reducer;
};

extern "C" {

int32_t gc_reducer_new(
    GcGroup* group, const void* const* params, size_t n, const GcReducerOptions* options, GcReducer** out) {
  return guard([&] {
    auto tensors = to_tensors(params, n);
    std::vector<bool> sparse(n, false);
    // As DistributedDataParallel does: one bucket until the first backward has shown the order of the gradients, unless
    // unused parameters may be skipped, in which case the order is not learned. Reversed, because backward is.
    std::vector<size_t> limits{SIZE_MAX};
    if (options->find_unused != 0) {
      limits = {static_cast<size_t>(options->first_bucket_bytes), static_cast<size_t>(options->bucket_bytes)};
    }
    auto buckets = std::get<0>(c10d::compute_bucket_assignment_by_size(tensors, limits, sparse));
    std::reverse(buckets.begin(), buckets.end());
    auto reducer = std::make_unique<c10d::Reducer>(
        std::move(tensors),
        std::move(buckets),
        group->group,
        std::move(sparse),
        options->bucket_bytes,
        options->find_unused != 0,
        /*gradient_as_bucket_view=*/options->bucket_view != 0,
        /*param_names=*/std::unordered_map<size_t, std::string>{},
        options->first_bucket_bytes,
        /*skip_all_reduce_unused_params=*/false,
        /*use_python_reducer=*/false,
        /*bucket_bytes_cap_list=*/std::vector<int64_t>{});
    *out = new GcReducer{std::move(reducer)};
  });
}

void gc_reducer_free(GcReducer* reducer) {
  // The hooks point at the reducer: they must be gone before it is, even if its destructor then throws.
  guard([&] { reducer->reducer->remove_autograd_hooks(); });
  guard([&] { delete reducer; });
}

int32_t gc_reducer_prepare_forward(GcReducer* reducer) {
  return guard([&] {
    reducer->reducer->prepare_for_forward();
    reducer->reducer->rebuild_buckets();
  });
}

int32_t gc_reducer_prepare_backward(GcReducer* reducer, const void* const* outputs, size_t n) {
  return guard([&] { reducer->reducer->prepare_for_backward(to_tensors(outputs, n)); });
}

int32_t gc_reducer_check_finalized(GcReducer* reducer) {
  return guard([&] { reducer->reducer->check_finalized(); });
}

int32_t gc_reducer_bucket_count(GcReducer* reducer, int64_t* out) {
  return guard([&] { *out = static_cast<int64_t>(reducer->reducer->get_grad_buckets().size()); });
}

int32_t gc_clear_grads(const void* const* params, size_t n) {
  return guard([&] {
    for (size_t i = 0; i < n; i++) {
      to_tensor(params[i]).mutable_grad().reset();
    }
  });
}

} // extern "C"
