// Makes the Gloo backend. libtorch's header is compiled against declarations in place of Gloo's own headers
// (gloo_headers/README.md), which is sound only while the pinned class has the layout of the shipped library.
#define USE_C10D_GLOO 1

#include "backend.h"
#include "handles.h"

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/version.h>

static_assert(
    TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR == 13,
    "this shim is checked against libtorch 2.13 only: check the layout of ProcessGroupGloo again, then change the pin");
#if defined(__x86_64__) && defined(__GNUC__)
// The size with which libtorch_cpu.so itself allocates the class (operator new in ProcessGroupGloo::split).
static_assert(
    sizeof(c10d::ProcessGroupGloo) == 0x1e8,
    "ProcessGroupGloo as declared here is not the class inside libtorch_cpu.so");
#endif

namespace galapagos {

c10::intrusive_ptr<c10d::Backend> make_gloo_backend(
    const c10::intrusive_ptr<c10d::Store>& store, const GcGroupSpec& spec) {
  auto options =
      c10::make_intrusive<c10d::ProcessGroupGloo::Options>(std::chrono::milliseconds(spec.timeout_ms));
  options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(to_string(spec.host)));
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, spec.rank, spec.world_size, options);
}

} // namespace galapagos
