// What statement and portal names mean: sent, confirmed, closed, and what SQL's own PREPARE does to them.
#include <algorithm>

#include "parse/postgres/codec.h"
#include "parse/postgres/messages.h"

namespace weir::postgres {
namespace {

// Adds to a set of at most two.  False: a third one.
bool add_meaning(Meanings& meanings, uint64_t id) {
  for (uint64_t& meaning : meanings) {
    if (meaning == id || meaning == 0) {
      meaning = id;
      return true;
    }
  }
  return false;
}

// The server folds names without quotes.
std::string folded(std::string_view name, bool is_quoted) {
  std::string text(name);
  if (!is_quoted) {
    std::ranges::transform(text, text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
  }
  return text;
}

}  // namespace

// A name that was sent in this segment means that, or the target skips what uses it.  One sent in an earlier segment and not
// answered yet may have failed: then the name means what it meant before.  Unknown: no meaning, hence opaque.
bool PostgresCodec::statement_meanings(std::string_view name, Meanings& meanings) {
  meanings = {};
  const auto* entry = names_.find(name);
  if (entry == nullptr) return true;
  if (entry->is_of_segment(segment_number_)) return add_meaning(meanings, entry->latest);
  if (entry->pending > (entry->has_latest ? 1U : 0U)) return false;
  if (entry->has_current && entry->current == 0) return true;
  if (entry->has_latest && entry->latest == 0) return true;
  if (entry->has_current) add_meaning(meanings, entry->current);
  if (entry->has_latest) add_meaning(meanings, entry->latest);
  return true;
}

bool PostgresCodec::portal_meanings(std::string_view name, PortalMeaning& meaning) {
  meaning = {};
  const auto* entry = portals_.find(name);
  if (entry == nullptr) return true;
  if (entry->is_of_segment(segment_number_)) {
    meaning = entry->latest;
    return true;
  }
  if (entry->pending > (entry->has_latest ? 1U : 0U)) return false;
  if (entry->has_current) meaning = entry->current;
  if (!entry->has_latest) return true;
  if (!entry->has_current) {
    meaning = entry->latest;
    return true;
  }
  if (entry->latest.meanings[0] == 0 || entry->current.meanings[0] == 0) {
    meaning.meanings = {};
    return true;
  }
  for (const uint64_t id : entry->latest.meanings) {
    if (id != 0 && !add_meaning(meaning.meanings, id)) return false;
  }
  if (meaning.formats != entry->latest.formats) return false;  // Two encodings of the rows: wait until it is known which.
  meaning.columns = 0;
  meaning.bind_unit = 0;
  return true;
}

// The target's answer to `entry` came: what it moved is moved.
void PostgresCodec::confirm(Expected& entry) {
  switch (entry.kind) {
    case ReplyKind::kParse: names_.confirm(entry.name, entry.statement, entry.unit); break;
    case ReplyKind::kBind: portals_.confirm(entry.name, entry.portal, entry.unit); break;
    case ReplyKind::kClose:
      if (entry.closes == 'S') names_.close(entry.name);
      else portals_.close(entry.name);
      break;
    case ReplyKind::kQuery: case ReplyKind::kDescribeStatement: case ReplyKind::kDescribePortal: case ReplyKind::kExecute:
    case ReplyKind::kFunctionCall: case ReplyKind::kSync: case ReplyKind::kStandIn:
      return;
  }
  entry.is_answered = true;
  fence_names_ = false;
}

void PostgresCodec::drop_names(const Expected& entry) {
  if (entry.is_answered) return;
  if (entry.kind == ReplyKind::kParse) names_.fail(entry.name, entry.unit);
  if (entry.kind == ReplyKind::kBind) portals_.fail(entry.name, entry.unit);
  fence_names_ = false;
}

void PostgresCodec::drop_names(const Sent& sent) {
  if (sent.type == front::kParse) names_.fail(sent.name, sent.unit);
  if (sent.type == front::kBind) portals_.fail(sent.name, sent.unit);
  fence_names_ = false;
}

// A statement of a Query or a portal is complete: SQL's own PREPARE, DEALLOCATE, DECLARE, CLOSE move the same names.
void PostgresCodec::learn_from_completion(const Expected& entry, std::string_view tag) {
  if (tag == "DISCARD ALL" || tag == "DEALLOCATE ALL") names_.close_all(false);
  if ((entry.traits & kMayMovePortals) != 0) portals_.close_all(false);
  const uint64_t statement = entry.kind == ReplyKind::kQuery ? entry.statement : entry.meanings[0];
  const std::string_view text = as_text(statements_.text(statement));
  std::string_view name, body;
  bool is_quoted = false;
  if (tag == "DEALLOCATE" && read_sql_deallocate(text, name, is_quoted)) names_.close(folded(name, is_quoted));
  if ((entry.traits & kMayMoveNames) == 0) return;
  if (tag == "PREPARE" && entry.meanings[1] == 0 && read_sql_prepare(text, name, is_quoted, body)) {
    const std::string key = folded(name, is_quoted);
    const std::string copy(body);  // keep_statement() may move what `body` points into.
    names_.set(key, names_.named_count() < limits_.prepared_per_session_max ? keep_statement(as_bytes(copy), scan_lone(as_bytes(copy))) : 0);
    return;
  }
  // A PREPARE that this reader cannot make out may have given any name another meaning.
  if (tag != "PREPARE TRANSACTION") names_.forget_all();
}

// The columns of the rows that `entry` is about to answer with, as far as somebody described them.
uint32_t PostgresCodec::reply_columns(const Expected& entry) {
  if (entry.portal.columns != 0) return entry.portal.columns;
  if (entry.meanings[1] != 0 || entry.meanings[0] == 0) return entry.portal.formats;
  const uint32_t described = statements_.columns(entry.meanings[0]);
  if (described == 0 || entry.portal.formats == ColumnTables::kText) return described == 0 ? entry.portal.formats : described;
  if (tables_.needs_sweep()) make_room();
  return tables_.combine(described, entry.portal.formats);
}

// `entry`, a Describe, was answered with these columns.
void PostgresCodec::describe(const Expected& entry, uint32_t columns) {
  if (entry.kind == ReplyKind::kDescribeStatement) {
    if (entry.meanings[0] != 0 && entry.meanings[1] == 0) statements_.set_columns(entry.meanings[0], columns);
    return;
  }
  if (entry.portal.bind_unit == 0) return;
  // The portal itself, and what was already sent to run it.
  if (auto* portal = portals_.find(entry.name)) {
    if (portal->has_current && portal->current.bind_unit == entry.portal.bind_unit) portal->current.columns = columns;
    if (portal->has_latest && portal->latest.bind_unit == entry.portal.bind_unit) portal->latest.columns = columns;
  }
  for (std::size_t i = 0; i < queue_.size(); ++i) {
    if (queue_[i].portal.bind_unit == entry.portal.bind_unit) queue_[i].portal.columns = columns;
  }
}

}  // namespace weir::postgres
