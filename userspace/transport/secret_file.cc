#include "transport/secret_file.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace weir::transport {
namespace {

class OpenFile {
 public:
  explicit OpenFile(int fd) : fd_(fd) {}
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

std::string octal(mode_t mode) {
  std::string text = "0";
  for (int shift = 6; shift >= 0; shift -= 3) text += static_cast<char>('0' + (mode >> shift & 7));
  return text;
}

tl::unexpected<Error> fail_open(const std::string& path, int code) {
  const std::string reason = std::strerror(code);
  if (code == ENOENT) return fail(Error::Kind::kNotFound, path + ": " + reason, code);
  if (code == EACCES || code == EPERM) {
    return fail(Error::Kind::kDenied, path + ": " + reason + "; it must belong to the user that Weir runs as", code);
  }
  return fail(Error::Kind::kSystem, path + ": " + reason, code);
}

// Reads to the end; a file that grows beyond what fstat said is cut there and refused by its size later.
bool read_fully(int fd, MutableBytes into, std::size_t& size) {
  size = 0;
  while (size < into.size()) {
    const ssize_t got = ::read(fd, into.data() + size, into.size() - size);
    if (got == 0) return true;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return false;
    size += static_cast<std::size_t>(got);
  }
  return true;
}

Result<SecretString> read_file(const std::string& path, std::size_t size_max, bool is_secret) {
  // O_NONBLOCK: a FIFO must not hang us; it is refused below.
  const OpenFile file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd() < 0) return fail_open(path, errno);
  struct stat status {};
  if (::fstat(file.fd(), &status) != 0) return fail(Error::Kind::kSystem, path + ": " + std::strerror(errno), errno);
  if (!S_ISREG(status.st_mode)) return fail(Error::Kind::kInvalid, path + " is not a regular file");
  if (is_secret && (status.st_mode & 077) != 0) {
    return fail(Error::Kind::kDenied,
                path + " is secret, but its mode is " + octal(status.st_mode) + ": others may read it; chmod 0600 " + path);
  }
  // One byte more than is allowed shows a file that is too large, or that grew after fstat.
  SecretString text = SecretString::of_size(size_max + 1);
  std::size_t size = 0;
  if (!read_fully(file.fd(), text.mutable_bytes(), size))
    return fail(Error::Kind::kSystem, path + ": " + std::strerror(errno), errno);
  if (size > size_max) return fail(Error::Kind::kInvalid, path + " is larger than " + std::to_string(size_max) + " bytes");
  text.shorten(size);
  return text;
}

}  // namespace

SecretString::SecretString(std::string_view secret) : SecretString(of_size(secret.size())) {
  if (!secret.empty()) std::memcpy(data_.get(), secret.data(), secret.size());  // An empty view may point nowhere.
}

SecretString SecretString::of_size(std::size_t size) {
  SecretString secret;
  secret.data_ = std::make_unique<char[]>(size);
  secret.size_ = secret.block_size_ = size;
  return secret;
}

SecretString::SecretString(SecretString&& other) noexcept
    : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)), block_size_(std::exchange(other.block_size_, 0)) {}

SecretString& SecretString::operator=(SecretString&& other) noexcept {
  if (this != &other) {
    wipe();
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    block_size_ = std::exchange(other.block_size_, 0);
  }
  return *this;
}

SecretString::~SecretString() { wipe(); }

void SecretString::shorten(std::size_t size) noexcept {
  WEIR_CHECK(size <= size_);
  if (data_) OPENSSL_cleanse(data_.get() + size, size_ - size);
  size_ = size;
}

void SecretString::wipe() noexcept {
  if (data_) OPENSSL_cleanse(data_.get(), block_size_);
}

void wipe(std::string& secret) noexcept {
  secret.resize(secret.capacity());  // Never allocates: the bytes up to the capacity may hold an older, longer secret.
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

bool equal_in_constant_time(Bytes left, Bytes right) noexcept {
  return left.size() == right.size() && CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

Result<SecretString> read_secret_file(const std::string& path, std::size_t size_max) {
  auto secret = read_file(path, size_max, true);
  if (!secret) return secret;
  std::string_view text = secret->view();
  if (text.ends_with('\n')) text.remove_suffix(text.ends_with("\r\n") ? 2 : 1);
  if (text.empty()) return fail(Error::Kind::kInvalid, path + " is empty");
  // A copy of its own size: the read buffer is as large as the largest secret.
  return SecretString(text);
}

Result<std::string> read_public_file(const std::string& path, std::size_t size_max) {
  const auto text = read_file(path, size_max, false);
  if (!text) return tl::unexpected<Error>(text.error());
  if (text->empty()) return fail(Error::Kind::kInvalid, path + " is empty");
  return std::string(text->view());
}

}  // namespace weir::transport
