#pragma once

#include <chrono>

namespace gloo {

// Named by c10d behind std::shared_ptr only: declared here, never defined.
class Context {
 public:
  Context() = delete;
  void setTimeout(std::chrono::milliseconds); // named by an inline member that the shim never calls
};

} // namespace gloo
