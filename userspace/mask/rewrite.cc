#include "mask/rewrite.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace weir::mask {
namespace {

bool is_digit(std::byte b) { return b >= std::byte{'0'} && b <= std::byte{'9'}; }
bool is_hex(std::byte b) {
  return is_digit(b) || (b >= std::byte{'a'} && b <= std::byte{'f'}) || (b >= std::byte{'A'} && b <= std::byte{'F'});
}
bool is_continuation(std::byte b) { return (b & std::byte{0xc0}) == std::byte{0x80}; }

std::byte decimal_digit(std::byte random) { return static_cast<std::byte>('0' + std::to_integer<int>(random) % 10); }

}  // namespace

std::size_t kept_size(Bytes text, uint8_t keep_last) {
  const auto characters =
      static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](std::byte b) { return !is_continuation(b); }));
  std::size_t keep = std::min<std::size_t>(keep_last, characters / 2);
  std::size_t size = 0;
  while (keep > 0 && size < text.size()) {
    ++size;
    if (!is_continuation(text[text.size() - size])) --keep;
  }
  return size;
}

void hash_text(const KeyedHash& key, Bytes value, MutableBytes out) {
  if (out.size() < kCheckedSizeMin) {
    key.hex(kPurposeValue, value, out);
    return;
  }
  const MutableBytes body = out.first(out.size() - kCheckSize);
  key.hex(kPurposeValue, value, body);
  key.hex(kPurposeCheck, body, out.last(kCheckSize));
}

bool is_hash_text(const KeyedHash& key, std::string_view text) {
  if (text.size() < kCheckedSizeMin) return false;
  const bool all_hex =
      std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (!all_hex) return false;
  std::array<std::byte, kCheckSize> check{};
  const Bytes bytes = as_bytes(text);
  key.hex(kPurposeCheck, bytes.first(bytes.size() - kCheckSize), check);
  return std::equal(check.begin(), check.end(), bytes.last(kCheckSize).begin());
}

bool rewrite_digits(const MaskSpec& spec, const KeyedHash* key, Bytes text, std::size_t max_digits, MutableBytes out) {
  const bool is_plain = std::all_of(text.begin(), text.end(), [](std::byte b) {
    return is_digit(b) || b == std::byte{'.'} || b == std::byte{'-'} || b == std::byte{'+'} || b == std::byte{' '};
  });
  const auto digits = static_cast<std::size_t>(std::count_if(text.begin(), text.end(), is_digit));
  if (!is_plain || digits == 0) return false;
  const std::size_t keep = spec.as == MaskSpec::As::kPartial ? std::min<std::size_t>(spec.keep_last, digits / 2) : 0;
  KeyedHash::Digest random{};
  if (spec.as == MaskSpec::As::kHash) random = key->digest(kPurposeValue, text);
  std::size_t seen = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    out[i] = text[i];
    if (!is_digit(text[i])) continue;
    const std::size_t index = seen++;
    if (index >= digits - keep) continue;
    if (spec.as != MaskSpec::As::kHash) {
      out[i] = std::byte{'0'};
    } else {
      out[i] = decimal_digit(random[index % random.size()]);
      if (index == 0) out[i] = digits >= max_digits ? std::byte{'1'} : std::max(out[i], std::byte{'1'});
    }
  }
  return true;
}

void rewrite_hex(const MaskSpec& spec, const KeyedHash* key, Bytes text, MutableBytes out) {
  const auto digits = static_cast<std::size_t>(std::count_if(text.begin(), text.end(), is_hex));
  const std::size_t keep = spec.as == MaskSpec::As::kPartial ? std::min<std::size_t>(spec.keep_last, digits / 2) : 0;
  if (spec.as == MaskSpec::As::kHash) key->hex(kPurposeValue, text, out);
  std::size_t seen = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_kept = !is_hex(text[i]) || seen++ >= digits - keep;
    if (is_kept)
      out[i] = text[i];
    else if (spec.as != MaskSpec::As::kHash)
      out[i] = std::byte{'0'};
  }
}

bool rewrite_integer(const MaskSpec& spec, const KeyedHash* key, Bytes value, MutableBytes out) {
  if (value.size() != 2 && value.size() != 4 && value.size() != 8) return false;
  std::fill(out.begin(), out.end(), std::byte{0});
  if (spec.as == MaskSpec::As::kHash) {
    const KeyedHash::Digest random = key->digest(kPurposeValue, value);
    std::copy_n(random.begin(), value.size(), out.begin());
    out[0] &= std::byte{0x3f};  // Positive, and below 2^62.
  } else if (spec.as == MaskSpec::As::kPartial) {
    uint64_t magnitude = 0;
    for (const std::byte b : value) magnitude = magnitude << 8 | std::to_integer<uint64_t>(b);
    if (std::to_integer<int>(value[0]) >= 0x80)
      magnitude = (~magnitude + 1) & (value.size() == 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * value.size()) - 1);
    std::size_t digits = 1;
    for (uint64_t rest = magnitude; rest >= 10; rest /= 10) ++digits;
    uint64_t modulus = 1;
    for (std::size_t i = 0; i < std::min<std::size_t>(spec.keep_last, digits / 2); ++i) modulus *= 10;
    magnitude %= modulus;
    for (std::size_t i = value.size(); i-- > 0; magnitude >>= 8) out[i] = static_cast<std::byte>(magnitude & 0xff);
  }
  return true;
}

}  // namespace weir::mask
