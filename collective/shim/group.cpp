// Joins and leaves groups, whatever the backend.
#include "group.h"

#include "backend.h"
#include "guard.h"
#include "handles.h"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include <stdexcept>
#include <utility>

using galapagos::guard;
using galapagos::to_string;

namespace {

void join_nccl(
    c10d::ProcessGroup& group, const c10::intrusive_ptr<c10d::Store>& store, const GcGroupSpec& spec) {
#ifdef GALAPAGOS_CUDA
  group.setBoundDeviceId(at::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(spec.device)));
  group.setBackend(c10::DeviceType::CUDA, c10d::ProcessGroup::NCCL, galapagos::make_nccl_backend(store, spec));
  group.setDefaultBackend(c10d::ProcessGroup::NCCL);
#else
  throw std::runtime_error("this build has no NCCL");
#endif
}

void join_gloo(
    c10d::ProcessGroup& group, const c10::intrusive_ptr<c10d::Store>& store, const GcGroupSpec& spec) {
  group.setBackend(c10::DeviceType::CPU, c10d::ProcessGroup::GLOO, galapagos::make_gloo_backend(store, spec));
  group.setDefaultBackend(c10d::ProcessGroup::GLOO);
}

} // namespace

extern "C" {

int32_t gc_group_join(GcStore* store, const GcGroupSpec* spec, GcGroup** out) {
  return guard([&] {
    auto prefix = to_string(spec->prefix);
    c10::intrusive_ptr<c10d::Store> own = c10::make_intrusive<c10d::PrefixStore>(prefix, store->store);
    auto group = c10::make_intrusive<c10d::ProcessGroup>(own, spec->rank, spec->world_size);
    if (spec->backend == GC_BACKEND_NCCL) {
      join_nccl(*group, own, *spec);
    } else {
      join_gloo(*group, own, *spec);
    }
    group->setGroupName(prefix);
    *out = new GcGroup{std::move(group)};
  });
}

int32_t gc_group_abort(GcGroup* group) {
  return guard([&] {
    if (!std::exchange(group->closed, true)) {
      group->group->abort();
    }
  });
}

int32_t gc_group_shutdown(GcGroup* group) {
  return guard([&] {
    if (!std::exchange(group->closed, true)) {
      group->group->shutdown();
    }
  });
}

void gc_group_free(GcGroup* group) {
  // Nothing is left to be reported to when it fails.
  gc_group_abort(group);
  guard([&] { delete group; });
}

} // extern "C"
