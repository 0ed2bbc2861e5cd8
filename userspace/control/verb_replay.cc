// replay: the events of one session, for a person or a program; all of them, those of a time, or those that say something.
#include <boost/program_options/value_semantic.hpp>
#include <cstdlib>

#include "control/cli_text.h"
#include "control/config_values.h"
#include "control/record_options.h"
#include "control/record_text.h"
#include "control/retention_text.h"
#include "control/verbs.h"
#include "core/escape.h"
#include "core/json_fields.h"
#include "core/time_text.h"
#include "record/reader.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::json;
using std::chrono::nanoseconds;

// A moment of a session: a time, or how long after its first event.
struct Place {
  std::optional<int64_t> at_ns, after_ns;
  [[nodiscard]] std::optional<int64_t> of(int64_t first_ns) const { return after_ns ? std::optional(first_ns + *after_ns) : at_ns; }
};

// "+1m30s".
Result<int64_t> parse_offset(std::string_view text) {
  int64_t sum = 0;
  std::string_view rest = text.substr(1);
  do {
    const std::size_t unit = rest.find_first_not_of("0123456789"), end = std::min(rest.find_first_of("0123456789", unit == std::string_view::npos ? 0 : unit), rest.size());
    const auto piece = unit == std::string_view::npos ? parse_duration(rest) : parse_duration(rest.substr(0, end));
    if (!piece) return fail(Error::Kind::kInvalid, "\"" + std::string(text) + "\" is not how long after the first event: write it like +1m30s");
    constexpr int64_t kMost = int64_t{100} * 365 * 24 * 3600 * 1'000'000'000;
    if (piece->count() > kMost / 1'000) return fail(Error::Kind::kInvalid, "\"" + std::string(text) + "\" is longer than a hundred years");
    sum = std::min(sum + nanoseconds(*piece).count(), kMost);
    rest.remove_prefix(unit == std::string_view::npos ? rest.size() : end);
  } while (!rest.empty());
  return sum;
}

Result<Place> parse_place(const std::string& text) {
  if (text.starts_with("+")) {
    const auto offset = parse_offset(text);
    if (!offset) return tl::unexpected<Error>(offset.error());
    return Place{.at_ns = {}, .after_ns = *offset};
  }
  if (const auto exact = parse_utc_ns(text)) return Place{.at_ns = *exact, .after_ns = {}};
  const auto moment = parse_moment(text);
  if (!moment) return fail(Error::Kind::kInvalid, moment.error().message + ", nor how long after the first event, like +1m30s");
  return Place{.at_ns = nanoseconds(moment->time_since_epoch()).count(), .after_ns = {}};
}

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

// What is shown, and how.
struct View {
  Place from, to;
  std::string search;                  // Lower case; empty: everything.
  double pace = 0;                     // 0: at once; else so many times as fast as it happened.
  std::chrono::microseconds idle_max = std::chrono::seconds(3);
  bool is_plain = false;
};

Result<View> read_view(const VerbCall& call) {
  View view;
  for (auto [key, place] : {std::pair{"from", &view.from}, std::pair{"to", &view.to}}) {
    if (!call.has(key)) continue;
    const auto read = parse_place(call.text(key));
    if (!read) return fail(Error::Kind::kInvalid, std::string("--") + key + " " + read.error().message);
    *place = *read;
  }
  if (call.has("search") && call.text("search").empty()) return fail(Error::Kind::kInvalid, "--search needs a text");
  view.search = lower(call.text("search"));
  if (const std::string pace = call.text("pace"); pace == "real") {
    view.pace = 1;
  } else if (!pace.empty()) {
    char* end = nullptr;
    view.pace = std::strtod(pace.c_str(), &end);
    if (*end != '\0' || !(view.pace >= 0.001 && view.pace <= 1e6)) return fail(Error::Kind::kInvalid, "--pace " + pace + ": how many times as fast as it happened, such as 1, 0.5 or 10, or real");
  }
  if (call.has("idle-max")) {
    if (view.pace == 0) return fail(Error::Kind::kInvalid, "--idle-max goes with --pace");
    const auto idle = parse_duration(call.text("idle-max"));
    if (!idle) return fail(Error::Kind::kInvalid, "--idle-max " + idle.error().message);
    view.idle_max = *idle;
  }
  view.is_plain = call.has("plain");
  return view;
}

Colour colour_of(const std::string& verdict) {
  if (verdict == "block" || verdict == "terminate") return Colour::kRed;
  return verdict == "mask" || verdict == "hold" ? Colour::kYellow : Colour::kNone;
}

// Shows events one after the other.  Nothing that was recorded reaches a terminal but through escape_bytes().
class Player {
 public:
  Player(VerbCall& call, View view) : call_(call), view_(std::move(view)) {}

  // False: nobody reads any more, or the rest is behind --to.
  bool add(const std::string& line) {
    const json event = json::parse(line, nullptr, false);
    if (!event.is_object()) return true;
    const int64_t at_ns = parse_utc_ns(text_at(event, "at")).value_or(0);
    if (!first_ns_) first_ns_ = at_ns;
    if (const auto from = view_.from.of(*first_ns_); from && at_ns < *from) return true;
    if (const auto to = view_.to.of(*first_ns_); to && at_ns >= *to) return true;   // A clock may go back: the rest is looked at.
    if (!view_.search.empty() && !says(event)) return true;
    wait_until(at_ns);
    ++shown_;
    if (call_.json) {
      if (!array_) array_.emplace(call_.terminal.out);
      array_->add(escape_json(line));
    } else if (view_.is_plain) {
      print_plain(event);
    } else {
      print(event);
    }
    return static_cast<bool>(call_.terminal.out);
  }
  void end() {
    if (call_.json && !array_ && is_narrowed()) array_.emplace(call_.terminal.out);
    if (array_) array_->end();
  }
  [[nodiscard]] uint64_t shown() const { return shown_; }
  [[nodiscard]] bool is_searching() const { return !view_.search.empty(); }

 private:
  [[nodiscard]] bool is_narrowed() const { return is_searching() || call_.has("from") || call_.has("to"); }

  [[nodiscard]] bool says(const json& event) const {
    for (const char* key : {"text", "params", "outcome", "reason"}) {
      if (lower(shown_at(event, key)).find(view_.search) != std::string::npos) return true;
    }
    return false;
  }

  void wait_until(int64_t at_ns) {
    const auto before = std::exchange(shown_ns_, at_ns);
    if (view_.pace == 0 || !before || at_ns <= *before) return;
    const double gap_ms = static_cast<double>(at_ns - *before) / 1e6 / view_.pace, most_ms = static_cast<double>(view_.idle_max.count()) / 1e3;
    const std::chrono::milliseconds gap(static_cast<int64_t>(std::min(gap_ms, most_ms)));
    if (gap.count() == 0) return;
    call_.terminal.out.flush();
    call_.terminal.wait(gap);
  }

  // One line an event, tabs between: time, sequence, kind, verb, verdict, rule, outcome, text.
  void print_plain(const json& event) {
    std::ostream& out = call_.terminal.out;
    const char* between = "";
    for (const char* key : {"at", "seq", "kind", "verb", "verdict", "rule", "outcome", "text"}) {
      out << between << escape_bytes(shown_at(event, key));
      between = "\t";
    }
    out << "\n";
  }

  // For a person: time, kind, verdict; its text below, indented.
  void print(const json& event) {
    std::ostream& out = call_.terminal.out;
    const std::string at = shown_at(event, "at"), verdict = shown_at(event, "verdict"), rule = shown_at(event, "rule"), outcome = shown_at(event, "outcome");
    const std::size_t t = at.find('T');
    std::string line = (t == std::string::npos ? at : at.substr(t + 1, 12)) + "  " + shown_at(event, "kind");
    if (is_searching()) line = "#" + shown_at(event, "seq") + "  " + line;
    if (const std::string verb = shown_at(event, "verb"); !verb.empty()) line += " " + verb;
    out << paint(escape_bytes(line), Colour::kDim, call_.colour);
    if (!verdict.empty()) out << "  " << paint(escape_bytes(verdict), colour_of(verdict), call_.colour);
    if (!rule.empty()) out << " by " << escape_bytes(rule);
    if (const std::string grant = shown_at(event, "grant"); !grant.empty()) out << " under " << escape_bytes(grant);
    if (!outcome.empty()) out << ", " << escape_bytes(outcome);
    if (const std::string request = shown_at(event, "request_id"); !request.empty()) out << ", request " << escape_bytes(request);
    if (const std::string reason = shown_at(event, "reason"); !reason.empty()) out << ": " << escape_bytes(reason);
    out << "\n";
    if (const std::string text = shown_at(event, "text"); !text.empty()) out << "    " << escape_bytes(text) << "\n";
    for (const char* key : {"params", "rows", "head"}) {
      const auto found = event.find(key);
      if (found == event.end() || found->is_null()) continue;
      if (found->is_array() && !found->empty() && found->front().is_array()) {
        for (const json& row : *found) out << "    | " << escape_bytes(dumped(row)) << "\n";
      } else {
        out << "    " << key << " " << escape_bytes(dumped(*found)) << "\n";
      }
    }
  }
  static std::string dumped(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

  VerbCall& call_;
  View view_;
  std::optional<ArrayWriter> array_;
  std::optional<int64_t> first_ns_, shown_ns_;
  uint64_t shown_ = 0;
};

int run_replay(VerbCall& call) {
  const auto session = call.words().size() == 1 ? parse_number(call.words()[0]) : Result<uint64_t>(fail(Error::Kind::kInvalid, ""));
  if (!session) return call.fail(kExitUsage, "name one session by its number; `weir sessions` lists them");
  auto view = read_view(call);
  if (!view) return call.fail(kExitUsage, view.error().message);
  const auto folder = record_folder(call);
  if (!folder) return kExitUsage;
  const auto place = record_place(call, *folder);
  if (!place) return call.fail(place.error());
  if (view->is_plain) call.colour = false;
  tell_engine(call, "replay", "session " + std::to_string(*session));
  Player player(call, std::move(*view));
  const auto replayed = record::replay(*place, *session, [&](const std::string& line) { return player.add(line); });
  player.end();
  if (!replayed && replayed.error().kind == Error::Kind::kNotFound && !place->log.empty()) {
    const auto gone = record::gone_by_policy(place->log, *session);
    if (gone && *gone) return call.fail(kExitFinding, "session " + std::to_string(*session) + " " + gone_text(**gone) + "; `weir prove` shows that it was");
  }
  if (!replayed) return call.fail(replayed.error());
  if (player.is_searching() && player.shown() == 0) {
    call.terminal.err << "weir replay: nothing in session " << *session << " says that\n";
    return kExitFinding;
  }
  return kExitDone;
}

}  // namespace

Verb replay_verb() {
  return {.name = "replay",
          .group = "The record",
          .summary = "show what happened in a session",
          .synopsis = "SESSION [--from TIME] [--to TIME] [--search TEXT] [--pace N|real] [--plain] [--state FOLDER] [--key-file FILE]",
          .description = "Every event in order: login, commands with parameters, verdicts and what became of them, masked rows, alerts, the end. What was masked for the client is masked here too. What a terminal would obey is written out (\\x1b).\n"
                         "--search shows the events whose text, parameters, outcome or reason have that text in them, ASCII letters in either case, with their numbers. --pace waits between events as long as it took then, divided by N, at most --idle-max each time. "
                         "--plain writes one line an event, with tabs between time, number, kind, verb, verdict, rule, outcome and text.\n"
                         "An encrypted session opens with the gateway's key, which the configuration names, or with --key-file: an auditor needs the folder and the own private key.\n"
                         "JSON: [{seq, at, kind, verb, text, verdict, rule, outcome, ...}]",
          .exits = "0 done\n1 there is no such session, its archive is damaged, or nothing in it says what was searched for\n2 the command line is wrong\n4 it is encrypted, and no key opens it\n5 the record cannot be read",
          .example = "weir replay 4711\nweir replay 4711 --from +1m30s --to +2m --pace 4\nweir replay 4711 --search 'drop table'\nweir replay 4711 --plain | cut -f5,8 | sort | uniq -c\n"
                     "weir replay 4711 --state /mnt/copy/weir --key-file auditor.key\nweir replay 4711 --json | jq -r '.[] | select(.kind == \"command\") | .text'",
          .add_options = [](po::options_description& options) {
            options.add_options()("from", po::value<std::string>()->value_name("TIME"), "events at or after; a time, how long ago (8h), or how long after the first event (+1m30s)")
                ("to", po::value<std::string>()->value_name("TIME"), "events before")
                ("search", po::value<std::string>()->value_name("TEXT"), "only events that say this")
                ("pace", po::value<std::string>()->value_name("N"), "as it happened, N times as fast; real: 1")
                ("idle-max", po::value<std::string>()->value_name("TIME"), "with --pace: no wait is longer than this; 3s if not given")
                ("plain", "one line an event, no colours")
                ("state", po::value<std::string>()->value_name("FOLDER"), "a state folder or a copy of one; else the configuration's");
            add_key_file(options);
          },
          .run = run_replay};
}

}  // namespace weir::control
