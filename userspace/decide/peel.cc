#include "decide/peel.h"

#include <array>
#include <cstdint>

namespace weir::decide {
namespace {

constexpr uint8_t kBase64 = 1, kHex = 2, kUpper = 4, kLower = 8;
constexpr uint8_t kNoDigit = 0xff;

struct Tables {
  std::array<uint8_t, 256> classes{};
  std::array<uint8_t, 256> base64{};
  std::array<uint8_t, 256> hex{};
};
constexpr Tables make_tables() {
  Tables made;
  made.base64.fill(kNoDigit);
  made.hex.fill(kNoDigit);
  for (unsigned i = 0; i < 26; ++i) {
    made.classes['A' + i] = kBase64 | kUpper;
    made.classes['a' + i] = kBase64 | kLower;
    made.base64['A' + i] = static_cast<uint8_t>(i);
    made.base64['a' + i] = static_cast<uint8_t>(26 + i);
  }
  for (unsigned i = 0; i < 10; ++i) {
    made.classes['0' + i] = kBase64 | kHex;
    made.base64['0' + i] = static_cast<uint8_t>(52 + i);
    made.hex['0' + i] = static_cast<uint8_t>(i);
  }
  for (unsigned i = 0; i < 6; ++i) {
    made.classes['A' + i] |= kHex;
    made.classes['a' + i] |= kHex;
    made.hex['A' + i] = made.hex['a' + i] = static_cast<uint8_t>(10 + i);
  }
  for (const char c : {'+', '-'}) {
    made.classes[static_cast<unsigned char>(c)] = kBase64;
    made.base64[static_cast<unsigned char>(c)] = 62;
  }
  for (const char c : {'/', '_'}) {
    made.classes[static_cast<unsigned char>(c)] = kBase64;
    made.base64[static_cast<unsigned char>(c)] = 63;
  }
  return made;
}
constexpr Tables kTables = make_tables();

uint8_t at(const std::array<uint8_t, 256>& table, std::byte byte) { return table[std::to_integer<std::size_t>(byte)]; }

std::size_t decode_hex(Bytes run, MutableBytes out) {
  std::size_t size = 0;
  for (std::size_t i = 0; i + 1 < run.size(); i += 2)
    out[size++] = static_cast<std::byte>(at(kTables.hex, run[i]) << 4 | at(kTables.hex, run[i + 1]));
  return size;
}

std::size_t decode_base64(Bytes run, MutableBytes out) {
  std::size_t size = 0;
  uint32_t bits = 0;
  unsigned count = 0;
  for (const std::byte byte : run) {
    bits = bits << 6 | at(kTables.base64, byte);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out[size++] = static_cast<std::byte>(bits >> count & 0xff);
  }
  return size;
}

std::size_t decode_percent(Bytes run, MutableBytes out) {
  std::size_t size = 0;
  for (std::size_t i = 0; i < run.size(); ++i) {
    const bool is_escape = run[i] == std::byte{'%'} && i + 2 < run.size() && at(kTables.hex, run[i + 1]) != kNoDigit &&
                           at(kTables.hex, run[i + 2]) != kNoDigit;
    out[size++] = is_escape ? static_cast<std::byte>(at(kTables.hex, run[i + 1]) << 4 | at(kTables.hex, run[i + 2])) : run[i];
    if (is_escape) i += 2;
  }
  return size;
}

// What was hidden is text: a number or an identifier that looks like an encoding decodes to noise.
bool has_text(Bytes decoded) {
  constexpr std::size_t kTextMin = 5;
  std::size_t run = 0;
  for (const std::byte byte : decoded) {
    const auto c = std::to_integer<unsigned>(byte);
    run = c >= 0x20 && c < 0x7f ? run + 1 : 0;
    if (run >= kTextMin) return true;
  }
  return false;
}

bool ends_percent_run(std::byte byte) { return byte <= std::byte{' '} || byte == std::byte{'\''} || byte == std::byte{'"'}; }

Bytes decode(Bytes run, Arena& arena, std::size_t (*decoder)(Bytes, MutableBytes)) {
  const std::size_t mark = arena.used();
  const MutableBytes out = arena.allocate(run.size(), 1);
  if (out.empty()) return {};
  const Bytes decoded = out.first(decoder(run, out));
  if (has_text(decoded)) return decoded;
  arena.rewind(mark);
  return {};
}

Bytes decode_run(Bytes run, uint8_t all, uint8_t any, Arena& arena) {
  if ((all & kHex) != 0) {
    if (const Bytes decoded = decode(run, arena, decode_hex); !decoded.empty()) return decoded;
  }
  if ((any & kUpper) == 0 || (any & kLower) == 0) return {};  // An identifier or a keyword.
  return decode(run, arena, decode_base64);
}

}  // namespace

PeeledRun peel_next(Bytes text, std::size_t from, Arena& arena) {
  std::size_t i = from;
  while (i < text.size()) {
    const std::byte byte = text[i];
    if (byte == std::byte{'%'} && i + 2 < text.size() && at(kTables.hex, text[i + 1]) != kNoDigit &&
        at(kTables.hex, text[i + 2]) != kNoDigit) {
      std::size_t begin = i, end = i;
      while (begin > from && !ends_percent_run(text[begin - 1])) --begin;
      while (end < text.size() && !ends_percent_run(text[end])) ++end;
      const Bytes decoded = decode(text.subspan(begin, end - begin), arena, decode_percent);
      if (!decoded.empty()) return {begin, end, decoded};
      i = end;
      continue;
    }
    if ((at(kTables.classes, byte) & kBase64) == 0) {
      ++i;
      continue;
    }
    std::size_t begin = i;
    if (byte == std::byte{'0'} && i + 1 < text.size() && text[i + 1] == std::byte{'x'})
      begin = i = i + 2;
    else if (byte == std::byte{'x'} && i > 0 && text[i - 1] == std::byte{'\\'})
      begin = i = i + 1;
    uint8_t all = 0xff, any = 0;
    while (i < text.size() && (at(kTables.classes, text[i]) & kBase64) != 0) {
      all &= at(kTables.classes, text[i]);
      any |= at(kTables.classes, text[i]);
      ++i;
    }
    if (i - begin < kPeelRunMin) continue;
    const Bytes decoded = decode_run(text.subspan(begin, i - begin), all, any, arena);
    if (!decoded.empty()) return {begin, i, decoded};
  }
  return {text.size(), text.size(), {}};
}

}  // namespace weir::decide
