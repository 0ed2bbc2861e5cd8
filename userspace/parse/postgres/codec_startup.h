// The StartupMessage: who logs in, where, with which settings.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "parse/postgres/render.h"

namespace weir::postgres {

struct Startup {
  std::string user;
  std::string database;          // The user's name if the client gave none.
  std::string application_name;
  std::string parameters;        // As sent: name\0value\0..., without user, database and _pq_ options.
  std::string protocol_options;  // The _pq_ options' names, each with its NUL.
  uint32_t protocol_option_count = 0;
  uint16_t minor = 0;
  bool standard_conforming_strings = true;
  bool search_path_is_default = true;  // False: the login brings its own.
};

struct StartupProblem {
  const char* why = nullptr;  // Static; nullptr: none.
  std::string_view code;
};

// Pre: `packet` is the whole StartupMessage with its length.
StartupProblem read_startup(Bytes packet, Startup& startup);
// The same login under another name, protocol 3.0.
void write_startup(MessageWriter&, const Startup&, std::string_view user);
// NegotiateProtocolVersion: 3.0, and none of the client's protocol options.
void write_negotiate(MessageWriter&, const Startup&);

// UTF8, LATINx or SQL_ASCII, in any of the spellings that the server takes.
bool is_safe_encoding(std::string_view name);
// A boolean setting's value; false for what is neither.
bool is_off(std::string_view value);
bool is_setting(std::string_view name, std::string_view lower_case);  // Case and `-` for `_` as the server has it.

}  // namespace weir::postgres
