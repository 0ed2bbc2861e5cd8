// Builds the messages that the gateway itself says, into a buffer that is reused.  Knows nothing of the session's state.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace weir::postgres {

class MessageWriter {
 public:
  void clear() { bytes_.clear(); }
  [[nodiscard]] Bytes bytes() const { return bytes_; }
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  void wipe();  // Overwrites what it held: for messages with secrets.

  // begin() .. end() frame one message; begin(0) a startup packet, which has no type byte.
  void begin(char type);
  void end();
  void u8(uint8_t value) { bytes_.push_back(static_cast<std::byte>(value)); }
  void u16(uint16_t value);
  void u32(uint32_t value);
  void raw(Bytes bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void raw(std::string_view text) { raw(as_bytes(text)); }
  void c_string(std::string_view text);  // Cut at an embedded NUL.

 private:
  std::vector<std::byte> bytes_;
  std::size_t length_at_ = 0;
};

struct ErrorText {
  std::string_view severity = "ERROR";  // ERROR, FATAL, NOTICE.
  std::string_view code;
  std::string_view message;
  std::string_view detail{};
  std::string_view hint{};
  uint32_t position = 0;  // 1-based character of the statement; 0: none.
};
void write_error(MessageWriter&, const ErrorText&);   // ErrorResponse
void write_notice(MessageWriter&, const ErrorText&);  // NoticeResponse
void write_ready(MessageWriter&, char status);        // ReadyForQuery
void write_empty(MessageWriter&, char type);          // A message without a body: Sync, Flush, ...
void write_describe_statement(MessageWriter&, std::string_view name);
void write_copy_fail(MessageWriter&, std::string_view reason);
void write_ssl_request(MessageWriter&);

}  // namespace weir::postgres
