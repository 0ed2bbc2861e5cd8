#include "parse/postgres/codec.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "parse/postgres/codec_step.h"
#include "parse/postgres/messages.h"

namespace weir::postgres {
namespace {
constexpr uint64_t kColumnBytesMax = 4u << 20;        // Of all described results of a session.  Hit: columns are not told.
constexpr uint64_t kStatementSpareBytes = 4u << 20;   // Beside one statement of the largest size.  Hit: opaque.
}  // namespace

PostgresCodec::PostgresCodec(CodecEnvironment& environment)
    : arena_(environment.arena), target_(environment.target), sides_(environment.sides), random_(environment.random),
      limits_(environment.limits), statements_(environment.limits.statement_size_max + kStatementSpareBytes),
      tables_(kColumnBytesMax) {
  last_tag_.reserve(kTagMax);
}

PostgresCodec::~PostgresCodec() {
  OPENSSL_cleanse(cancel_key_.data(), cancel_key_.size());
  OPENSSL_cleanse(credential_.data(), credential_.size());
}

Step PostgresCodec::parse(uint32_t, Direction direction, uint64_t at, Bytes bytes, UnitSink& sink) {
  ParseCall call{direction, at, bytes, sink};
  if (is_closed_ || is_broken_[index_of(direction)]) return call.need(1);  // Whatever comes now is the session's to discard.
  if (direction == Direction::kToClient) {
    switch (target_phase_) {
      case TargetPhase::kAsked: return parse_target_answer(call);
      case TargetPhase::kLogin: return parse_target_login(call);
      case TargetPhase::kReplies: return parse_replies(call);
      case TargetPhase::kAbsent:
      case TargetPhase::kHello:
      case TargetPhase::kSilent: break;
    }
    return bytes.empty() ? call.need(1) : malformed(call, "the target spoke out of turn", sqlstate::kProtocolViolation);
  }
  switch (client_phase_) {
    case ClientPhase::kStartup: return parse_startup(call);
    case ClientPhase::kAnswer: return parse_auth_answer(call);
    case ClientPhase::kCommands: return parse_commands(call);
    case ClientPhase::kWaiting: return bytes.empty() ? call.need(1) : call.stop(Outcome::kFence);
    case ClientPhase::kHello:
      return bytes.empty() ? call.need(1) : malformed(call, "plaintext after an SSLRequest that was granted", sqlstate::kProtocolViolation);
    case ClientPhase::kNothing:
      return bytes.empty() ? call.need(1) : malformed(call, "bytes after a CancelRequest", sqlstate::kProtocolViolation);
  }
  return call.need(1);
}

Step PostgresCodec::finish(uint32_t, Direction direction, uint64_t, Bytes left, UnitSink&) {
  Step step;
  if (!left.empty() && !is_closed_) {
    step.outcome = Outcome::kMalformed;
    step.why = "the stream ended inside a message";
    violation_code_ = sqlstate::kProtocolViolation;
    violation_is_client_ = direction == Direction::kToTarget;
  }
  return step;
}

Unit PostgresCodec::make_unit(const ParseCall& call, Direction direction, UnitKind kind, std::string_view verb,
                              std::size_t size) const {
  Unit unit;
  unit.id = next_unit_[index_of(direction)];
  unit.kind = kind;
  unit.direction = direction;
  unit.verb = verb;
  unit.wire = {call.at + call.consumed, static_cast<uint32_t>(size)};
  return unit;
}

bool PostgresCodec::add(ParseCall& call, const Unit& unit) {
  if (!call.sink.add(unit)) return false;
  call.consumed += unit.wire.size;
  ++next_unit_[index_of(unit.direction)];
  return true;
}

Step PostgresCodec::malformed(ParseCall& call, const char* why, std::string_view code) {
  violation_code_ = code;
  violation_is_client_ = call.direction == Direction::kToTarget;
  is_broken_[index_of(call.direction)] = true;
  Step step = call.stop(Outcome::kMalformed);
  step.why = why;
  return step;
}

bool PostgresCodec::frame(ParseCall& call, char& type, uint32_t& size, Step& step) {
  const Bytes rest = call.rest();
  if (rest.size() < kHeaderSize) {
    step = call.need(kHeaderSize - rest.size());
    return false;
  }
  type = static_cast<char>(rest[0]);
  const uint32_t length = load_be<uint32_t>(rest, 1);
  if (length < 4 || length > kLargeMessageMax) {
    step = malformed(call, "invalid message length", sqlstate::kProtocolViolation);
    return false;
  }
  size = length + 1;
  return true;
}

void PostgresCodec::begin_parts(Direction direction, char type, uint32_t size, UnitKind kind, std::string_view verb) {
  parts_[index_of(direction)] = Parts{size, true, type, kind, verb, {}};
}

// The next bytes of a message that is given in parts.  Rows have their own (parse_row_part): they end at a cell's edge.
Step PostgresCodec::parse_parts(ParseCall& call, Direction direction) {
  Parts& parts = parts_[index_of(direction)];
  const std::size_t size = std::min<std::size_t>(parts.left, call.rest().size());
  if (size == 0) return call.need(parts.left);
  Unit unit = make_unit(call, direction, parts.kind, parts.verb, size);
  const bool is_last = size == parts.left;
  unit.part = parts.is_first ? (is_last ? Part::kWhole : Part::kFirst) : (is_last ? Part::kLast : Part::kMiddle);
  unit.field_count = parts.kind == UnitKind::kOpaque ? 0 : 1;
  if (direction == Direction::kToClient) {
    if (const Expected* entry = queue_.reading()) unit.in_reply_to = entry->unit;
  }
  if (!add(call, unit)) return call.stop(Outcome::kUnitsFull);
  if (direction == Direction::kToTarget) {
    Sent& sent = sent_.add();
    sent = parts.is_first ? scratch_sent_ : Sent{};
    sent.unit = unit.id;
    sent.type = parts.type;
    if (parts.is_first && sent.is_fence) raise_fence(unit.id, sent.type == front::kQuery);
  } else {
    Received& received = received_.add();
    received = Received{};
    received.unit = unit.id;
    received.type = parts.type;
    received.copy = copy_out_;
    received.columns = result_columns_;
    received.is_part = true;
    if (const Expected* entry = queue_.reading()) received.meanings = entry->meanings;
    if (is_last) ++result_rows_;
  }
  parts.left -= static_cast<uint32_t>(size);
  parts.is_first = false;
  return went_on();
}

const PostgresCodec::Received* PostgresCodec::received(const Unit& unit) const {
  if (received_.empty() || unit.direction != Direction::kToClient || unit.id < received_[0].unit) return nullptr;
  const uint64_t index = unit.id - received_[0].unit;
  return index < received_.size() ? &received_[index] : nullptr;
}

std::span<const Column> PostgresCodec::columns(const Unit& unit) const {
  const Received* record = received(unit);
  return record == nullptr ? std::span<const Column>{} : tables_.columns(record->columns);
}

Meanings PostgresCodec::reply_meanings(const Unit& unit) const {
  const Received* record = received(unit);
  return record == nullptr ? Meanings{} : record->meanings;
}

ResultFacts PostgresCodec::result(const Unit& unit) const {
  const Received* record = received(unit);
  if (record == nullptr) return {};
  ResultFacts facts;
  facts.rows = record->rows;
  facts.tag = record->tag;
  if (record->sqlstate[0] != 0) facts.sqlstate = {record->sqlstate.data(), record->sqlstate.size()};
  return facts;
}

LoginFacts PostgresCodec::login() const {
  return {startup_.user, startup_.database, startup_.application_name, target_login_.empty() ? startup_.user : target_login_,
          is_login_complete_};
}

GrammarFacts PostgresCodec::grammar() const {
  return {standard_conforming_strings_, encoding_is_safe_ && grammar_unsure_since_ == 0, startup_.search_path_is_default,
          status_ == 'I' && queue_.empty() && !segment_.is_contacted};
}

bool PostgresCodec::is_idle() const { return queue_.empty() && sent_.empty() && received_.empty() && status_ == 'I' && !segment_.is_contacted; }

bool PostgresCodec::resume(Direction direction) {
  if (direction == Direction::kToClient) return true;
  if (client_phase_ == ClientPhase::kWaiting) return false;
  if (client_phase_ != ClientPhase::kCommands) return true;
  return !fence_names_ && queue_.size() < kRepliesMax && (fence_unit_ == 0 || (copy_in_open_ && !copy_in_closed_));
}

// CancelRequest: length:4 code:4 process:4 key ...
uint32_t PostgresCodec::cancel_request(MutableBytes out) const {
  const std::size_t size = 8 + cancel_key_.size();
  if (cancel_key_.empty() || client_phase_ == ClientPhase::kNothing || out.size() < size) return 0;
  store_be<uint32_t>(out, 0, static_cast<uint32_t>(size));
  store_be<uint32_t>(out, 4, kCancelRequestCode);
  std::ranges::copy(cancel_key_, out.begin() + 8);
  return static_cast<uint32_t>(size);
}

uint64_t PostgresCodec::keep_statement(Bytes text, Traits traits) {
  if (statements_.needs_sweep(text.size()) || tables_.needs_sweep()) make_room();
  if (text.size() > limits_.statement_size_max) return 0;
  return statements_.keep(text.empty() ? as_bytes(" ") : text, traits);  // An empty text would read as an unknown one.
}

// Gives up the texts and column tables that no name, portal, outstanding reply or unsettled unit refers to.
void PostgresCodec::make_room() {
  const auto mark_meanings = [this](const Meanings& meanings) {
    for (const uint64_t id : meanings) {
      if (id != 0) statements_.mark(id);
    }
  };
  const auto mark_portal = [&](const PortalMeaning& portal) {
    mark_meanings(portal.meanings);
    tables_.mark(portal.formats);
    tables_.mark(portal.columns);
  };
  names_.for_each([this](const auto& entry) {
    if (entry.has_current) statements_.mark(entry.current);
    if (entry.keeps_latest()) statements_.mark(entry.latest);
  });
  portals_.for_each([&](const auto& entry) {
    if (entry.has_current) mark_portal(entry.current);
    if (entry.keeps_latest()) mark_portal(entry.latest);
  });
  for (std::size_t i = 0; i < queue_.size(); ++i) {
    statements_.mark(queue_[i].statement);
    mark_meanings(queue_[i].meanings);
    mark_portal(queue_[i].portal);
  }
  for (std::size_t i = 0; i < sent_.size(); ++i) {
    statements_.mark(sent_[i].statement);
    mark_meanings(sent_[i].meanings);
    mark_portal(sent_[i].portal);
  }
  for (std::size_t i = 0; i < received_.size(); ++i) {
    mark_meanings(received_[i].meanings);
    tables_.mark(received_[i].columns);
  }
  tables_.mark(result_columns_);
  statements_.sweep();
  statements_.for_each([this](uint64_t, uint32_t columns) { tables_.mark(columns); });
  tables_.sweep();
}

}  // namespace weir::postgres
