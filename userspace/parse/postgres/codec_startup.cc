#include "parse/postgres/codec_startup.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "parse/postgres/messages.h"

namespace weir::postgres {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

StartupProblem judge_setting(std::string_view name, std::string_view value, Startup& startup) {
  if (is_setting(name, "client_encoding") && !is_safe_encoding(value)) {
    return {"this client_encoding is not passed: use UTF8, LATIN1 to LATIN10 or SQL_ASCII", sqlstate::kFeatureNotSupported};
  }
  // What is neither on nor off is the server's to refuse; until it did, we read both ways.
  if (is_setting(name, "standard_conforming_strings")) startup.standard_conforming_strings = !is_off(value);
  if (is_setting(name, "application_name")) startup.application_name = value;
  if (is_setting(name, "search_path")) startup.search_path_is_default = false;
  // What a SET of it would be judged for must not come in by the door: a login has no statement to be judged.
  static constexpr std::array kJudged = {std::string_view("role"), std::string_view("session_authorization"), std::string_view("row_security"),
                                         std::string_view("session_replication_role"), std::string_view("backslash_quote"),
                                         std::string_view("local_preload_libraries"), std::string_view("session_preload_libraries")};
  for (const std::string_view judged : kJudged) {
    if (is_setting(name, judged)) return {"this setting is not passed with a login: SET it afterwards, where it is judged", sqlstate::kFeatureNotSupported};
  }
  return {};
}

// The options string is a command line: words apart by white space, a backslash takes the next byte (pg_split_opts).
struct Word { std::string text; bool is_there = false; };
Word next_word(std::string_view options, std::size_t& at) {
  Word word;
  while (at < options.size() && std::isspace(static_cast<unsigned char>(options[at])) != 0) ++at;
  for (; at < options.size() && std::isspace(static_cast<unsigned char>(options[at])) == 0; ++at) {
    if (options[at] == '\\' && at + 1 < options.size()) ++at;
    word.text += options[at];
    word.is_there = true;
  }
  return word;
}

// As the server's getopt() reads it (process_postgres_switches): letters without an argument may stand before one with.
StartupProblem judge_options(std::string_view options, Startup& startup) {
  static constexpr std::string_view kPlain = "bEeFijlnOPsT", kWithArgument = "BCcDdfhkNprStvW-";
  constexpr StartupProblem kUnreadable{"the options of this login cannot be read: use -c name=value", sqlstate::kFeatureNotSupported};
  std::size_t at = 0;
  for (Word word = next_word(options, at); word.is_there; word = next_word(options, at)) {
    if (word.text.size() < 2 || word.text[0] != '-' || word.text == "--") return kUnreadable;
    for (std::size_t i = 1; i < word.text.size(); ++i) {
      const char letter = word.text[i];
      if (kPlain.find(letter) != std::string_view::npos) continue;
      if (kWithArgument.find(letter) == std::string_view::npos) return kUnreadable;
      std::string argument = word.text.substr(i + 1);
      if (argument.empty()) {
        Word next = next_word(options, at);
        if (!next.is_there) return kUnreadable;
        argument = std::move(next.text);
      }
      if (letter == 'c' || letter == '-') {
        const std::size_t equals = argument.find('=');
        if (equals == std::string::npos) return kUnreadable;
        const StartupProblem problem = judge_setting(argument.substr(0, equals), argument.substr(equals + 1), startup);
        if (problem.why != nullptr) return problem;
      }
      break;
    }
  }
  return {};
}

StartupProblem judge_parameter(std::string_view name, std::string_view value, Startup& startup) {
  if (name == "user") { startup.user = value; return {}; }
  if (name == "database") { startup.database = value; return {}; }
  if (name.starts_with("_pq_.")) {
    startup.protocol_options.append(name).push_back('\0');
    ++startup.protocol_option_count;
    return {};
  }
  startup.parameters.append(name).push_back('\0');
  startup.parameters.append(value).push_back('\0');
  if (name == "replication" && !is_off(value)) {
    return {"replication connections are not passed by this gateway", sqlstate::kFeatureNotSupported};
  }
  if (name == "options") return judge_options(value, startup);
  return judge_setting(name, value, startup);
}

}  // namespace

bool is_setting(std::string_view name, std::string_view lower_case) {
  return std::equal(name.begin(), name.end(), lower_case.begin(), lower_case.end(),
                    [](char a, char b) { return (a == '-' ? '_' : lower(a)) == b; });
}

// The server takes any prefix of a word that no other word shares (parse_bool).
bool is_off(std::string_view value) {
  std::string text(value);
  std::ranges::transform(text, text.begin(), lower);
  if (text.empty()) return false;
  return std::string_view("false").starts_with(text) || std::string_view("no").starts_with(text) || text == "of" || text == "off" ||
         text == "0";
}

bool is_safe_encoding(std::string_view name) {
  std::string key;  // As pg_char_to_encoding() compares: letters and digits, lower case.
  for (const char c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) key += lower(c);
  }
  static constexpr std::array kSafe = {
      std::string_view("utf8"), std::string_view("unicode"), std::string_view("sqlascii"),
      std::string_view("latin1"), std::string_view("latin2"), std::string_view("latin3"), std::string_view("latin4"),
      std::string_view("latin5"), std::string_view("latin6"), std::string_view("latin7"), std::string_view("latin8"),
      std::string_view("latin9"), std::string_view("latin10"),
      std::string_view("iso88591"), std::string_view("iso88592"), std::string_view("iso88593"), std::string_view("iso88594"),
      std::string_view("iso88599"), std::string_view("iso885910"), std::string_view("iso885913"),
      std::string_view("iso885914"), std::string_view("iso885915"), std::string_view("iso885916")};
  return std::ranges::find(kSafe, key) != kSafe.end();
}

StartupProblem read_startup(Bytes packet, Startup& startup) {
  ByteReader reader(packet);
  reader.u32be();
  const uint32_t version = reader.u32be();
  if (version >> 16 != kProtocolMajor) return {"unsupported frontend protocol: only version 3 is spoken here", sqlstate::kFeatureNotSupported};
  startup.minor = static_cast<uint16_t>(version & 0xffff);
  for (;;) {
    const std::string_view name = reader.c_string();
    if (name.empty() || reader.failed()) break;
    const std::string_view value = reader.c_string();
    if (reader.failed()) break;
    const StartupProblem problem = judge_parameter(name, value, startup);
    if (problem.why != nullptr) return problem;
  }
  if (reader.failed() || !reader.at_end()) return {"invalid startup packet layout", sqlstate::kProtocolViolation};
  if (startup.user.empty()) return {"no PostgreSQL user name specified in startup packet", sqlstate::kInvalidAuthorization};
  if (startup.database.empty()) startup.database = startup.user;
  return {};
}

void write_startup(MessageWriter& out, const Startup& startup, std::string_view user) {
  out.begin(0);
  out.u32(static_cast<uint32_t>(kProtocolMajor) << 16);
  out.c_string("user");
  out.c_string(user);
  out.c_string("database");
  out.c_string(startup.database);
  out.raw(startup.parameters);
  out.u8(0);
  out.end();
}

void write_negotiate(MessageWriter& out, const Startup& startup) {
  out.begin(back::kNegotiateVersion);
  out.u32(static_cast<uint32_t>(kProtocolMajor) << 16);
  out.u32(startup.protocol_option_count);
  out.raw(startup.protocol_options);
  out.end();
}

}  // namespace weir::postgres
