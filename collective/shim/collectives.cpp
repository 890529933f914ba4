// The collectives, through c10d::ProcessGroup whatever the backend. Each returns when it has completed.
#include "collective.h"
#include "group.h"
#include "guard.h"
#include "handles.h"

#include <exception>
#include <stdexcept>

using galapagos::guard;
using galapagos::to_tensor;

namespace {

using Work = c10::intrusive_ptr<c10d::Work>;

void wait(const Work& work) {
  if (!work->wait()) {
    throw std::runtime_error("the collective ended without completing");
  }
}

// Waits for all of them even if one fails, so that none writes to a tensor later; then reports the first failure.
void wait_all(const std::vector<Work>& works) {
  std::exception_ptr failure;
  for (const auto& work : works) {
    try {
      wait(work);
    } catch (...) {
      if (!failure) {
        failure = std::current_exception();
      }
    }
  }
  if (failure) {
    std::rethrow_exception(failure);
  }
}

// One dimension, outside of any graph, sharing memory: c10d compares shapes, which the caller has agreed on already.
at::Tensor flat(const void* tensor) {
  return to_tensor(tensor).detach().view({-1});
}

Work start_broadcast(GcGroup* group, const at::Tensor& tensor, int32_t root) {
  std::vector<at::Tensor> tensors{tensor};
  c10d::BroadcastOptions options;
  options.rootRank = root;
  return group->group->broadcast(tensors, options);
}

} // namespace

extern "C" {

int32_t gc_group_all_reduce_sum(GcGroup* group, const void* tensor) {
  return guard([&] {
    std::vector<at::Tensor> tensors{to_tensor(tensor)};
    wait(group->group->allreduce(tensors, c10d::AllreduceOptions{}));
  });
}

int32_t gc_group_all_gather(GcGroup* group, const void* output, const void* input) {
  return guard([&] {
    auto out = flat(output);
    auto in = flat(input);
    wait(group->group->all_gather_single(out, in, c10d::AllgatherOptions{}));
  });
}

int32_t gc_group_reduce_scatter_sum(GcGroup* group, const void* output, const void* input) {
  return guard([&] {
    auto out = flat(output);
    auto in = flat(input);
    wait(group->group->reduce_scatter_single(out, in, c10d::ReduceScatterOptions{}));
  });
}

int32_t gc_group_broadcast(GcGroup* group, const void* tensor, int32_t root) {
  return guard([&] { wait(start_broadcast(group, to_tensor(tensor), root)); });
}

int32_t gc_group_broadcast_each(GcGroup* group, const void* const* tensors, const int32_t* roots, size_t n) {
  return guard([&] {
    std::vector<Work> works;
    works.reserve(n);
    for (size_t i = 0; i < n; i++) {
      works.push_back(start_broadcast(group, to_tensor(tensors[i]).detach(), roots[i]));
    }
    wait_all(works);
  });
}

int32_t gc_group_barrier(GcGroup* group) {
  return guard([&] { wait(group->group->barrier(c10d::BarrierOptions{})); });
}

} // extern "C"
