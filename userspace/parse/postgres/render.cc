#include "parse/postgres/render.h"

#include <openssl/crypto.h>

#include <charconv>

#include "parse/postgres/messages.h"

namespace weir::postgres {

void MessageWriter::wipe() {
  OPENSSL_cleanse(bytes_.data(), bytes_.capacity());
  bytes_.clear();
}

void MessageWriter::begin(char type) {
  if (type != 0) u8(static_cast<uint8_t>(type));
  length_at_ = bytes_.size();
  u32(0);
}

void MessageWriter::end() { store_be<uint32_t>(bytes_, length_at_, static_cast<uint32_t>(bytes_.size() - length_at_)); }

void MessageWriter::u16(uint16_t value) {
  bytes_.resize(bytes_.size() + 2);
  store_be<uint16_t>(bytes_, bytes_.size() - 2, value);
}

void MessageWriter::u32(uint32_t value) {
  bytes_.resize(bytes_.size() + 4);
  store_be<uint32_t>(bytes_, bytes_.size() - 4, value);
}

void MessageWriter::c_string(std::string_view text) {
  raw(text.substr(0, text.find('\0')));
  u8(0);
}

namespace {
void write_fields(MessageWriter& out, const ErrorText& error) {
  const auto field = [&out](char code, std::string_view text) {
    if (text.empty()) return;
    out.u8(static_cast<uint8_t>(code));
    out.c_string(text);
  };
  field('S', error.severity);
  field('V', error.severity);  // The same, never translated.
  field('C', error.code);
  field('M', error.message.empty() ? std::string_view("refused") : error.message);
  field('D', error.detail);
  field('H', error.hint);
  if (error.position != 0) {
    char digits[16];
    const auto end = std::to_chars(digits, digits + sizeof digits, error.position).ptr;
    field('P', {digits, static_cast<std::size_t>(end - digits)});
  }
  out.u8(0);
}
}  // namespace

void write_error(MessageWriter& out, const ErrorText& error) {
  out.begin(back::kError);
  write_fields(out, error);
  out.end();
}

void write_notice(MessageWriter& out, const ErrorText& error) {
  out.begin(back::kNotice);
  write_fields(out, error);
  out.end();
}

void write_ready(MessageWriter& out, char status) {
  out.begin(back::kReadyForQuery);
  out.u8(static_cast<uint8_t>(status));
  out.end();
}

void write_empty(MessageWriter& out, char type) {
  out.begin(type);
  out.end();
}

void write_describe_statement(MessageWriter& out, std::string_view name) {
  out.begin(front::kDescribe);
  out.u8('S');
  out.c_string(name);
  out.end();
}

void write_copy_fail(MessageWriter& out, std::string_view reason) {
  out.begin(front::kCopyFail);
  out.c_string(reason);
  out.end();
}

void write_ssl_request(MessageWriter& out) {
  out.begin(0);
  out.u32(kSslRequestCode);
  out.end();
}

}  // namespace weir::postgres
