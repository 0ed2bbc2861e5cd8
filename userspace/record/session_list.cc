// `weir sessions`: live sessions from the journals, sealed ones from the index or, without one, from the archives; the highest
// number first.  Both find the same.
#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "record/archive_events.h"
#include "record/archive_tree.h"
#include "record/files.h"
#include "record/live.h"
#include "record/manifest.h"
#include "record/reader.h"
#include "record/sealed_view.h"
#include "record/session_words.h"

namespace weir::record {
namespace {

using nlohmann::json;

class Listing {
 public:
  Listing(const RecordPlace& place, const SessionFilter& filter, const LineSink& sink) : place_(place), filter_(filter), sink_(sink), wanted_(wanted_words(filter, key_)) {}

  Result<void> run(bool by_index) {
    by_index_ = by_index;
    if (Result<void> done = look(view_); !done) return done;
    if (!place_.journal.empty()) {
      if (Result<void> done = read_live_sessions(); !done) return done;
    }
    if (Result<void> done = add_untold(); !done) return done;
    Result<void> done = view_->index() != nullptr ? select_by_index() : walk_all();
    if (!done) return done;
    emit_read(0);
    return view_->index() != nullptr ? tell_locked_by_index() : Result<void>();
  }
  // Lines went out: it is too late to begin again.
  [[nodiscard]] bool has_begun() const { return count_ != 0; }

 private:
  // A session whose row was made from its archives and the journal.
  struct Read { SessionRow row; std::vector<std::string> archives; WordMatcher words; };   // Archives by name.

  Result<void> look(std::unique_ptr<SealedView>& view) const {
    auto made = by_index_ ? view_by_index(place_) : view_by_log(place_.log);
    if (!made) return tl::unexpected<Error>(made.error());
    view = std::move(*made);
    return {};
  }

  // What is sealed while the journal is read may be gone from it half-way: of an ended session the archive tells all, and
  // where a part came, it is read again.
  Result<void> read_live_sessions() {
    constexpr int kTries = 8;
    std::map<uint64_t, Read> seen;
    for (int left = kTries; left > 0; --left) {
      seen.clear();
      const Result<void> read = read_journal(seen);
      const bool is_gone = !read && read.error().kind == Error::Kind::kNotFound;  // A segment, recycled meanwhile.
      if (!read && (!is_gone || left == 1)) return read;
      std::unique_ptr<SealedView> after;
      if (Result<void> done = look(after); !done) return done;
      bool is_whole = true;
      for (auto one = seen.begin(); one != seen.end();) {
        const auto has_ended = after->has_ended(one->first);
        const auto before = view_->open_part(one->first), now = after->open_part(one->first);
        if (!has_ended || !before || !now) return tl::unexpected<Error>(!has_ended ? has_ended.error() : !before ? before.error() : now.error());
        if (*has_ended) {
          one = seen.erase(one);
          continue;
        }
        const auto sequence = [](const std::optional<SealedView::OpenPart>& part) { return part ? part->last_sequence : 0; };
        is_whole = is_whole && sequence(*before) == sequence(*now);
        ++one;
      }
      view_ = std::move(after);
      if (is_whole && !is_gone) break;
    }
    return add_live(seen);
  }

  Result<void> read_journal(std::map<uint64_t, Read>& seen) {
    std::optional<Error> failed;
    std::map<uint64_t, uint64_t> sealed;  // Up to which sequence.
    const Result<void> done = read_live(place_.journal, place_.openers, [&](const EventAssembler::Event& whole) {
      const uint64_t session = whole.header.session;
      if (!is_in_range(session)) return true;
      if (!sealed.contains(session)) {
        const auto has_ended = view_->has_ended(session);
        const auto part = view_->open_part(session);
        if (!has_ended || !part) {
          failed = !has_ended ? has_ended.error() : part.error();
          return false;
        }
        sealed[session] = *has_ended ? UINT64_MAX : *part ? (*part)->last_sequence : 0;
      }
      if (whole.header.sequence <= sealed[session]) return true;
      Read& one = seen.try_emplace(session, Read{{}, {}, WordMatcher(filter_)}).first->second;
      RecordEvent event;
      Accounts accounts;
      if (decode_event(whole.header, whole.payload, event, accounts)) {
        one.row.total.add(event);
        (void)one.words.add(event);
      } else {
        one.row.total.add_undecodable(whole.header);
      }
      return true;
    });
    if (failed) return tl::unexpected<Error>(*failed);
    return done;
  }

  Read& add_parts(uint64_t session, const SealedView::OpenPart& sealed) {
    Read& one = read_.try_emplace(session, Read{{}, {}, WordMatcher(filter_)}).first->second;
    one.archives = archives_of(sealed.day, session, sealed.part);
    for (const std::string& name : one.archives) one.row.add(place_.archive + "/" + name);
    return one;
  }

  Result<void> add_live(std::map<uint64_t, Read>& seen) {
    // Sealed in part: also when nothing came since.
    const auto parts = view_->open_parts();
    if (!parts) return tl::unexpected<Error>(parts.error());
    for (const auto& [session, sealed] : *parts) {
      if (is_in_range(session)) add_parts(session, sealed);
    }
    for (auto& [session, live] : seen) {
      Read& one = read_.try_emplace(session, Read{{}, {}, WordMatcher(filter_)}).first->second;
      one.row.add(live.row.total);
      one.words = std::move(live.words);
    }
    return {};
  }

  // Sealed, and not in the index yet.
  Result<void> add_untold() {
    const auto untold = view_->untold();
    if (!untold) return tl::unexpected<Error>(untold.error());
    for (const auto& [session, sealed] : *untold) {
      if (is_in_range(session) && exists(place_.archive + "/" + sealed.day + "/" + std::to_string(session) + ".weir")) add_parts(session, sealed);
    }
    return {};
  }

  [[nodiscard]] bool is_in_range(uint64_t session) const { return session < filter_.before && (!filter_.session || *filter_.session == session); }

  SessionIndex::Query query_of(const SessionIndex& index) const {
    SessionIndex::Query query;
    query.words = wanted_words(filter_, index.key()).all();
    if (filter_.since) query.since_ns = std::chrono::sys_time<std::chrono::nanoseconds>(*filter_.since).time_since_epoch().count();
    if (filter_.until) query.until_ns = std::chrono::sys_time<std::chrono::nanoseconds>(*filter_.until).time_since_epoch().count();
    query.before = filter_.before;
    query.session = filter_.session;
    return query;
  }

  Result<void> select_by_index() {
    if (filter_.is_live.value_or(false)) return {};
    SessionIndex& index = *view_->index();
    const SessionIndex::Query query = query_of(index);
    return index.select(query, [&](const SessionIndex::Hit& hit) -> Result<bool> {
      if (read_.contains(hit.session)) return true;
      emit_read(hit.session);
      if (is_enough_) return false;
      if (hit.is_locked) found_locked_.insert(hit.session);
      std::vector<std::string> archives;
      if (hit.is_cut || !filter_.request.empty()) {
        const auto part = index.find(hit.session, false);
        if (!part) return tl::unexpected<Error>(part.error());
        if (!*part) return true;
        archives = archives_of((*part)->day, hit.session, (*part)->part);
      }
      if (!hit.is_cut) return finish(hit.session, hit.opened_ns, parse_object(hit.line), archives, true), !is_enough_;
      // It may have any word: what its manifests say is in the line, the rest in its archives.
      SessionRow row;
      for (const std::string& name : archives) row.add(place_.archive + "/" + name);
      emit(hit.session, row, archives, WordMatcher(filter_));
      return !is_enough_;
    });
  }

  // Those whose events could not be read when they were put in: no archive is opened for them.
  Result<void> tell_locked_by_index() {
    if (filter_.is_live.value_or(false) || wanted_.of_events.empty() || !filter_.tell_locked) return {};
    SessionIndex& index = *view_->index();
    SessionIndex::Query query = query_of(index);
    query.words = wanted_words(filter_, index.key()).of_row;
    query.words.push_back(word_of(index.key(), WordKind::kLocked, ""));
    make_set(query.words);
    uint64_t left = kLockedMax;
    return index.select(query, [&](const SessionIndex::Hit& hit) -> Result<bool> {
      if (is_enough_ && hit.session < last_shown_) return false;
      if (hit.is_cut || found_locked_.contains(hit.session)) return true;
      filter_.tell_locked(hit.session);
      return --left != 0;
    });
  }

  static std::vector<std::string> archives_of(const std::string& day, uint64_t session, uint32_t parts) {
    std::vector<std::string> names;
    for (uint32_t part = 1; part <= parts; ++part) names.push_back(day + "/" + std::to_string(session) + (part > 1 ? "." + std::to_string(part) : "") + ".weir");
    return names;
  }

  Result<void> walk_all() {
    if (is_enough_ || filter_.is_live.value_or(false)) return {};
    return walk_archive(place_.archive, filter_.since, filter_.until, [&](const auto& files, const auto&) { return add_day(files); });
  }

  bool add_day(const std::vector<ArchiveFile>& files) {
    for (std::size_t index = 0; index < files.size() && !is_enough_;) {
      const uint64_t session = files[index].session;
      const bool is_wanted = !read_.contains(session) && is_in_range(session);
      if (is_wanted) emit_read(session);
      SessionRow row;
      std::vector<std::string> archives;
      for (; index < files.size() && files[index].session == session; ++index) {
        if (!is_wanted || is_enough_) continue;
        archives.push_back(files[index].name);
        row.add(place_.archive + "/" + archives.back());
      }
      if (is_wanted && !is_enough_) emit(session, row, archives, WordMatcher(filter_));
    }
    return !is_enough_;
  }

  // Those that were read themselves, down to a number.
  void emit_read(uint64_t above) {
    while (!read_.empty() && !is_enough_ && read_.rbegin()->first > above) {
      const auto last = std::prev(read_.end());
      Read& one = last->second;
      emit(last->first, one.row, one.archives, std::move(one.words));
      read_.erase(last);
    }
  }

  // What of the session carried the request that is looked for.  An archive that cannot be read is told of, not passed over.
  // `is_named`: its manifests say that it has the request.
  bool add_request(uint64_t session, int64_t opened_ns, const std::vector<std::string>& archives, bool is_named, json& line) const {
    json commands = json::array();
    bool is_cut = false;
    std::optional<std::chrono::sys_seconds> opened;
    if (opened_ns != 0) opened = std::chrono::sys_seconds(std::chrono::seconds(opened_ns / 1'000'000'000));
    const Result<void> done = replay(place_, session, [&](const std::string& text) {
      json event = parse_object(text);
      if (!matches_request(text_at(event, "request_id"), filter_.request)) return true;
      is_cut = commands.size() == kRequestCommandsMax;
      if (!is_cut) commands.push_back(std::move(event));
      return !is_cut;
    }, opened);
    const bool is_closed = !done && std::any_of(archives.begin(), archives.end(), [&](const std::string& name) { return is_locked(place_, name); });
    if (is_closed && !is_named && commands.empty()) return tell_locked(session), false;
    if (is_closed) line["is_locked"] = true;
    else if (!done && line.value("broken", "").empty()) line["broken"] = done.error().message;
    if (commands.empty() && done) return false;
    line["request_commands"] = std::move(commands);
    if (is_cut) line["request_commands_cut"] = true;
    return true;
  }

  // Whether the events in the archives have the words that `words` still looks for.  A damaged archive may have them: it is told of.
  bool has_words(uint64_t session, const std::vector<std::string>& archives, WordMatcher words, std::string& broken) const {
    bool is_closed = false;
    for (const std::string& name : archives) {
      if (words.has_all()) return true;
      const Result<void> done = read_archive_events(place_, name, [&](const RecordEvent& event) { return !words.add(event); });
      if (!done && done.error().kind == Error::Kind::kDenied) is_closed = true;
      else if (!done && broken.empty()) broken = done.error().message;
    }
    if (words.has_all() || !broken.empty()) return true;
    if (is_closed) tell_locked(session);
    return false;
  }

  void tell_locked(uint64_t session) const {
    if (filter_.tell_locked) filter_.tell_locked(session);
  }

  void emit(uint64_t session, const SessionRow& row, const std::vector<std::string>& archives, WordMatcher words) {
    const auto opened = std::chrono::sys_seconds(std::chrono::seconds(row.opened_ns / 1'000'000'000));
    // Of what cannot be read nobody knows whether it fits: it is told of, not passed over.
    const bool is_unknown = !row.broken.empty(), has_time = !is_unknown || row.opened_ns != 0;
    const bool fits_time = !has_time || ((!filter_.since || opened >= *filter_.since) && (!filter_.until || opened < *filter_.until));
    if (!fits_time || (!is_unknown && filter_.is_live && *filter_.is_live == row.is_closed)) return;
    json line = to_json(session, row);
    bool may_have_more = false;
    const WordSet of_row = row_words(line, row.total, key_, may_have_more);
    WordSet missing;
    std::set_difference(wanted_.of_row.begin(), wanted_.of_row.end(), of_row.begin(), of_row.end(), std::back_inserter(missing));
    // Only its archives say which requests it has, if there are too many for its manifests.
    if (!filter_.request.empty() && may_have_more) std::erase(missing, word_of(key_, WordKind::kRequest, std::to_string(request_hash(filter_.request))));
    if (!missing.empty() && !is_unknown) return;
    std::string broken = row.broken;
    if (!has_words(session, archives, std::move(words), broken)) return;
    if (!broken.empty()) line["broken"] = broken;
    finish(session, row.opened_ns, std::move(line), archives, !may_have_more && row.broken.empty());
  }

  void finish(uint64_t session, int64_t opened_ns, json line, const std::vector<std::string>& archives, bool is_named) {
    if (!filter_.request.empty() && !add_request(session, opened_ns, archives, is_named, line)) return;
    last_shown_ = session;
    is_enough_ = count_ >= filter_.count_max || !sink_(dump(line)) || ++count_ >= filter_.count_max;
  }

  const RecordPlace& place_;
  const SessionFilter& filter_;
  const LineSink& sink_;
  const IndexKey key_ = IndexKey::plain({});
  const WantedWords wanted_;             // Under that one: for what is read here.
  std::unique_ptr<SealedView> view_;
  std::map<uint64_t, Read> read_;        // Not ended in a listed seal, or not in the index.
  std::set<uint64_t> found_locked_;      // By a part that could be read.
  uint64_t count_ = 0, last_shown_ = 0;
  bool is_enough_ = false, by_index_ = false;
};

}  // namespace

RecordPlace RecordPlace::of(const std::string& folder) {
  if (exists(folder + "/archive") || exists(folder + "/log") || exists(folder + "/journal")) {
    return {.archive = folder + "/archive", .journal = folder + "/journal", .log = folder + "/log", .index = index_path(folder), .keys = folder + "/keys"};
  }
  return {.archive = folder, .keys = exists(folder + "/../keys") ? folder + "/../keys" : ""};
}

Result<void> list_sessions(const RecordPlace& place, const SessionFilter& filter, const LineSink& sink) {
  if (!place.index.empty() && !place.log.empty()) {
    Listing by_index(place, filter, sink);
    const Result<void> done = by_index.run(true);
    if (done || by_index.has_begun()) return done;
    const bool is_asked = !wanted_words(filter, IndexKey::plain({})).of_events.empty();   // Without it each archive is read, not its manifest alone.
    const bool is_usual = done.error().kind == Error::Kind::kNotFound || done.error().kind == Error::Kind::kDenied;   // None there, or for who has the key.
    if (filter.tell && (!is_usual || is_asked)) filter.tell("the index is not used, so this reads the archives: " + done.error().message);
  }
  return Listing(place, filter, sink).run(false);
}

}  // namespace weir::record
