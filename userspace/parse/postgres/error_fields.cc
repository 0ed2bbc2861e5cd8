#include "parse/postgres/error_fields.h"

namespace weir::postgres {

bool read_error(Bytes body, ErrorFields& fields) {
  ByteReader reader(body);
  for (;;) {
    const char code = static_cast<char>(reader.u8());
    if (reader.failed()) return false;
    if (code == 0) return reader.at_end();
    const std::string_view text = reader.c_string();
    if (code == 'C') fields.code = text;
    if (code == 'M') fields.message = text;
    if (is_shown(code)) ++fields.shown;
  }
}

}  // namespace weir::postgres
