// The only way out of an entry: turns every C++ exception into -1 and a message kept for `gc_last_error`.
#pragma once

#include <c10/util/Exception.h>

#include <exception>
#include <string>

namespace galapagos {

// Keeps the first line of `what` for `gc_last_error` of this thread.
void set_last_error(const char* what) noexcept;

template <class Body>
int guard(Body&& body) noexcept {
  try {
    body();
    return 0;
  } catch (const c10::Error& e) {
    set_last_error(e.what_without_backtrace());
  } catch (const std::exception& e) {
    set_last_error(e.what());
  } catch (...) {
    set_last_error("a C++ exception of unknown type");
  }
  return -1;
}

} // namespace galapagos
