// bpf/decide.h compiled for the host: bytes come from an array.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

struct HostFrame {
  std::vector<uint8_t> bytes;
};
inline int host_load(void* frame, uint32_t offset, void* to, uint32_t size) {
  const auto* own = static_cast<const HostFrame*>(frame);
  if (offset > own->bytes.size() || size > own->bytes.size() - offset) return -1;
  std::memcpy(to, own->bytes.data() + offset, size);
  return 0;
}
#define weir_load(frame, offset, to, size) host_load((frame), (offset), (to), (size))

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include "bpf/decide.h"
#pragma GCC diagnostic pop
