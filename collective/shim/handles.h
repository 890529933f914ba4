// What the opaque handles of `collective.h` hold.
#pragma once

#include "collective.h"

#include <ATen/core/Tensor.h>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>
#include <string>
#include <vector>

struct GcStore {
  c10::intrusive_ptr<c10d::Store> store;
};

struct GcBytes {
  std::vector<std::vector<uint8_t>> values;
};

namespace galapagos {

inline std::string to_string(GcSlice s) {
  return std::string(reinterpret_cast<const char*>(s.data), s.len);
}

inline const at::Tensor& to_tensor(const void* tensor) {
  return *static_cast<const at::Tensor*>(tensor);
}

inline std::vector<at::Tensor> to_tensors(const void* const* tensors, size_t n) {
  std::vector<at::Tensor> out;
  out.reserve(n);
  for (size_t i = 0; i < n; i++) {
    out.push_back(to_tensor(tensors[i]));
  }
  return out;
}

} // namespace galapagos
