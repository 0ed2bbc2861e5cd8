#include "record/note_values.h"

#include <algorithm>
#include <charconv>

namespace weir::record {

std::optional<Digest> digest_from_base64(std::string_view text) {
  Digest digest{};
  const auto bytes = text.size() == 44 ? from_base64(text) : std::nullopt;
  if (!bytes || bytes->size() != digest.size()) return std::nullopt;
  std::copy(bytes->begin(), bytes->end(), digest.begin());
  return digest;
}

std::optional<uint64_t> plain_decimal(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_whole = error == std::errc{} && end == text.data() + text.size() && !text.empty();
  return is_whole && (text == "0" || text.front() != '0') ? std::optional(value) : std::nullopt;
}

}  // namespace weir::record
