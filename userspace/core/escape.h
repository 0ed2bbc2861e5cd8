// Text of peers for lines, tables and terminals.
#pragma once
#include <string>
#include <string_view>

namespace weir {

// Everything but printable characters and whole UTF-8 sequences as \n, \t, \r or \xNN: no terminal obeys it, and no line of it
// ends or turns round.  `kept`: control characters below 0x20 that stay as they are, such as "\n\t".
std::string escape_bytes(std::string_view text, std::string_view kept = {});

// JSON text in which a terminal obeys nothing: what JSON may leave as it is (DEL, C1 controls, signs that turn a line round) as \u00NN.
// Pre: it is JSON, so C0 controls are escaped already.  Post: it says the same.
std::string escape_json(std::string json);

}  // namespace weir
