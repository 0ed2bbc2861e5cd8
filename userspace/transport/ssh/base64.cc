#include "transport/ssh/base64.h"

#include <openssl/evp.h>

namespace weir::ssh {

std::string to_base64(Bytes bytes) {
  std::string text((bytes.size() + 2) / 3 * 4, '\0');
  if (!bytes.empty())
    EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  return text;
}

std::optional<transport::SecretString> from_base64(std::string_view text) {
  using transport::SecretString;
  SecretString letters = SecretString::of_size(text.size());
  std::size_t size = 0, padding = 0;
  for (const char c : text) {
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') continue;
    padding += c == '=' ? 1 : 0;
    if (padding != 0 && c != '=') return std::nullopt;
    letters.mutable_bytes()[size++] = static_cast<std::byte>(c);
  }
  if (size == 0 || size % 4 != 0 || padding > 2) return std::nullopt;
  SecretString bytes = SecretString::of_size(size / 4 * 3);
  const int made = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.mutable_bytes().data()), reinterpret_cast<const unsigned char*>(letters.bytes().data()),
                                   static_cast<int>(size));
  if (made < 0) return std::nullopt;
  bytes.shorten(bytes.size() - padding);
  return bytes;
}

}  // namespace weir::ssh
