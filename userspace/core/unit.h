// What a protocol module finds in a stream: units, their fields, their place.  Words: DESIGN "Words" in the README's glossary.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace weir {

enum class Direction : uint8_t { kToTarget, kToClient };
enum class Side : uint8_t { kClient, kTarget };  // A leg.  TLS and SSH state belongs to a side, units to a direction.

constexpr Direction opposite(Direction d) { return d == Direction::kToTarget ? Direction::kToClient : Direction::kToTarget; }
constexpr Side source_of(Direction d) { return d == Direction::kToTarget ? Side::kClient : Side::kTarget; }
constexpr Side sink_of(Direction d) { return d == Direction::kToTarget ? Side::kTarget : Side::kClient; }
constexpr std::size_t index_of(Direction d) { return static_cast<std::size_t>(d); }
constexpr std::size_t index_of(Side s) { return static_cast<std::size_t>(s); }

// A place in the plaintext of one (stream, direction), counted from its first byte; it does not restart at a TLS upgrade.
struct ByteRange {
  uint64_t offset = 0;
  uint32_t size = 0;
  [[nodiscard]] constexpr uint64_t end() const { return offset + size; }
  friend constexpr bool operator==(const ByteRange&, const ByteRange&) = default;
};

enum class UnitKind : uint8_t {
  kHandshake,    // Before a login is known: SSLRequest, startup answers, authentication exchange.  Never recorded in clear.
  kLogin,        // Names who logs in and where (PostgreSQL StartupMessage).
  kCommand,      // Asks the target to do something.
  kData,         // COPY in, request body.
  kControl,      // Sync, Flush, Describe, ping, ParameterStatus: framing and housekeeping.
  kCancel,       // Asks to cancel another session's command.
  kResponse,     // One answer that may carry text: error, notice, command tag, row description.
  kRows,         // A run of whole rows (or one cut row) of one reply.
  kResponseEnd,  // The reply to `in_reply_to` is complete.
  kOpaque,       // Bytes the module cannot read; the target's `opaque` setting decides.
};
enum class Part : uint8_t { kWhole, kFirst, kMiddle, kLast };  // Only kData, kRows and kOpaque may be cut; never kLogin or kCommand.

// Storable; no pointers.  What tickets, the reply queue and the journal keep.
struct UnitRef {
  uint64_t id = 0;           // From 1, per stream and direction: independent of how the two directions interleave.
  uint64_t in_reply_to = 0;  // Id of a to_target unit, 0 if none.
  uint32_t stream = 0;
  uint32_t principal = 0;    // Who asks, where several identities share a flow; 0: the session's.
  UnitKind kind = UnitKind::kOpaque;
  Part part = Part::kWhole;
  Direction direction = Direction::kToTarget;
  ByteRange wire;
};

enum class ValueFormat : uint8_t { kText, kBinary, kCopyText, kCopyCsv, kCopyBinary };

constexpr uint32_t kColumnUnknown = 0xffffffff;  // The value may belong to any column of the reply (COPY with a foreign delimiter).

struct Field {
  uint32_t column = 0;  // Index into the reply's column table; for parameters, the parameter's index.
  ByteRange value;      // The value's own bytes in the stream; size 0 with is_null for NULL.
  ValueFormat format = ValueFormat::kText;
  bool is_null = false;
  bool is_whole = true;      // False: the cell is cut by the unit's end (kFirst/kMiddle parts only).
  bool is_resizable = true;  // False: an edit must keep the size.
};

// One column of a reply, as the target described it (PostgreSQL RowDescription).  0 and empty: not told.
struct Column {
  std::string_view name;
  uint32_t table_id = 0;      // PostgreSQL table OID.
  uint16_t table_column = 0;  // PostgreSQL attnum; 0 with a table_id: a whole row.
  uint32_t type_id = 0;       // PostgreSQL type OID.
  ValueFormat format = ValueFormat::kText;
};

// A view.  Valid until the next parse() of the same stream and direction.
struct Unit : UnitRef {
  std::string_view verb;     // Static, lower case: "query", "parse", "bind", "execute", "copy-data", "row", "error", ...
  Bytes text;                // Decoded statement, login or message text; in the session arena until the unit is settled.
  uint32_t field_count = 0;  // Cells of all rows of a kRows unit (row-major), parameters of a kCommand, strings of an error.
  uint32_t row_count = 0;    // kRows: rows that end in this unit.
  // Statements it may resolve to (old and new of a name in flight); 0: none.  Codec::statement() gives their text; the
  // strictest verdict counts.
  std::array<uint64_t, 2> meanings{};
  // What its client says it belongs to; set by the session before the unit is judged, valid until it is judged.  Empty: nothing.
  std::string_view request_id{};
  bool only_prepares = false;  // A command that makes a run ready and changes nothing (PostgreSQL Parse, Bind): the run is held, and is the use.
  uint64_t bound_by = 0;     // Runs what that earlier unit of its direction made ready (PostgreSQL Execute: the Bind); 0: none, or not clear.
};

}  // namespace weir
