// Appends a value as a JSON string: valid UTF-8 stays, control bytes and other encodings become \u00XX, one a byte.
#pragma once
#include <string>

#include "base/bytes.h"

namespace weir::session {

// Post: returns false if `text` reached `size_max` and the value was cut short (marked with an ellipsis).
bool append_json_escaped(std::string& text, Bytes value, std::size_t size_max);

}  // namespace weir::session
