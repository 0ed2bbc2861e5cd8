#include "tests/playbook/wire_text.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace weir::testing {
namespace {

void put16(std::string& out, unsigned value) {
  out += static_cast<char>(value >> 8 & 0xff);
  out += static_cast<char>(value & 0xff);
}
void put32(std::string& out, uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}
void put_string(std::string& out, std::string_view text) { out.append(text).push_back('\0'); }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// Words of one message with a cursor.
class Args {
 public:
  Args(const std::vector<Word>& words, std::size_t begin, std::size_t end) : words_(words), at_(begin), end_(end) {}
  [[nodiscard]] bool has_more() const { return at_ < end_; }
  const Word& next() {
    static const Word kNone;
    return at_ < end_ ? words_[at_++] : kNone;
  }
  std::string text() { return next().text; }
  uint32_t number() { return static_cast<uint32_t>(std::strtoul(next().text.c_str(), nullptr, 0)); }
  // "key=value" with that key.
  bool take(std::string_view key, std::string& value) {
    if (!has_more() || words_[at_].is_quoted || !words_[at_].text.starts_with(std::string(key) + "=")) return false;
    value = next().text.substr(key.size() + 1);
    return true;
  }

 private:
  const std::vector<Word>& words_;
  std::size_t at_, end_;
};

void put_cells(std::string& body, Args& args) {
  std::string cells;
  unsigned count = 0;
  for (; args.has_more(); ++count) {
    const Word& word = args.next();
    if (!word.is_quoted && word.text == "null") {
      put32(cells, 0xffffffff);
      continue;
    }
    put32(cells, static_cast<uint32_t>(word.text.size()));
    cells += word.text;
  }
  put16(body, count);
  body += cells;
}

void put_formats(std::string& body, const std::string& formats) {  // "0,1"
  std::string codes;
  unsigned count = 0;
  for (const char c : formats) {
    if (c == ',') continue;
    put16(codes, static_cast<unsigned>(c - '0'));
    ++count;
  }
  put16(body, count);
  body += codes;
}

std::string startup(Args& args) {
  std::string body;
  std::string version = "3.0";
  std::string pairs;
  while (args.has_more()) {
    const std::string pair = args.text();
    const std::size_t equals = pair.find('=');
    const std::string key = pair.substr(0, equals);
    if (key == "version") { version = pair.substr(equals + 1); continue; }
    put_string(pairs, key);
    put_string(pairs, equals == std::string::npos ? "" : pair.substr(equals + 1));
  }
  put16(body, static_cast<unsigned>(std::strtoul(version.c_str(), nullptr, 10)));
  put16(body, static_cast<unsigned>(std::strtoul(version.c_str() + version.find('.') + 1, nullptr, 10)));
  body += pairs;
  body.push_back('\0');
  std::string out;
  put32(out, static_cast<uint32_t>(body.size() + 4));
  return out + body;
}

// Messages without a type byte, and raw bytes.  True if `name` is one.
bool encode_special(const std::string& name, Args& args, std::string& out) {
  if (name == "ssl" || name == "gss") {
    put32(out, 8);
    put32(out, name == "ssl" ? 80877103 : 80877104);
  } else if (name == "cancel") {
    put32(out, 16);
    put32(out, 80877102);
    put32(out, args.number());
    put32(out, args.number());
  } else if (name == "startup") {
    out += startup(args);
  } else if (name == "raw") {
    while (args.has_more()) out += args.text();
  } else {
    return false;
  }
  return true;
}

void encode_front(char type, Args& args, std::string& body) {
  std::string formats;
  switch (type) {
    case 'P':
      put_string(body, args.text());
      put_string(body, args.text());
      put16(body, 0);
      break;
    case 'B': {
      put_string(body, args.text());
      put_string(body, args.text());
      std::string results;
      args.take("formats", formats);
      args.take("results", results);
      put_formats(body, formats);
      put_cells(body, args);
      put_formats(body, results);
      break;
    }
    case 'E':
      put_string(body, args.text());
      put32(body, args.number());
      break;
    case 'D': case 'C':
      body += args.text();
      put_string(body, args.text());
      break;
    case 'Q': case 'f': put_string(body, args.text()); break;
    case 'F':
      put32(body, args.number());
      put16(body, 0);
      put_cells(body, args);
      put16(body, 0);
      break;
    case 'p': case 'd': while (args.has_more()) body += args.text(); break;
    default: break;
  }
}

void encode_error(Args& args, std::string& body) {
  while (args.has_more()) {  // S=ERROR C=42601 "M=text"
    const std::string field = args.text();
    body += field[0];
    put_string(body, field.substr(2));
  }
  body.push_back('\0');
}

void encode_columns(Args& args, std::string& body) {
  std::string columns;
  unsigned count = 0;
  for (; args.has_more(); ++count) {  // name:type:table:number:format
    std::string column = args.text();
    std::vector<std::string> parts;
    for (std::size_t colon; (colon = column.find(':')) != std::string::npos; column.erase(0, colon + 1)) parts.push_back(column.substr(0, colon));
    parts.push_back(column);
    parts.resize(5);
    const auto number = [&parts](std::size_t i) { return static_cast<uint32_t>(std::strtoul(parts[i].c_str(), nullptr, 10)); };
    put_string(columns, parts[0]);
    put32(columns, number(2));
    put16(columns, number(3));
    put32(columns, number(1));
    put16(columns, 0xffff);
    put32(columns, 0xffffffff);
    put16(columns, number(4));
  }
  put16(body, count);
  body += columns;
}

void encode_authentication(Args& args, std::string& body) {
  const std::string kind = args.text();
  if (kind == "ok") put32(body, 0);
  else if (kind == "clear") put32(body, 3);
  else if (kind == "md5") { put32(body, 5); body += args.text(); }
  else if (kind == "sasl") {
    put32(body, 10);
    while (args.has_more()) put_string(body, args.text());
    body.push_back('\0');
  } else if (kind == "continue" || kind == "final") {
    put32(body, kind == "continue" ? 11 : 12);
    body += args.text();
  } else {
    put32(body, static_cast<uint32_t>(std::strtoul(kind.c_str(), nullptr, 10)));
  }
}

void encode_back(char type, Args& args, std::string& body) {
  switch (type) {
    case 'R': encode_authentication(args, body); break;
    case 'K': put32(body, args.number()); put32(body, args.number()); break;
    case 'S': put_string(body, args.text()); put_string(body, args.text()); break;
    case 'Z': body += args.text(); break;
    case 'C': put_string(body, args.text()); break;
    case 'T': encode_columns(args, body); break;
    case 'D': put_cells(body, args); break;
    case 'E': case 'N': encode_error(args, body); break;
    case 'A': put32(body, args.number()); put_string(body, args.text()); put_string(body, args.text()); break;
    case 't': put16(body, 0); break;
    case 'G': case 'H': case 'W': {
      const bool is_binary = args.text() == "binary";
      const uint32_t columns = args.number();
      body += static_cast<char>(is_binary ? 1 : 0);
      put16(body, columns);
      for (uint32_t i = 0; i < columns; ++i) put16(body, is_binary ? 1 : 0);
      break;
    }
    case 'd': while (args.has_more()) body += args.text(); break;
    case 'v': put32(body, 0x30000); put32(body, 0); break;
    default: break;
  }
}

bool read_escape(std::string_view line, std::size_t& at, std::string& out) {
  const char c = line[at];
  if (c == 'n') out += '\n';
  else if (c == 't') out += '\t';
  else if (c == '0') out += '\0';
  else if (c == 'x' && at + 2 < line.size()) {
    out += static_cast<char>(hex_digit(line[at + 1]) << 4 | hex_digit(line[at + 2]));
    at += 2;
  } else {
    out += c;
  }
  ++at;
  return true;
}

}  // namespace

bool split_words(std::string_view line, std::vector<Word>& words) {
  words.clear();
  for (std::size_t at = 0; at < line.size();) {
    if (line[at] == ' ') { ++at; continue; }
    if (line[at] == '#') return true;
    Word word;
    word.is_quoted = line[at] == '"';
    if (!word.is_quoted) {
      while (at < line.size() && line[at] != ' ') word.text += line[at++];
      words.push_back(word);
      continue;
    }
    for (++at; at < line.size() && line[at] != '"';) {
      if (line[at] == '\\' && at + 1 < line.size()) {
        read_escape(line, ++at, word.text);
      } else {
        word.text += line[at++];
      }
    }
    if (at == line.size()) return false;
    ++at;
    words.push_back(word);
  }
  return true;
}

std::string encode_messages(const std::vector<Word>& words, bool from_client, std::string& problem) {
  std::string out;
  for (std::size_t begin = 0; begin < words.size();) {
    std::size_t end = begin;
    while (end < words.size() && (words[end].is_quoted || words[end].text != ";")) ++end;
    Args args(words, begin, end);
    const std::string name = args.text();
    begin = end + 1;
    if (encode_special(name, args, out)) continue;
    if (name.size() != 1) { problem = "no message is called " + name; return {}; }
    std::string body;
    if (from_client) encode_front(name[0], args, body);
    else encode_back(name[0], args, body);
    out += name[0];
    put32(out, static_cast<uint32_t>(body.size() + 4));
    out += body;
    if (args.has_more()) { problem = "too much after " + name; return {}; }
  }
  return out;
}

std::string decode_messages(std::string_view bytes, bool) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\\') text += "\\\\";
    else if (byte >= 0x20 && byte < 0x7f) text += c;
    else {
      text += "\\x";
      text += "0123456789abcdef"[byte >> 4];
      text += "0123456789abcdef"[byte & 15];
    }
  }
  return text;
}

}  // namespace weir::testing
