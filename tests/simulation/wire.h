// Bytes of PostgreSQL messages, for the actors.
#pragma once
#include <cstdint>
#include <string>

namespace weir::simulation::wire {

inline std::string u16(uint32_t value) { return {static_cast<char>(value >> 8), static_cast<char>(value)}; }
inline std::string u32(uint32_t value) { return u16(value >> 16) + u16(value & 0xffff); }
inline std::string text(const std::string& value) { return value + '\0'; }
inline uint32_t read_u32(const std::string& bytes, std::size_t at) {
  uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}
inline uint32_t read_u16(const std::string& bytes, std::size_t at) {
  return static_cast<uint32_t>(static_cast<unsigned char>(bytes[at]) << 8 | static_cast<unsigned char>(bytes[at + 1]));
}
inline std::string read_text(const std::string& bytes, std::size_t& at) {
  const std::size_t end = bytes.find('\0', at);
  std::string value = bytes.substr(at, end - at);
  at = end == std::string::npos ? bytes.size() : end + 1;
  return value;
}
inline std::string message(char type, const std::string& body) { return type + u32(static_cast<uint32_t>(body.size() + 4)) + body; }

}  // namespace weir::simulation::wire
