// The key-value store through which ranks meet: c10d's TCPStore.
#include "collective.h"
#include "guard.h"
#include "handles.h"

#include <torch/csrc/distributed/c10d/TCPStore.hpp>

using galapagos::guard;
using galapagos::to_string;

namespace {

c10d::TCPStoreOptions options(uint16_t port, int64_t timeout_ms) {
  c10d::TCPStoreOptions o;
  o.port = port;
  o.timeout = std::chrono::milliseconds(timeout_ms);
  // Joining is agreed by the group, which can name who is missing; the store's own wait cannot.
  o.waitWorkers = false;
  return o;
}

} // namespace

extern "C" {

int32_t gc_store_listen(GcSlice host, uint16_t port, int32_t listen_fd, int64_t timeout_ms, GcStore** out) {
  return guard([&] {
    auto o = options(port, timeout_ms);
    o.isServer = true;
    // Without it c10d listens on every interface, whatever `host` says.
    o.masterListenFd = listen_fd;
    *out = new GcStore{c10::make_intrusive<c10d::TCPStore>(to_string(host), o)};
  });
}

int32_t gc_store_connect(GcSlice host, uint16_t port, int64_t timeout_ms, GcStore** out) {
  return guard([&] {
    *out = new GcStore{c10::make_intrusive<c10d::TCPStore>(to_string(host), options(port, timeout_ms))};
  });
}

void gc_store_free(GcStore* store) {
  guard([&] { delete store; });
}

int32_t gc_store_set(GcStore* store, GcSlice key, GcSlice value) {
  return guard([&] {
    store->store->set(to_string(key), std::vector<uint8_t>(value.data, value.data + value.len));
  });
}

int32_t gc_store_add(GcStore* store, GcSlice key, int64_t delta, int64_t* out) {
  return guard([&] { *out = store->store->add(to_string(key), delta); });
}

int32_t gc_store_contains(GcStore* store, GcSlice key, int32_t* out) {
  return guard([&] { *out = store->store->check({to_string(key)}) ? 1 : 0; });
}

int32_t gc_store_delete(GcStore* store, GcSlice key) {
  return guard([&] { store->store->deleteKey(to_string(key)); });
}

int32_t gc_store_get_many(GcStore* store, const GcSlice* keys, size_t n, int64_t timeout_ms, GcBytes** out) {
  return guard([&] {
    std::vector<std::string> names;
    names.reserve(n);
    for (size_t i = 0; i < n; i++) {
      names.push_back(to_string(keys[i]));
    }
    store->store->wait(names, std::chrono::milliseconds(timeout_ms));
    *out = new GcBytes{store->store->multiGet(names)};
  });
}

GcSlice gc_bytes_at(const GcBytes* bytes, size_t i) {
  const auto& value = bytes->values[i];
  return GcSlice{value.data(), value.size()};
}

void gc_bytes_free(GcBytes* bytes) {
  guard([&] { delete bytes; });
}

} // extern "C"
