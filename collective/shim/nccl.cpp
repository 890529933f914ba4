// Makes the NCCL backend; compiled with the cargo feature `cuda` only. Needs the headers of CUDA and NCCL, and
// libtorch_cuda.so; libtorch loads NCCL itself.
#define USE_C10D_NCCL 1

#include "backend.h"
#include "handles.h"

#include <c10/util/env.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#include <torch/version.h>

static_assert(
    TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR == 13,
    "this shim is checked against libtorch 2.13 only: check the layout of ProcessGroupNCCL again, then change the pin");
#if defined(__x86_64__) && defined(__GNUC__)
// The sizes with which libtorch_cuda.so itself allocates the classes (operator new in ProcessGroupNCCL::shrink). Other
// headers of NCCL than those libtorch was built with can change them.
static_assert(
    sizeof(c10d::ProcessGroupNCCL) == 0x480 && sizeof(c10d::ProcessGroupNCCL::Options) == 0x100,
    "ProcessGroupNCCL as declared here is not the class inside libtorch_cuda.so: is nccl.h that of NCCL 2.29?");
#endif

namespace galapagos {

c10::intrusive_ptr<c10d::Backend> make_nccl_backend(
    const c10::intrusive_ptr<c10d::Store>& store, const GcGroupSpec& spec) {
  // A wait then returns only when the collective has ended on the device, and throws if it failed or took too long. Without
  // it libtorch starts threads that end the process on such a failure. Set through libtorch, which reads it under a lock.
  c10::utils::set_env("TORCH_NCCL_BLOCKING_WAIT", "1");
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = std::chrono::milliseconds(spec.timeout_ms);
  options->group_name = to_string(spec.prefix);
  const at::Device device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(spec.device));
  auto backend = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, spec.rank, spec.world_size, options);
  backend->setBoundDeviceId(device);
  // Else the first collective would, and a rank that cannot would fail there and not here.
  backend->eagerConnectSingleDevice(device);
  return backend;
}

} // namespace galapagos
