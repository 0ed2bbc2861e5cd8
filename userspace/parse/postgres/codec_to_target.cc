// Commands to units.  A command is given whole; only COPY data and commands above statement_size_max come in parts.
#include <algorithm>

#include "parse/postgres/codec.h"
#include "parse/postgres/codec_step.h"
#include "parse/postgres/messages.h"

namespace weir::postgres {
namespace {

// Largest message of that type that is given whole; 0: not a message that a client may send.
uint32_t whole_size_max(char type, const Limits& limits) {
  switch (type) {
    case front::kQuery: case front::kParse: case front::kBind: case front::kFunctionCall:
      return std::max(limits.statement_size_max, limits.unit_size_max);
    case front::kCopyData: return limits.unit_size_max;
    case front::kCopyDone: case front::kCopyFail: case front::kClose: case front::kDescribe: case front::kExecute:
    case front::kFlush: case front::kSync: case front::kTerminate:
      return kSmallMessageMax + 1;
    default: return 0;
  }
}

std::string_view short_name(std::string_view name) { return name.substr(0, kNameMax); }

constexpr uint32_t kNamesSearch = 16u << 10;  // Where the names of an oversize message must stand.

}  // namespace

bool PostgresCodec::is_fenced(char type) const {
  if (fence_names_ || queue_.size() >= kRepliesMax) return true;
  if (fence_unit_ == 0) return false;
  if (!copy_in_open_ || copy_in_closed_) return true;
  return type != front::kCopyData && type != front::kCopyDone && type != front::kCopyFail && type != front::kSync &&
         type != front::kFlush;
}

void PostgresCodec::raise_fence(uint64_t unit, bool is_query) {
  fence_unit_ = unit;
  fence_is_query_ = is_query;
  copy_in_closed_ = false;
}

Step PostgresCodec::parse_commands(ParseCall& call) {
  for (;;) {
    Step step;
    if (parts_[index_of(Direction::kToTarget)].left > 0) {
      step = parse_parts(call, Direction::kToTarget);
      if (!has_gone_on(step)) return step;
      continue;
    }
    const Bytes rest = call.rest();
    if (rest.empty()) return call.need(kHeaderSize);
    const char type = static_cast<char>(rest[0]);
    const uint32_t whole_max = whole_size_max(type, limits_);
    if (whole_max == 0) return malformed(call, "invalid frontend message type", sqlstate::kProtocolViolation);
    if (is_fenced(type)) return call.stop(Outcome::kFence);
    char framed_type = 0;
    uint32_t size = 0;
    if (!frame(call, framed_type, size, step)) return step;
    step = size > whole_max ? parse_oversize(call, type, size) : parse_command(call, type, size);
    if (!has_gone_on(step)) return step;
  }
}

Step PostgresCodec::parse_command(ParseCall& call, char type, uint32_t size) {
  if (type == front::kCopyData) return parse_copy_in(call, size);
  const Bytes rest = call.rest();
  if (rest.size() < size) return call.need(size - rest.size());
  const Bytes body = rest.subspan(kHeaderSize, size - kHeaderSize);
  begin_sent(type);
  switch (type) {
    case front::kQuery: return parse_query(call, size, body);
    case front::kParse: return parse_parse(call, size, body);
    case front::kBind: return parse_bind(call, size, body);
    case front::kExecute: return parse_execute(call, size, body);
    case front::kDescribe: case front::kClose: return parse_describe_or_close(call, type, size, body);
    case front::kFunctionCall: return parse_function_call(call, size, body);
    default: return parse_bare(call, type, size, body);
  }
}

void PostgresCodec::begin_sent(char type) {
  std::string name = std::move(scratch_sent_.name);  // Its capacity stays.
  name.clear();
  scratch_sent_ = Sent{};
  scratch_sent_.name = std::move(name);
  scratch_sent_.type = type;
}

Step PostgresCodec::emit_command(ParseCall& call, Unit& unit) {
  if (!add(call, unit)) return call.stop(Outcome::kUnitsFull);
  scratch_sent_.unit = unit.id;
  sent_.add() = scratch_sent_;
  if (scratch_sent_.is_fence) raise_fence(unit.id, scratch_sent_.type == front::kQuery);
  return went_on();
}

// A command too large to be read: opaque, in parts.  What can still be known of it is which names it moves.
Step PostgresCodec::parse_oversize(ParseCall& call, char type, uint32_t size) {
  if (type == front::kCopyData) {
    begin_sent(type);
    begin_parts(Direction::kToTarget, type, size, UnitKind::kData, "copy-data");
    return went_on();
  }
  if (type != front::kQuery && type != front::kParse && type != front::kBind && type != front::kFunctionCall) {
    return malformed(call, "invalid message length", sqlstate::kProtocolViolation);
  }
  begin_sent(type);
  scratch_sent_.traits = static_cast<Traits>(~0);
  scratch_sent_.is_fence = type == front::kQuery || type == front::kFunctionCall;
  std::string_view verb = type == front::kQuery ? "query" : "function-call";
  if (type == front::kParse || type == front::kBind) {
    const Bytes start = call.rest().first(std::min<std::size_t>(call.rest().size(), kNamesSearch));
    ByteReader reader(start);
    reader.take(kHeaderSize);
    scratch_sent_.name = short_name(reader.c_string());
    if (reader.failed()) {
      return start.size() < kNamesSearch ? call.need(1) : malformed(call, "a name without end", sqlstate::kProtocolViolation);
    }
    verb = type == front::kParse ? "parse" : "bind";
    const uint64_t unit = next_unit_[index_of(Direction::kToTarget)];
    if (type == front::kParse) names_.send(scratch_sent_.name, 0, unit, segment_number_);
    scratch_sent_.portal.bind_unit = unit;
    if (type == front::kBind) portals_.send(scratch_sent_.name, scratch_sent_.portal, unit, segment_number_);
  }
  begin_parts(Direction::kToTarget, type, size, UnitKind::kOpaque, verb);
  return went_on();
}

// Query: text\0
Step PostgresCodec::parse_query(ParseCall& call, uint32_t size, Bytes body) {
  ByteReader reader(body);
  const std::string_view text = reader.c_string();
  if (reader.failed() || !reader.at_end()) return malformed(call, "invalid message format", sqlstate::kProtocolViolation);
  const Traits traits = scan_query(as_bytes(text));
  const uint64_t statement = keep_statement(as_bytes(text), traits);
  Unit unit = make_unit(call, Direction::kToTarget, statement == 0 ? UnitKind::kOpaque : UnitKind::kCommand, "query", size);
  unit.text = statements_.text(statement);
  scratch_sent_.statement = statement;
  scratch_sent_.traits = traits;
  scratch_sent_.is_fence = true;  // Its functions may change settings that nobody sees in the text.
  const Step step = emit_command(call, unit);
  if (!has_gone_on(step)) statements_.take_back(statement);
  return step;
}

// Parse: name\0 text\0 count:2 type:4 ...
Step PostgresCodec::parse_parse(ParseCall& call, uint32_t size, Bytes body) {
  ByteReader reader(body);
  const std::string_view name = short_name(reader.c_string());
  const std::string_view text = reader.c_string();
  reader.take(reader.u16be() * std::size_t{4});
  if (reader.failed() || !reader.at_end()) return malformed(call, "invalid message format", sqlstate::kProtocolViolation);
  const Traits traits = scan_lone(as_bytes(text));
  const uint64_t statement = keep_statement(as_bytes(text), traits);
  Unit unit = make_unit(call, Direction::kToTarget, statement == 0 ? UnitKind::kOpaque : UnitKind::kCommand, "parse", size);
  unit.text = statements_.text(statement);
  unit.only_prepares = true;
  scratch_sent_.statement = statement;
  scratch_sent_.traits = traits;
  scratch_sent_.name = name;
  const Step step = emit_command(call, unit);
  if (has_gone_on(step)) {
    names_.send(name, statement, unit.id, segment_number_);
  } else {
    statements_.take_back(statement);
  }
  return step;
}

// Bind: portal\0 statement\0 count:2 format:2 ... count:2 (length:4 value) ... count:2 format:2 ...
Step PostgresCodec::parse_bind(ParseCall& call, uint32_t size, Bytes body) {
  ByteReader reader(body);
  const std::string_view portal = short_name(reader.c_string());
  const std::string_view statement = short_name(reader.c_string());
  const uint16_t format_count = reader.u16be();
  reader.take(format_count * std::size_t{2});
  const uint16_t parameters = reader.u16be();
  for (uint16_t i = 0; i < parameters && !reader.failed(); ++i) {
    const uint32_t length = reader.u32be();
    if (length != 0xffffffff) reader.take(length);
  }
  const Bytes result_formats = reader.take(reader.u16be() * std::size_t{2});
  if (reader.failed() || !reader.at_end() || (format_count > 1 && format_count != parameters)) {
    return malformed(call, "invalid message format", sqlstate::kProtocolViolation);
  }
  Meanings meanings{};
  if (!statement_meanings(statement, meanings)) {
    fence_names_ = true;
    return call.stop(Outcome::kFence);
  }
  Unit unit = make_unit(call, Direction::kToTarget, UnitKind::kCommand, "bind", size);
  unit.meanings = meanings;
  unit.field_count = parameters;
  unit.only_prepares = true;
  if (tables_.needs_sweep()) make_room();
  scratch_sent_.name = portal;
  scratch_sent_.meanings = meanings;
  scratch_sent_.portal = {meanings, unit.id, tables_.read_formats(result_formats), 0};
  const Step step = emit_command(call, unit);
  if (has_gone_on(step)) portals_.send(portal, scratch_sent_.portal, unit.id, segment_number_);
  return step;
}

// Execute: portal\0 rows_max:4
Step PostgresCodec::parse_execute(ParseCall& call, uint32_t size, Bytes body) {
  ByteReader reader(body);
  const std::string_view portal = short_name(reader.c_string());
  reader.u32be();
  if (reader.failed() || !reader.at_end()) return malformed(call, "invalid message format", sqlstate::kProtocolViolation);
  PortalMeaning meaning;
  if (!portal_meanings(portal, meaning)) {
    fence_names_ = true;
    return call.stop(Outcome::kFence);
  }
  Unit unit = make_unit(call, Direction::kToTarget, UnitKind::kCommand, "execute", size);
  unit.meanings = meaning.meanings;
  unit.bound_by = meaning.bind_unit;
  Traits traits = meaning.meanings[0] == 0 ? static_cast<Traits>(~0) : statements_.traits(meaning.meanings[0]);
  if (meaning.meanings[1] != 0) traits |= statements_.traits(meaning.meanings[1]);
  scratch_sent_.name = portal;
  scratch_sent_.traits = traits;
  scratch_sent_.meanings = meaning.meanings;
  scratch_sent_.portal = meaning;
  scratch_sent_.is_fence = (traits & (kMayFence | kMayMoveNames | kMayMovePortals)) != 0;
  return emit_command(call, unit);
}

// Describe, Close: 'S' or 'P', name\0
Step PostgresCodec::parse_describe_or_close(ParseCall& call, char type, uint32_t size, Bytes body) {
  ByteReader reader(body);
  const char object = static_cast<char>(reader.u8());
  const std::string_view name = short_name(reader.c_string());
  if (reader.failed() || !reader.at_end() || (object != 'S' && object != 'P')) {
    return malformed(call, "invalid message format", sqlstate::kProtocolViolation);
  }
  Unit unit = make_unit(call, Direction::kToTarget, UnitKind::kControl, type == front::kDescribe ? "describe" : "close", size);
  scratch_sent_.object = object;
  scratch_sent_.name = name;
  if (type == front::kDescribe) {
    const bool is_known = object == 'S' ? statement_meanings(name, unit.meanings) : portal_meanings(name, scratch_sent_.portal);
    if (!is_known) {
      fence_names_ = true;
      return call.stop(Outcome::kFence);
    }
    if (object == 'P') unit.meanings = scratch_sent_.portal.meanings;
    scratch_sent_.meanings = unit.meanings;
  }
  return emit_command(call, unit);
}

// FunctionCall: function:4 count:2 format:2 ... count:2 (length:4 value) ... result format:2
Step PostgresCodec::parse_function_call(ParseCall& call, uint32_t size, Bytes body) {
  ByteReader reader(body);
  reader.u32be();
  reader.take(reader.u16be() * std::size_t{2});
  const uint16_t count = reader.u16be();
  for (uint16_t i = 0; i < count && !reader.failed(); ++i) {
    const uint32_t length = reader.u32be();
    if (length != 0xffffffff) reader.take(length);
  }
  reader.u16be();
  if (reader.failed() || !reader.at_end()) return malformed(call, "invalid message format", sqlstate::kProtocolViolation);
  Unit unit = make_unit(call, Direction::kToTarget, UnitKind::kCommand, "function-call", size);
  scratch_sent_.is_fence = true;
  return emit_command(call, unit);
}

// Sync, Flush, Terminate, CopyDone have no body; CopyFail has a reason.
Step PostgresCodec::parse_bare(ParseCall& call, char type, uint32_t size, Bytes body) {
  std::string_view verb;
  switch (type) {
    case front::kSync: verb = "sync"; break;
    case front::kFlush: verb = "flush"; break;
    case front::kTerminate: verb = "terminate"; break;
    case front::kCopyDone: verb = "copy-done"; break;
    case front::kCopyFail: verb = "copy-fail"; break;
    default: return malformed(call, "invalid frontend message type", sqlstate::kProtocolViolation);
  }
  ByteReader reader(body);
  if (type == front::kCopyFail) reader.c_string();
  if (reader.failed() || !reader.at_end()) return malformed(call, "invalid message format", sqlstate::kProtocolViolation);
  Unit unit = make_unit(call, Direction::kToTarget, UnitKind::kControl, verb, size);
  // A setting changed in this segment is told only with its ReadyForQuery.
  if (type == front::kSync) scratch_sent_.is_fence = grammar_unsure_since_ != 0;
  const Step step = emit_command(call, unit);
  if (!has_gone_on(step)) return step;
  if (type == front::kSync) ++segment_number_;
  if (type == front::kCopyDone || type == front::kCopyFail) {
    // A Query may go on with another COPY; a portal is one statement, and answers only after the Sync that follows.
    copy_in_closed_ = true;
    if (!fence_is_query_) fence_unit_ = 0;
  }
  return step;
}

// CopyData: a run of whole messages is one unit.
Step PostgresCodec::parse_copy_in(ParseCall& call, uint32_t size) {
  const Bytes rest = call.rest();
  if (rest.size() < size) return call.need(size - rest.size());
  uint32_t run = 0;
  uint32_t messages = 0;
  while (rest.size() - run >= kHeaderSize && static_cast<char>(rest[run]) == front::kCopyData) {
    const uint32_t length = load_be<uint32_t>(rest, run + 1);
    if (length < 4 || length >= limits_.unit_size_max || rest.size() - run < length + std::size_t{1}) break;
    run += length + 1;
    ++messages;
  }
  if (messages == 0) return malformed(call, "invalid message length", sqlstate::kProtocolViolation);
  Unit unit = make_unit(call, Direction::kToTarget, UnitKind::kData, "copy-data", run);
  unit.field_count = messages;
  begin_sent(front::kCopyData);
  return emit_command(call, unit);
}

}  // namespace weir::postgres
