// `weir sessions`: live sessions from the journals, then archived ones, newest first.
#include <algorithm>
#include <map>

#include "record/archive.h"
#include "record/archive_tree.h"
#include "record/event_codec.h"
#include "record/files.h"
#include "record/live.h"
#include "record/reader.h"
#include "record/seal_log.h"

namespace weir::record {
namespace {

using nlohmann::json;

// One line of the listing: the parts of a session added up.
struct Row {
  SessionSummary total;          // opened_json, login_json, reason, accounts: the newest that has them.
  int64_t opened_ns = 0;
  uint32_t parts = 0;            // Sealed ones.
  bool is_closed = false;
  std::string broken;            // Why a part could not be read.

  void add(const SessionSummary& part) {
    if (total.opened_json.empty()) total.opened_json = part.opened_json;
    if (!part.login_json.empty() && part.login_json != "{}") total.login_json = part.login_json;
    total.events += part.events;
    total.commands += part.commands;
    total.blocked += part.blocked;
    total.masked += part.masked;
    total.alerts += part.alerts;
    total.stand_ins += part.stand_ins;
    total.responses += part.responses;
    total.errors += part.errors;
    total.rows += part.rows;
    total.gaps += part.gaps;
    total.requests.merge(part.requests);
    if (opened_ns == 0) opened_ns = part.opened_ns != 0 ? part.opened_ns : part.first_at_ns;
    if (!part.is_closed) return;
    is_closed = true;
    total.closed_ns = part.closed_ns;
    total.reason = part.reason;
    total.accounts = part.accounts;
  }
  void add(const std::string& path) {
    const Result<ArchiveReader> reader = ArchiveReader::open(path);
    if (!reader) {
      broken = reader.error().message;
      return;
    }
    ++parts;
    add(reader->manifest().summary);
  }
};

json to_json(uint64_t session, const Row& row) {
  const SessionSummary& s = row.total;
  const json facts = opening_facts(s.opened_json), login = parse_object(s.login_json);
  const std::array<ByteAccount, 2> accounts = s.accounts.value_or(std::array<ByteAccount, 2>{});
  const bool is_interrupted = s.is_interrupted();
  const bool balances = accounts[0].balances() && accounts[1].balances();
  json line = {{"id", session}, {"target", text_at(facts, "target")}, {"subject", text_at(facts, "subject")},
               {"opened", time_text(row.opened_ns)}, {"closed", row.is_closed ? json(time_text(s.closed_ns)) : json(nullptr)},
               {"reason", s.reason}, {"commands", s.commands}, {"blocked", s.blocked}, {"masked", s.masked},
               {"bytes", {{"to_target", account_json(accounts[0])}, {"to_client", account_json(accounts[1])}}},
               {"account", !row.is_closed ? "open" : is_interrupted || !s.accounts ? "unknown" : balances ? "balanced" : "differs"},
               {"alerts", s.alerts}, {"stand_ins", s.stand_ins}, {"errors", s.errors}, {"rows", s.rows}, {"events", s.events}, {"gaps", s.gaps},
               {"is_live", !row.is_closed}, {"is_interrupted", is_interrupted}, {"sealed_parts", row.parts},
               {"login", text_at(login, "login")}, {"database", text_at(login, "database")}, {"facts", facts}};
  if (!row.broken.empty()) line["broken"] = row.broken;
  return line;
}

class Listing {
 public:
  Listing(const RecordPlace& place, const SessionFilter& filter, const LineSink& sink) : place_(place), filter_(filter), sink_(sink) {}

  Result<void> run() {
    if (Result<void> done = read_list(listed_); !done) return done;
    if (!place_.journal.empty()) {
      if (Result<void> done = read_live_sessions(); !done) return done;
    }
    for (auto row = live_.rbegin(); row != live_.rend() && !is_enough_; ++row) emit(row->first, row->second);
    if (is_enough_) return {};
    return walk_archive(place_.archive, filter_.since, filter_.until, [&](const auto& files, const auto&) { return add_day(files); });
  }

 private:
  Result<void> read_list(ListedSessions& listed) const {
    if (place_.log.empty()) return {};
    return read_seals(place_.log, [&](const SealEntry& entry) { listed.add(entry); });
  }

  // What is sealed while the journal is read may be gone from it half-way: of an ended session the archive tells all, and
  // where a part came, it is read again.
  Result<void> read_live_sessions() {
    constexpr int kTries = 8;
    std::map<uint64_t, SessionSummary> seen;
    for (int left = kTries; left > 0; --left) {
      seen.clear();
      const Result<void> read = read_journal(seen);
      const bool is_gone = !read && read.error().kind == Error::Kind::kNotFound;  // A segment, recycled meanwhile.
      if (!read && (!is_gone || left == 1)) return read;
      ListedSessions after;
      if (Result<void> done = read_list(after); !done) return done;
      std::erase_if(seen, [&](const auto& entry) { return after.has_ended(entry.first); });
      const auto last_part = [](const ListedSessions& listed, uint64_t session) {
        const auto part = listed.open_parts.find(session);
        return part == listed.open_parts.end() ? 0 : part->second.last_sequence;
      };
      const bool is_whole = std::all_of(seen.begin(), seen.end(), [&](const auto& entry) { return last_part(listed_, entry.first) == last_part(after, entry.first); });
      listed_ = std::move(after);
      if (is_whole && !is_gone) break;
    }
    add_live(seen);
    return {};
  }

  Result<void> read_journal(std::map<uint64_t, SessionSummary>& seen) const {
    return read_live(place_.journal, place_.openers, [&](const EventAssembler::Event& whole) {
      const uint64_t session = whole.header.session;
      if (listed_.has(session, whole.header.sequence) || (filter_.session && *filter_.session != session)) return true;
      SessionSummary& summary = seen[session];
      RecordEvent event;
      Accounts accounts;
      if (decode_event(whole.header, whole.payload, event, accounts)) {
        summary.add(event);
      } else {
        summary.add_undecodable(whole.header);
      }
      return true;
    });
  }

  void add_live(const std::map<uint64_t, SessionSummary>& seen) {
    // Sealed in part: also when nothing came since.
    for (const auto& [session, entry] : listed_.open_parts) {
      if (filter_.session && *filter_.session != session) continue;
      Row& row = live_[session];
      const std::string day = folder_of(entry.path);
      for (uint32_t part = 1; part <= entry.part; ++part) {
        row.add(place_.archive + "/" + day + "/" + std::to_string(session) + (part > 1 ? "." + std::to_string(part) : "") + ".weir");
      }
    }
    for (const auto& [session, summary] : seen) live_[session].add(summary);
  }

  bool add_day(const std::vector<ArchiveFile>& files) {
    for (std::size_t index = 0; index < files.size() && !is_enough_;) {
      const uint64_t session = files[index].session;
      const bool is_wanted = !live_.contains(session) && (!filter_.session || *filter_.session == session);
      Row row;
      for (; index < files.size() && files[index].session == session; ++index) {
        if (is_wanted) row.add(place_.archive + "/" + files[index].name);
      }
      if (is_wanted) emit(session, row);
    }
    return !is_enough_;
  }

  // What of the session carried the request that is looked for.  An archive that cannot be read is told of, not passed over.
  bool add_request(uint64_t session, const Row& row, json& line) const {
    json commands = json::array();
    bool is_cut = false;
    const auto opened = std::chrono::sys_seconds(std::chrono::seconds(row.opened_ns / 1'000'000'000));
    const Result<void> done = replay(place_, session, [&](const std::string& text) {
      json event = parse_object(text);
      if (!matches_request(text_at(event, "request_id"), filter_.request)) return true;
      is_cut = commands.size() == kRequestCommandsMax;
      if (!is_cut) commands.push_back(std::move(event));
      return !is_cut;
    }, opened);
    if (!done && line.value("broken", "").empty()) line["broken"] = done.error().message;
    if (commands.empty() && done) return false;
    line["request_commands"] = std::move(commands);
    if (is_cut) line["request_commands_cut"] = true;
    return true;
  }

  void emit(uint64_t session, const Row& row) {
    const auto opened = std::chrono::sys_seconds(std::chrono::seconds(row.opened_ns / 1'000'000'000));
    const bool fits_time = (!filter_.since || opened >= *filter_.since) && (!filter_.until || opened < *filter_.until);
    if (!fits_time || (filter_.is_live && *filter_.is_live == row.is_closed) || (filter_.only_blocked && row.total.blocked == 0)) return;
    const bool is_of_request = !filter_.request.empty();
    if (is_of_request && row.broken.empty() && !row.total.requests.may_have(request_hash(filter_.request))) return;
    json line = to_json(session, row);
    if ((text_at(line["facts"], "about") == kAboutGateway) != filter_.is_gateway) return;
    if (!filter_.target.empty() && line["target"] != filter_.target) return;
    if (!filter_.subject.empty() && line["subject"] != filter_.subject) return;
    if (is_of_request && !add_request(session, row, line)) return;
    is_enough_ = count_ >= filter_.count_max || !sink_(dump(line)) || ++count_ >= filter_.count_max;
  }

  const RecordPlace& place_;
  const SessionFilter& filter_;
  const LineSink& sink_;
  ListedSessions listed_;
  std::map<uint64_t, Row> live_;     // Not ended in a listed seal.
  uint64_t count_ = 0;
  bool is_enough_ = false;
};

}  // namespace

RecordPlace RecordPlace::of(const std::string& folder) {
  if (exists(folder + "/archive") || exists(folder + "/log") || exists(folder + "/journal")) {
    return {.archive = folder + "/archive", .journal = folder + "/journal", .log = folder + "/log", .keys = folder + "/keys"};
  }
  return {.archive = folder, .journal = {}, .log = {}, .keys = exists(folder + "/../keys") ? folder + "/../keys" : ""};
}

Result<void> list_sessions(const RecordPlace& place, const SessionFilter& filter, const LineSink& sink) {
  return Listing(place, filter, sink).run();
}

}  // namespace weir::record
