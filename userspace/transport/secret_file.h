// Secrets in memory and on disk: a string that is wiped, and the one way to read a secret file.
// Must never: copy a secret, put one in an error, or read a file that others can read.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace weir::transport {

// Move-only; its memory is overwritten before it goes back to the heap.
class SecretString {
 public:
  SecretString() = default;
  explicit SecretString(std::string_view secret);
  // A block of `size` bytes, zeroed, to be filled in place by mutable_bytes().
  static SecretString of_size(std::size_t size);
  SecretString(SecretString&& other) noexcept;
  SecretString& operator=(SecretString&& other) noexcept;
  SecretString(const SecretString&) = delete;
  SecretString& operator=(const SecretString&) = delete;
  ~SecretString();

  [[nodiscard]] std::string_view view() const noexcept { return {data_.get(), size_}; }
  [[nodiscard]] Bytes bytes() const noexcept { return as_bytes(view()); }
  [[nodiscard]] MutableBytes mutable_bytes() noexcept { return {reinterpret_cast<std::byte*>(data_.get()), size_}; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  // Forgets what lies after the first `size` bytes.  Pre: size <= size().
  void shorten(std::size_t size) noexcept;

 private:
  void wipe() noexcept;
  std::unique_ptr<char[]> data_;
  std::size_t size_ = 0;
  std::size_t block_size_ = 0;  // What was allocated, all of which is wiped.
};

// Overwrites a string that had to hold a secret (LoginSecret's members), and empties it.
void wipe(std::string& secret) noexcept;
// In time that depends on the sizes alone.
[[nodiscard]] bool equal_in_constant_time(Bytes left, Bytes right) noexcept;

inline constexpr std::size_t kSecretFileSizeMax = 64 << 10;

// All of a secret file, without one trailing newline ("\n" or "\r\n").
// Errors: kNotFound; kDenied when group or others have any right to it (the message has the chmod that mends it), or when it
// may not be opened; kInvalid when it is empty, no regular file, or larger than `size_max`.
[[nodiscard]] Result<SecretString> read_secret_file(const std::string& path, std::size_t size_max = kSecretFileSizeMax);
// The same without the permission check, for what is no secret (certificates, JWKS).  Errors: as above.
[[nodiscard]] Result<std::string> read_public_file(const std::string& path, std::size_t size_max);

}  // namespace weir::transport
