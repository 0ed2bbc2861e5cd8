// Result<T>: a value or an Error ([[nodiscard]] goes on the functions: an alias cannot carry it).  No exceptions cross a Weir interface after start-up.
#pragma once
#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace weir {

// What went wrong, for a person, with the fix in it where one is known.  Never holds a secret or a peer's raw bytes.
struct Error {
  enum class Kind : uint8_t {
    kInvalid,      // The input (config, file, argument) is wrong.
    kNotFound,
    kDenied,       // Permission, capability, or policy.
    kUnavailable,  // The system or a peer cannot do it now.
    kCorrupt,      // Stored data fails its check.
    kSystem,       // An errno; `code` holds it.
  };
  Kind kind = Kind::kInvalid;
  std::string message;
  int code = 0;
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Error::Kind kind, std::string message, int code = 0) {
  return tl::unexpected<Error>(Error{kind, std::move(message), code});
}

}  // namespace weir
