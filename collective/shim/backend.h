// What differs between backends: how one is made. Everything else goes through c10d::ProcessGroup. Another backend is
// one more function here, in a file of its own, and one more entry in group.cpp.
#pragma once

#include "collective.h"

#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

namespace galapagos {

// `store` is already confined to the group's prefix. Each connects to all peers.
c10::intrusive_ptr<c10d::Backend> make_gloo_backend(
    const c10::intrusive_ptr<c10d::Store>& store, const GcGroupSpec& spec);
// Defined in builds with GALAPAGOS_CUDA only.
c10::intrusive_ptr<c10d::Backend> make_nccl_backend(
    const c10::intrusive_ptr<c10d::Store>& store, const GcGroupSpec& spec);

} // namespace galapagos
