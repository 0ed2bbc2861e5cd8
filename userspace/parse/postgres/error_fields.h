// The strings of ErrorResponse and NoticeResponse: (code:1 text\0)... 0
#pragma once
#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace weir::postgres {

struct ErrorFields {
  std::string_view code;      // SQLSTATE
  std::string_view message;
  uint32_t shown = 0;         // Strings that may carry a value (is_shown()).
};
// False: malformed.
bool read_error(Bytes body, ErrorFields&);
// Message, detail, hint, query, context and names: what may quote a value.  The others are codes and places in the source.
constexpr bool is_shown(char code) {
  return code == 'M' || code == 'D' || code == 'H' || code == 'q' || code == 'W' || code == 's' || code == 't' || code == 'c' ||
         code == 'd' || code == 'n';
}

}  // namespace weir::postgres
