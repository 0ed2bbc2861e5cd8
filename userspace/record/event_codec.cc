#include "record/event_codec.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace weir::record {
namespace {

// Field numbers; never reused, never renumbered.
enum Field : uint32_t {
  kUnitId = 1, kInReplyTo = 2, kStream = 3, kPrincipal = 4, kUnitKind = 5, kPart = 6, kDirection = 7, kWireOffset = 8, kWireSize = 9,
  kVerb = 10, kText = 11, kBody = 12, kAction = 13, kObserved = 14, kRule = 15, kReason = 16, kFate = 17, kRows = 18, kBytes = 19,
  kMasked = 20, kSqlstate = 21, kToTarget = 22, kToClient = 23,
  kRequestId = 24, kGrant = 25, kVerbs = 26, kObjects = 27,
};
enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

// Reads one protobuf field at a time.
struct FieldReader {
  Bytes rest;
  uint32_t field = 0, type = 0;
  uint64_t value = 0;
  Bytes bytes{};

  bool varint(uint64_t& out) noexcept {
    out = 0;
    for (unsigned shift = 0; shift < 64 && !rest.empty(); shift += 7) {
      const auto byte = std::to_integer<uint64_t>(rest.front());
      rest = rest.subspan(1);
      if (shift == 63 && byte > 1) return false;
      out |= (byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return true;
    }
    return false;
  }
  bool take(uint64_t size) noexcept {
    if (size > rest.size()) return false;
    bytes = rest.first(size);
    rest = rest.subspan(size);
    return true;
  }
  bool next() noexcept {
    uint64_t key = 0;
    if (!varint(key) || key >> 3 == 0 || key >> 3 > 0x1fffffff) return false;
    field = static_cast<uint32_t>(key >> 3);
    type = static_cast<uint32_t>(key & 7);
    switch (type) {
      case kVarint: return varint(value);
      case kFixed64: return take(8);
      case kFixed32: return take(4);
      case kLengthDelimited: return varint(value) && take(value);
      default: return false;
    }
  }
};

bool decode_account(Bytes bytes, ByteAccount& account) noexcept {
  account = {};
  const std::array<uint64_t*, 6> places = {&account.kernel, &account.handshake, &account.parsed,
                                           &account.opaque, &account.refused,   &account.injected};
  FieldReader reader{bytes};
  while (!reader.rest.empty()) {
    if (!reader.next()) return false;
    if (reader.type == kVarint && reader.field <= places.size()) *places[reader.field - 1] = reader.value;
  }
  return true;
}

template <class Enum>
bool set_enum(Enum& place, uint64_t value, Enum last) noexcept {
  if (value > static_cast<uint64_t>(last)) return false;
  place = static_cast<Enum>(value);
  return true;
}
bool set_u32(uint32_t& place, uint64_t value) noexcept {
  place = static_cast<uint32_t>(value);
  return value <= UINT32_MAX;
}

bool decode_number(const FieldReader& reader, RecordEvent& event) noexcept {
  const uint64_t value = reader.value;
  switch (reader.field) {
    case kUnitId: event.unit.id = value; return true;
    case kInReplyTo: event.unit.in_reply_to = value; return true;
    case kStream: return set_u32(event.unit.stream, value);
    case kPrincipal: return set_u32(event.unit.principal, value);
    case kUnitKind: return set_enum(event.unit.kind, value, UnitKind::kOpaque);
    case kPart: return set_enum(event.unit.part, value, Part::kLast);
    case kDirection: return set_enum(event.unit.direction, value, Direction::kToClient);
    case kWireOffset: event.unit.wire.offset = value; return true;
    case kWireSize: return set_u32(event.unit.wire.size, value);
    case kAction: return set_enum(event.action, value, Verdict::Action::kAllow);
    case kObserved: event.observed = value != 0; return true;
    case kFate: return set_enum(event.fate, value, Fate::kUnknown);
    case kRows: event.rows = value; return true;
    case kBytes: event.bytes = value; return true;
    case kMasked: event.masked = value; return true;
    case kVerbs: event.verbs = static_cast<VerbSet>(value); return value <= UINT16_MAX;
    default: return true;  // Of a newer version.
  }
}

bool decode_bytes(const FieldReader& reader, RecordEvent& event, Accounts& accounts) noexcept {
  switch (reader.field) {
    case kVerb: event.verb = as_text(reader.bytes); return true;
    case kText: event.text = reader.bytes; return true;
    case kBody: event.body = reader.bytes; return true;
    case kRule: event.rule = as_text(reader.bytes); return true;
    case kReason: event.reason = as_text(reader.bytes); return true;
    case kSqlstate: event.sqlstate = as_text(reader.bytes); return true;
    case kRequestId: event.request_id = as_text(reader.bytes); return true;
    case kGrant: event.grant = as_text(reader.bytes); return true;
    case kObjects: event.objects = as_text(reader.bytes); return true;
    case kToTarget:
    case kToClient:
      event.accounts = accounts.data();
      return decode_account(reader.bytes, accounts[reader.field == kToTarget ? 0 : 1]);
    default: return true;
  }
}

}  // namespace

EncodedEvent::EncodedEvent(const RecordEvent& event) noexcept {
  number(kUnitId, event.unit.id);
  number(kInReplyTo, event.unit.in_reply_to);
  number(kStream, event.unit.stream);
  number(kPrincipal, event.unit.principal);
  number(kUnitKind, static_cast<uint64_t>(event.unit.kind));
  number(kPart, static_cast<uint64_t>(event.unit.part));
  number(kDirection, static_cast<uint64_t>(event.unit.direction));
  number(kWireOffset, event.unit.wire.offset);
  number(kWireSize, event.unit.wire.size);
  number(kAction, static_cast<uint64_t>(event.action));
  number(kObserved, event.observed ? 1 : 0);
  number(kFate, static_cast<uint64_t>(event.fate));
  number(kRows, event.rows);
  number(kBytes, event.bytes);
  number(kMasked, event.masked);
  number(kVerbs, event.verbs);
  if (event.accounts != nullptr) {
    account(kToTarget, event.accounts[0]);
    account(kToClient, event.accounts[1]);
  }
  text(kVerb, as_bytes(event.verb));
  text(kText, event.text);
  text(kBody, event.body);
  text(kRule, as_bytes(event.rule));
  text(kReason, as_bytes(event.reason));
  text(kSqlstate, as_bytes(event.sqlstate));
  text(kRequestId, as_bytes(event.request_id));
  text(kGrant, as_bytes(event.grant));
  text(kObjects, as_bytes(event.objects));
  end_scalars();
}

void EncodedEvent::varint(uint64_t value) noexcept {
  WEIR_CHECK(scratch_used_ + 10 <= kScratchSize);
  while (value >= 0x80) {
    scratch_[scratch_used_++] = static_cast<std::byte>(value | 0x80);
    value >>= 7;
  }
  scratch_[scratch_used_++] = static_cast<std::byte>(value);
}

void EncodedEvent::number(uint32_t field, uint64_t value) noexcept {
  if (value == 0) return;
  varint(field << 3 | kVarint);
  varint(value);
}

void EncodedEvent::account(uint32_t field, const ByteAccount& a) noexcept {
  varint(field << 3 | kLengthDelimited);
  const std::size_t length_at = scratch_used_++;  // At most 66 bytes: one byte of length.
  number(1, a.kernel);
  number(2, a.handshake);
  number(3, a.parsed);
  number(4, a.opaque);
  number(5, a.refused);
  number(6, a.injected);
  scratch_[length_at] = static_cast<std::byte>(scratch_used_ - length_at - 1);
}

void EncodedEvent::text(uint32_t field, Bytes bytes) noexcept {
  if (bytes.empty()) return;
  varint(field << 3 | kLengthDelimited);
  varint(bytes.size());
  end_scalars();
  pieces_[piece_count_++] = bytes;
  size_ += bytes.size();
}

void EncodedEvent::end_scalars() noexcept {
  if (scratch_used_ == scratch_begun_) return;
  pieces_[piece_count_++] = Bytes(scratch_).subspan(scratch_begun_, scratch_used_ - scratch_begun_);
  size_ += scratch_used_ - scratch_begun_;
  scratch_begun_ = scratch_used_;
}

void EncodedEvent::copy_next(MutableBytes out) noexcept {
  while (!out.empty()) {
    WEIR_CHECK(piece_ < piece_count_);
    Bytes& piece = pieces_[piece_];
    const std::size_t size = std::min(out.size(), piece.size());
    std::memcpy(out.data(), piece.data(), size);
    out = out.subspan(size);
    piece = piece.subspan(size);
    if (piece.empty()) ++piece_;
  }
}

bool decode_event(const FrameHeader& header, Bytes payload, RecordEvent& event, Accounts& accounts) noexcept {
  event = {};
  if (header.key_id != 0) return false;  // Nobody opened it.
  if (header.kind < static_cast<uint8_t>(RecordEvent::Kind::kOpened) || header.kind > static_cast<uint8_t>(RecordEvent::Kind::kIdentified)) {
    return false;
  }
  event.kind = static_cast<RecordEvent::Kind>(header.kind);
  event.session = header.session;
  event.sequence = header.sequence;
  event.at = std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(header.at_ns));
  event.unit.kind = UnitKind::kHandshake;  // What absence means on the wire is 0, not this struct's defaults.
  event.action = Verdict::Action::kBlock;
  event.fate = Fate::kPassed;
  FieldReader reader{payload};
  while (!reader.rest.empty()) {
    if (!reader.next()) return false;
    if (reader.type == kVarint && !decode_number(reader, event)) return false;
    if (reader.type == kLengthDelimited && !decode_bytes(reader, event, accounts)) return false;
  }
  return true;
}

}  // namespace weir::record
