// Process groups and their collectives, through c10d::ProcessGroup whatever the backend.
#include "group.h"

#include "backend.h"
#include "guard.h"
#include "handles.h"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include <stdexcept>

using galapagos::guard;
using galapagos::to_string;
using galapagos::to_tensor;

namespace {

void wait(const c10::intrusive_ptr<c10d::Work>& work) {
  if (!work->wait()) {
    throw std::runtime_error("the collective ended without completing");
  }
}

} // namespace

extern "C" {

int32_t gc_group_gloo(GcStore* store, const GcGroupSpec* spec, GcGroup** out) {
  return guard([&] {
    auto prefix = to_string(spec->prefix);
    c10::intrusive_ptr<c10d::Store> own = c10::make_intrusive<c10d::PrefixStore>(prefix, store->store);
    auto backend = galapagos::make_gloo_backend(own, *spec);
    auto group = c10::make_intrusive<c10d::ProcessGroup>(own, spec->rank, spec->world_size);
    group->setBackend(c10::DeviceType::CPU, c10d::ProcessGroup::GLOO, backend);
    group->setDefaultBackend(c10d::ProcessGroup::GLOO);
    group->setGroupName(prefix);
    *out = new GcGroup{std::move(group)};
  });
}

void gc_group_free(GcGroup* group) {
  guard([&] { delete group; });
}

int32_t gc_group_all_reduce_sum(GcGroup* group, const void* tensor) {
  return guard([&] {
    std::vector<at::Tensor> tensors{to_tensor(tensor)};
    wait(group->group->allreduce(tensors, c10d::AllreduceOptions{}));
  });
}

int32_t gc_group_broadcast(GcGroup* group, const void* tensor, int32_t root) {
  return guard([&] {
    std::vector<at::Tensor> tensors{to_tensor(tensor)};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    wait(group->group->broadcast(tensors, options));
  });
}

int32_t gc_group_barrier(GcGroup* group) {
  return guard([&] { wait(group->group->barrier(c10d::BarrierOptions{})); });
}

} // extern "C"
