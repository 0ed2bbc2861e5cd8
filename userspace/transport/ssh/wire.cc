#include "transport/ssh/wire.h"

#include "base/check.h"

namespace weir::ssh {
namespace {

constexpr std::size_t kNameSizeMax = 64;

template <class T>
void append(Buffer& out, T value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof(T));
  store_be<T>(out, at, value);
}

}  // namespace

Bytes WireReader::mpint() noexcept {
  Bytes bytes = string();
  if (bytes.empty()) return bytes;
  const auto first = std::to_integer<uint8_t>(bytes[0]);
  const bool is_negative = (first & 0x80) != 0;
  const bool is_padded = first == 0;
  if (is_padded) bytes = bytes.subspan(1);
  // A zero in front is there for one reason only: the next byte would look like a sign.
  const bool needs_pad = !bytes.empty() && (std::to_integer<uint8_t>(bytes[0]) & 0x80) != 0;
  if (is_negative || (is_padded && !needs_pad)) {
    is_bad_ = true;
    return {};
  }
  return bytes;
}

WireWriter& WireWriter::u8(uint8_t value) {
  out_.push_back(std::byte{value});
  return *this;
}
WireWriter& WireWriter::u32(uint32_t value) {
  append(out_, value);
  return *this;
}
WireWriter& WireWriter::u64(uint64_t value) {
  append(out_, value);
  return *this;
}
WireWriter& WireWriter::raw(Bytes bytes) {
  out_.insert(out_.end(), bytes.begin(), bytes.end());
  return *this;
}
WireWriter& WireWriter::string(Bytes bytes) {
  WEIR_CHECK(bytes.size() <= UINT32_MAX);
  return u32(static_cast<uint32_t>(bytes.size())).raw(bytes);
}
WireWriter& WireWriter::mpint(Bytes magnitude) {
  const Bytes bytes = without_leading_zeros(magnitude);
  const bool needs_pad = !bytes.empty() && (std::to_integer<uint8_t>(bytes[0]) & 0x80) != 0;
  u32(static_cast<uint32_t>(bytes.size() + (needs_pad ? 1 : 0)));
  if (needs_pad) u8(0);
  return raw(bytes);
}

std::string_view take_name(std::string_view& list) noexcept {
  const std::size_t comma = list.find(',');
  const std::string_view name = list.substr(0, comma);
  list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
  return name;
}

bool has_name(std::string_view list, std::string_view name) noexcept {
  while (!list.empty()) {
    if (take_name(list) == name) return true;
  }
  return false;
}

bool is_name_list(std::string_view list) noexcept {
  if (list.empty()) return true;
  std::size_t size = 0;
  for (const char c : list) {
    if (c == ',') {
      if (size == 0) return false;
      size = 0;
      continue;
    }
    if (c <= 0x20 || c >= 0x7f || ++size > kNameSizeMax) return false;
  }
  return size != 0;
}

Bytes without_leading_zeros(Bytes magnitude) noexcept {
  while (!magnitude.empty() && magnitude[0] == std::byte{0}) magnitude = magnitude.subspan(1);
  return magnitude;
}

}  // namespace weir::ssh
