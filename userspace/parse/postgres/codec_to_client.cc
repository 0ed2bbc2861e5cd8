// Replies to units.  Every message must be one that the entry at the queue's reading place may be answered with.
#include <algorithm>
#include <charconv>

#include "parse/postgres/codec.h"
#include "parse/postgres/codec_step.h"
#include "parse/postgres/messages.h"

namespace weir::postgres {
namespace {

constexpr bool is_async(char type) { return type == back::kNotice || type == back::kParameterStatus || type == back::kNotification; }

bool is_reply_type(char type) {
  switch (type) {
    case back::kBindComplete: case back::kCloseComplete: case back::kCommandComplete: case back::kCopyData: case back::kCopyDone:
    case back::kCopyInResponse: case back::kCopyOutResponse: case back::kDataRow: case back::kEmptyQuery: case back::kError:
    case back::kFunctionCallResponse: case back::kNoData: case back::kNotice: case back::kNotification:
    case back::kParameterDescription: case back::kParameterStatus: case back::kParseComplete: case back::kPortalSuspended:
    case back::kReadyForQuery: case back::kRowDescription:
      return true;
    default: return false;
  }
}

std::string_view verb_of(char type) {
  switch (type) {
    case back::kBindComplete: return "bind-complete";
    case back::kCloseComplete: return "close-complete";
    case back::kCommandComplete: return "complete";
    case back::kCopyDone: return "copy-done";
    case back::kCopyInResponse: return "copy-in";
    case back::kCopyOutResponse: return "copy-out";
    case back::kEmptyQuery: return "empty";
    case back::kError: return "error";
    case back::kFunctionCallResponse: return "function-result";
    case back::kNoData: return "no-data";
    case back::kNotice: return "notice";
    case back::kNotification: return "notification";
    case back::kParameterDescription: return "parameter-description";
    case back::kParameterStatus: return "parameter-status";
    case back::kParseComplete: return "parse-complete";
    case back::kPortalSuspended: return "suspended";
    case back::kReadyForQuery: return "ready";
    case back::kRowDescription: return "row-description";
    default: return "reply";
  }
}

// Tags of statements that return rows: the rows seen count, whatever the tag says.
bool is_row_tag(std::string_view tag) { return tag.starts_with("SELECT ") || tag.starts_with("FETCH ") || tag.starts_with("SHOW"); }

uint64_t rows_of_tag(std::string_view tag) {
  const std::size_t space = tag.rfind(' ');
  uint64_t rows = 0;
  if (space != std::string_view::npos) std::from_chars(tag.data() + space + 1, tag.data() + tag.size(), rows);
  return rows;
}

// Which messages answer which request, beside errors and what comes at any time.
bool answers(char type, ReplyKind kind, bool is_copy_out) {
  if (type == back::kCopyData || type == back::kCopyDone) {
    return is_copy_out && (kind == ReplyKind::kQuery || kind == ReplyKind::kExecute);
  }
  if (is_copy_out) return false;
  switch (kind) {
    case ReplyKind::kQuery:
      return type == back::kRowDescription || type == back::kDataRow || type == back::kCommandComplete || type == back::kEmptyQuery ||
             type == back::kCopyInResponse || type == back::kCopyOutResponse || type == back::kReadyForQuery;
    case ReplyKind::kExecute:
      return type == back::kDataRow || type == back::kCommandComplete || type == back::kEmptyQuery ||
             type == back::kPortalSuspended || type == back::kCopyInResponse || type == back::kCopyOutResponse;
    case ReplyKind::kParse: return type == back::kParseComplete;
    case ReplyKind::kBind: return type == back::kBindComplete;
    case ReplyKind::kClose: return type == back::kCloseComplete;
    case ReplyKind::kDescribeStatement:
      return type == back::kParameterDescription || type == back::kRowDescription || type == back::kNoData;
    case ReplyKind::kDescribePortal: return type == back::kRowDescription || type == back::kNoData;
    case ReplyKind::kFunctionCall: return type == back::kFunctionCallResponse || type == back::kReadyForQuery;
    case ReplyKind::kSync: return type == back::kReadyForQuery;
    case ReplyKind::kStandIn: return false;
  }
  return false;
}

constexpr bool is_extended(ReplyKind kind) { return kind != ReplyKind::kQuery && kind != ReplyKind::kFunctionCall; }

}  // namespace

Step PostgresCodec::parse_replies(ParseCall& call) {
  for (;;) {
    Step step;
    Parts& parts = parts_[index_of(Direction::kToClient)];
    if (parts.left > 0) {
      step = parts.type == back::kDataRow ? parse_row_part(call) : parse_parts(call, Direction::kToClient);
      if (!has_gone_on(step)) return step;
      continue;
    }
    const Bytes rest = call.rest();
    if (rest.empty()) return call.need(kHeaderSize);
    if (!is_reply_type(static_cast<char>(rest[0]))) {
      return malformed(call, "the target sent a message of an unknown type", sqlstate::kProtocolViolation);
    }
    char type = 0;
    uint32_t size = 0;
    if (!frame(call, type, size, step)) return step;
    if (target_skips_) queue_.read_to_sync();
    if (!is_async(type) && type != back::kError) {
      const Expected* entry = queue_.reading();
      if (entry == nullptr || !answers(type, entry->kind, is_copy_out_)) {
        return malformed(call, "the target's answer does not fit what was asked", sqlstate::kProtocolViolation);
      }
    }
    step = parse_reply(call, type, size);
    if (!has_gone_on(step)) return step;
  }
}

Step PostgresCodec::parse_reply(ParseCall& call, char type, uint32_t size) {
  const Bytes rest = call.rest();
  if (type == back::kDataRow || type == back::kCopyData) return parse_rows(call, type, size);
  if (size > limits_.unit_size_max) {
    // Nothing but rows and COPY data has a reason to be that large (an error that quotes a megabyte is not worth a session).
    return malformed(call, "the target's message is too large", sqlstate::kProtocolViolation);
  }
  if (rest.size() < size) return call.need(size - rest.size());
  const Bytes body = rest.subspan(kHeaderSize, size - kHeaderSize);
  switch (type) {
    case back::kError: return parse_error(call, size, body);
    case back::kNotice: case back::kNotification: case back::kParameterStatus: return parse_async(call, type, size, body);
    case back::kRowDescription: return parse_row_description(call, size, body);
    case back::kCopyInResponse: case back::kCopyOutResponse: return parse_copy_response(call, type, size, body);
    case back::kReadyForQuery: return parse_ready(call, size, body);
    default: return parse_completion(call, type, size, body);
  }
}

Step PostgresCodec::emit_reply(ParseCall& call, Unit& unit, Received& record) {
  if (unit.in_reply_to == 0) {
    if (const Expected* entry = queue_.reading()) unit.in_reply_to = entry->unit;
  }
  if (const Expected* entry = queue_.reading(); entry != nullptr) record.meanings = entry->meanings;
  if (!add(call, unit)) return call.stop(Outcome::kUnitsFull);
  record.unit = unit.id;
  received_.add() = record;
  return went_on();
}

// A run of whole rows (DataRow, or CopyData of a COPY out) is one unit; a row above unit_size_max comes in parts.
Step PostgresCodec::parse_rows(ParseCall& call, char type, uint32_t size) {
  const Expected& entry = *queue_.reading();
  if (type == back::kDataRow && !has_result_columns_) {
    result_columns_ = reply_columns(entry);
    has_result_columns_ = true;
  }
  const Bytes rest = call.rest();
  if (size > limits_.unit_size_max) {
    begin_parts(Direction::kToClient, type, size, UnitKind::kRows, type == back::kDataRow ? "row" : "copy-data");
    return went_on();
  }
  if (rest.size() < size) return call.need(size - rest.size());
  Unit unit = make_unit(call, Direction::kToClient, UnitKind::kRows, type == back::kDataRow ? "row" : "copy-data", 0);
  while (rest.size() - unit.wire.size >= kHeaderSize && static_cast<char>(rest[unit.wire.size]) == type) {
    const uint32_t length = load_be<uint32_t>(rest, unit.wire.size + 1);
    if (length < 4 || length >= limits_.unit_size_max || rest.size() - unit.wire.size < length + std::size_t{1}) break;
    const Bytes body = rest.subspan(unit.wire.size + kHeaderSize, length - 4);
    if (type == back::kDataRow) {
      uint16_t cells = 0;
      if (!check_data_row(body, cells)) {
        return malformed(call, "the target sent a row whose cells do not fit it", sqlstate::kProtocolViolation);
      }
      unit.field_count += cells;
    } else {
      unit.field_count += count_copy_cells(copy_out_, body);
    }
    unit.wire.size += length + 1;
    ++unit.row_count;
  }
  Received record;
  record.type = type;
  record.columns = result_columns_;
  record.copy = copy_out_;
  const Step step = emit_reply(call, unit, record);
  if (has_gone_on(step)) result_rows_ += unit.row_count;
  return step;
}

Step PostgresCodec::parse_row_part(ParseCall& call) {
  Parts& parts = parts_[index_of(Direction::kToClient)];
  const Bytes rest = call.rest();
  if (rest.empty()) return call.need(parts.left);
  CellState after = parts.cells;
  bool failed = false;
  const uint32_t size = take_row_part(after, rest, parts.left, failed);
  if (failed) return malformed(call, "the target sent a row whose cells do not fit it", sqlstate::kProtocolViolation);
  if (size == 0) return call.need(kHeaderSize + 2);
  const bool is_last = size == parts.left;
  Unit unit = make_unit(call, Direction::kToClient, UnitKind::kRows, parts.verb, size);
  unit.part = parts.is_first ? (is_last ? Part::kWhole : Part::kFirst) : (is_last ? Part::kLast : Part::kMiddle);
  unit.row_count = is_last ? 1 : 0;
  Received record;
  record.type = parts.type;
  record.columns = result_columns_;
  record.cells = parts.cells;
  record.is_part = true;
  walk_row_part(parts.cells, rest.first(size), 0,
                [](void* count, const Field&) { ++*static_cast<uint32_t*>(count); return true; }, &unit.field_count);
  const Step step = emit_reply(call, unit, record);
  if (!has_gone_on(step)) return step;
  parts.cells = after;
  parts.left -= size;
  parts.is_first = false;
  if (is_last) ++result_rows_;
  return step;
}

Step PostgresCodec::parse_row_description(ParseCall& call, uint32_t size, Bytes body) {
  if (tables_.needs_sweep()) make_room();
  bool is_malformed = false;
  const uint32_t table = tables_.read(body, is_malformed);
  if (is_malformed) return malformed(call, "the target's row description is malformed", sqlstate::kProtocolViolation);
  const Expected& entry = *queue_.reading();
  const bool ends = entry.kind != ReplyKind::kQuery;
  Unit unit = make_unit(call, Direction::kToClient, UnitKind::kResponse, "row-description", size);
  Received record;
  record.type = back::kRowDescription;
  record.columns = table;
  record.ends_entry = ends;
  const Step step = emit_reply(call, unit, record);
  if (!has_gone_on(step)) return step;
  if (ends) {
    describe(entry, table);
    queue_.read_next();
  } else {
    result_columns_ = table;
    has_result_columns_ = true;
    result_rows_ = 0;
  }
  return step;
}

// CopyInResponse, CopyOutResponse: format:1 count:2 format:2 ...
Step PostgresCodec::parse_copy_response(ParseCall& call, char type, uint32_t size, Bytes body) {
  ByteReader reader(body);
  const uint8_t format = reader.u8();
  const uint16_t count = reader.u16be();
  reader.take(count * std::size_t{2});
  if (reader.failed() || !reader.at_end()) {
    return malformed(call, "the target's copy response is malformed", sqlstate::kProtocolViolation);
  }
  const Expected& entry = *queue_.reading();
  CopyShape shape;
  shape.columns = count;
  shape.kind = format == 1 ? CopyShape::Kind::kBinary
                           : (entry.traits & kCopyIsCsv) != 0 ? CopyShape::Kind::kCsv : CopyShape::Kind::kText;
  // A Query of several statements has one text for all of them: its words are not this COPY's alone, but include them.
  shape.is_sure = (entry.traits & kCopyFormatUnsure) == 0;
  Unit unit = make_unit(call, Direction::kToClient, UnitKind::kResponse, verb_of(type), size);
  Received record;
  record.type = type;
  record.copy = shape;
  const Step step = emit_reply(call, unit, record);
  if (!has_gone_on(step) || type == back::kCopyInResponse) return step;
  is_copy_out_ = true;
  copy_out_ = shape;
  if (tables_.needs_sweep()) make_room();
  const ValueFormat value = shape.kind == CopyShape::Kind::kBinary ? ValueFormat::kCopyBinary
                            : shape.kind == CopyShape::Kind::kCsv  ? ValueFormat::kCopyCsv : ValueFormat::kCopyText;
  result_columns_ = tables_.copy(count, value);
  has_result_columns_ = true;
  result_rows_ = 0;
  return step;
}

// ErrorResponse: (code:1 text\0)... 0
Step PostgresCodec::parse_error(ParseCall& call, uint32_t size, Bytes body) {
  const Expected* entry = queue_.reading();
  ErrorFields fields;
  if (!read_error(body, fields)) return malformed(call, "the target's error is malformed", sqlstate::kProtocolViolation);
  Received record;
  record.type = back::kError;
  record.is_stand_in = !stand_in_name_.empty() && fields.message.find(stand_in_name_) != std::string_view::npos;
  record.is_extended_error = entry != nullptr && is_extended(entry->kind);
  // A refused command has its fate already; COPY data that was refused ends the command that asked for it.
  const bool ends_copy = record.is_stand_in && (entry == nullptr || entry->kind != ReplyKind::kStandIn);
  const std::string_view code = !record.is_stand_in ? fields.code : ends_copy ? sqlstate::kInsufficientPrivilege : std::string_view{};
  std::copy_n(code.begin(), std::min<std::size_t>(code.size(), 5), record.sqlstate.begin());
  Unit unit = make_unit(call, Direction::kToClient, record.is_stand_in ? UnitKind::kControl : UnitKind::kResponse,
                        record.is_stand_in ? "stand-in" : "error", size);
  if (!record.is_stand_in) {
    unit.text = arena_.keep(as_bytes(fields.message));
    unit.field_count = fields.shown;
  }
  const Step step = emit_reply(call, unit, record);
  if (!has_gone_on(step)) return step;
  is_copy_out_ = false;
  has_result_columns_ = false;
  if (!record.is_extended_error) {
    if (entry != nullptr) reply_has_failed_ = true;
    return step;
  }
  target_skips_ = true;
  queue_.read_to_sync();
  return step;
}

// The end of one request's answer, or of one statement of a Query.
Step PostgresCodec::parse_completion(ParseCall& call, char type, uint32_t size, Bytes body) {
  Expected& entry = *queue_.reading();
  Received record;
  record.type = type;
  const bool has_tag = type == back::kCommandComplete;
  ByteReader reader(body);
  const std::string_view tag = has_tag ? reader.c_string() : std::string_view{};
  const bool may_have_body = has_tag || type == back::kParameterDescription || type == back::kFunctionCallResponse;
  if (reader.failed() || (has_tag && !reader.at_end()) || (!may_have_body && !body.empty())) {
    return malformed(call, "the target's answer is malformed", sqlstate::kProtocolViolation);
  }
  record.ends_entry = type != back::kCopyDone && type != back::kParameterDescription && entry.kind != ReplyKind::kQuery &&
                      entry.kind != ReplyKind::kFunctionCall;
  if (has_tag) {
    last_tag_ = tag.substr(0, kTagMax);
    record.tag = arena_.keep(tag);
    record.rows = is_row_tag(tag) ? result_rows_ : rows_of_tag(tag);
  }
  if (type == back::kPortalSuspended) record.rows = result_rows_;
  record.columns = result_columns_;
  // What only says "done" without a result is housekeeping; the answer to an Execute is a reply of its own.
  UnitKind kind = UnitKind::kControl;
  if (has_tag || type == back::kEmptyQuery || type == back::kPortalSuspended) {
    kind = record.ends_entry ? UnitKind::kResponseEnd : UnitKind::kResponse;
  } else if (type == back::kFunctionCallResponse) {
    kind = UnitKind::kResponse;
  }
  Unit unit = make_unit(call, Direction::kToClient, kind, verb_of(type), size);
  unit.text = as_bytes(record.tag);
  const Step step = emit_reply(call, unit, record);
  if (!has_gone_on(step)) return step;
  if (type == back::kCopyDone) is_copy_out_ = false;
  if (has_tag) {
    reply_rows_ += record.rows;
    learn_from_completion(entry, tag);
  }
  if (has_tag || type == back::kPortalSuspended || type == back::kEmptyQuery) {
    has_result_columns_ = false;
    result_rows_ = 0;
  }
  if (type == back::kNoData) describe(entry, ColumnTables::kText);
  if (record.ends_entry) {
    confirm(entry);
    queue_.read_next();
  }
  return step;
}

Step PostgresCodec::parse_ready(ParseCall& call, uint32_t size, Bytes body) {
  if (body.size() != 1 || std::string_view("ITE").find(static_cast<char>(body[0])) == std::string_view::npos) {
    return malformed(call, "the target's ReadyForQuery is malformed", sqlstate::kProtocolViolation);
  }
  Received record;
  record.type = back::kReadyForQuery;
  record.status = static_cast<char>(body[0]);
  record.ends_entry = true;
  // It ends the reply to a Query; that of a Sync, or of a Query whose error was the end already, is housekeeping.
  const ReplyKind asked = queue_.reading()->kind;
  const bool ends_reply = (asked == ReplyKind::kQuery || asked == ReplyKind::kFunctionCall) && !reply_has_failed_;
  if (ends_reply) {
    record.rows = reply_rows_;
    record.tag = last_tag_;  // Until the next Query's: that one waits for this unit to be settled.
  }
  Unit unit = make_unit(call, Direction::kToClient, ends_reply ? UnitKind::kResponseEnd : UnitKind::kControl, "ready", size);
  const Step step = emit_reply(call, unit, record);
  if (!has_gone_on(step)) return step;
  queue_.read_next();
  target_skips_ = false;
  is_copy_out_ = false;
  has_result_columns_ = false;
  result_rows_ = reply_rows_ = 0;
  reply_has_failed_ = false;
  if (record.status == 'I') portals_.close_all(true);  // Portals end with their transaction.
  return step;
}

Step PostgresCodec::parse_async(ParseCall& call, char type, uint32_t size, Bytes body) {
  Unit unit = make_unit(call, Direction::kToClient,
                        type == back::kParameterStatus ? UnitKind::kControl : UnitKind::kResponse, verb_of(type), size);
  Received record;
  record.type = type;
  ByteReader reader(body);
  if (type == back::kNotice) {
    ErrorFields fields;
    if (!read_error(body, fields)) return malformed(call, "the target's notice is malformed", sqlstate::kProtocolViolation);
    unit.text = arena_.keep(as_bytes(fields.message));
    unit.field_count = fields.shown;
  } else {
    if (type == back::kNotification) reader.u32be();
    const std::string_view first = reader.c_string();
    reader.c_string();
    if (reader.failed() || !reader.at_end()) {
      return malformed(call, "the target's message is malformed", sqlstate::kProtocolViolation);
    }
    if (type == back::kNotification) {
      unit.text = arena_.keep(as_bytes(first));
      unit.field_count = 2;
    }
  }
  const Step step = emit_reply(call, unit, record);
  if (has_gone_on(step) && type == back::kParameterStatus) read_parameter_status(body);
  return step;
}

}  // namespace weir::postgres
