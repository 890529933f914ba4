// Keeps the message of a failed entry, and ends the process when nothing else may run.
#include "guard.h"

#include "collective.h"

#include <unistd.h>

#include <cstring>

namespace {
// Fixed storage: keeping an error must not throw.
thread_local char last_error[2048] = "";
} // namespace

namespace galapagos {

void set_last_error(const char* what) noexcept {
  size_t n = std::strcspn(what, "\n");
  if (n >= sizeof last_error) {
    n = sizeof last_error - 1;
  }
  std::memcpy(last_error, what, n);
  last_error[n] = '\0';
}

} // namespace galapagos

extern "C" const char* gc_last_error() {
  return last_error;
}

extern "C" void gc_exit_now(int32_t code) {
  _exit(code);
}
