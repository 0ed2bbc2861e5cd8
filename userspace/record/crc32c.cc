#include "record/crc32c.h"

#include <array>
#include <cstring>

namespace weir::record {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // Reflected.

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t index = 0; index < 256; ++index) {
    uint32_t value = index;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? kPolynomial : 0);
    table[index] = value;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kTable = make_table();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t crc32c_by_instruction(uint32_t crc, Bytes bytes) noexcept {
  uint64_t value = crc ^ 0xffffffffU;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, at, 8);
    value = __builtin_ia32_crc32di(value, word);
  }
  auto narrow = static_cast<uint32_t>(value);
  for (; left > 0; --left, ++at) narrow = __builtin_ia32_crc32qi(narrow, std::to_integer<uint8_t>(*at));
  return narrow ^ 0xffffffffU;
}
#endif

}  // namespace

uint32_t crc32c_by_table(uint32_t crc, Bytes bytes) noexcept {
  uint32_t value = crc ^ 0xffffffffU;
  for (const std::byte byte : bytes) value = (value >> 8) ^ kTable[(value ^ std::to_integer<uint32_t>(byte)) & 0xff];
  return value ^ 0xffffffffU;
}

uint32_t crc32c(uint32_t crc, Bytes bytes) noexcept {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return crc32c_by_instruction(crc, bytes);
#endif
  return crc32c_by_table(crc, bytes);
}

}  // namespace weir::record
