// How long a search over many sealed sessions takes: an index of N synthetic sessions, then each filter of `weir sessions` with
// different values, a page of 100 each.  What is measured is list_sessions() as the command line calls it: opening the index,
// checking it against the log, the search, the lines; under a key, as of an encrypted record.  Then forgetting 1,000.  No archives: lines come from the index, and a request's events are not read.
// Usage: build/release/bench/session_index [SESSIONS] [ROUNDS] [FOLDER]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/prng.h"
#include "record/evidence_log.h"
#include "record/key_wrap.h"
#include "record/log_leaf.h"
#include "record/manifest.h"
#include "record/merkle.h"
#include "record/reader.h"
#include "record/request_keys.h"
#include "record/session_index.h"
#include "record/session_row.h"
#include "record/session_words.h"

namespace {

using namespace weir;
using namespace weir::record;
using Clock = std::chrono::steady_clock;

constexpr int64_t kBegin = 1'790'000'000, kStepSeconds = 30;

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "session_index: %s\n", why.c_str());
  std::exit(1);
}
template <class T>
T need(Result<T> result) {
  if (!result) stop(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// Few are common and many are rare, as names and words are.
uint64_t skewed(Prng& prng, uint64_t count) {
  const uint64_t below = 1 + prng.below(count);
  return prng.below(1 + prng.below(below));
}
std::string name(const char* what, uint64_t number) { return what + std::to_string(number); }

IndexedSession make(uint64_t session, Prng& prng, const IndexKey& key) {
  SessionRow row;
  SessionSummary& total = row.total;
  const std::string subject = name("user:person", skewed(prng, 2'000)), target = name("target-", skewed(prng, 40)), group = name("group-", skewed(prng, 60));
  const std::string client = name("198.18.1.", prng.below(250));
  total.opened_json = nlohmann::json{{"target", target}, {"subject", subject}, {"groups", {group, "all"}}, {"protocol", "postgres"}, {"client", client}, {"server", "198.18.2.10:5432"},
                                     {"mode", "enforce"}, {"login", "inject"}, {"durability", "before-forward"}, {"capability", "full"}, {"policy", std::string(64, 'a')},
                                     {"gateway", "gw"}, {"assurance", "network"}, {"binding", "binding-4711"}, {"issuer", "https://issuer.example"}}.dump();
  total.login_json = R"({"login":"app","database":"orders","application_name":"app"})";
  total.commands = 1 + prng.below(30);
  total.blocked = prng.one_in(30) ? 1 : 0;
  total.accounts.emplace();
  total.is_closed = row.is_closed = true;
  total.reason = "client closed";
  total.requests.add(name("job-", session));
  row.opened_ns = (kBegin + static_cast<int64_t>(session) * kStepSeconds) * 1'000'000'000;
  total.closed_ns = row.opened_ns + 1'000'000'000;
  row.parts = 1;
  const nlohmann::json line = to_json(session, row);
  WordCollector words(key);
  std::string text;
  const std::string object = name("public.table", skewed(prng, 5'000)), rule = name("rule-", skewed(prng, 200));
  for (int word = 0; word < 25; ++word) text += name("word", skewed(prng, 50'000)) + " ";
  RecordEvent event;
  event.kind = RecordEvent::Kind::kCommand;
  event.verb = "query";
  event.verbs = prng.one_in(4) ? bit(Verb::kWrite) : bit(Verb::kRead);
  event.objects = object;
  event.text = as_bytes(text);
  event.action = total.blocked != 0 ? Verdict::Action::kBlock : prng.one_in(5) ? Verdict::Action::kMask : Verdict::Action::kAllow;
  if (event.action != Verdict::Action::kAllow) event.rule = rule;
  words.add(event);
  IndexedSession one{.session = session, .opened_ns = row.opened_ns, .is_ended = true, .last_sequence = 4, .day = "2026/09/21"};
  one.words = row_words(line, total, key, one.is_cut);
  const WordSet of_events = words.words();
  one.words.insert(one.words.end(), of_events.begin(), of_events.end());
  make_set(one.words);
  one.line = dump(line);
  return one;
}

double ms_since(Clock::time_point begun) { return std::chrono::duration<double, std::milli>(Clock::now() - begun).count(); }

}  // namespace

int main(int count, char** words) {
  const uint64_t sessions = count > 1 ? std::strtoull(words[1], nullptr, 10) : 1'000'000;
  const uint64_t rounds = count > 2 ? std::strtoull(words[2], nullptr, 10) : 100;
  const std::string folder = count > 3 ? words[3] : std::filesystem::temp_directory_path().string() + "/weir-session-index";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  PosixFiles files;
  const std::string leaf = to_leaf("start", kBegin * 1'000'000'000, nlohmann::json::object());
  {
    EvidenceLog log(folder + "/log", "weir.invalid/bench", need(SigningKey::generate(folder + "/log.key")), files);
    need(log.open([](uint64_t, Bytes) {}));
    log.add(leaf);
    need(log.commit());
  }
  RecordPlace place;
  place.archive = folder + "/archive";
  place.log = folder + "/log";
  place.index = index_path(folder);
  need(GatewayKeys::generate(folder + "/kek.key"));
  place.openers.push_back(need(read_opener(folder + "/kek.key")));
  Prng prng(1);
  const Clock::time_point begun = Clock::now();
  {
    const auto index = need(SessionIndex::open(place.index, SessionIndex::Mode::kWrite, place.openers));
    std::vector<IndexedSession> batch;
    for (uint64_t session = 1; session <= sessions; ++session) {
      batch.push_back(make(session, prng, index->key()));
      if (batch.size() < 1'000 && session != sessions) continue;
      need(index->write(batch, {}, {}));
      batch.clear();
    }
    need(index->write({}, {}, {1, leaf_hash(as_bytes(leaf))}));
  }
  const double seconds = ms_since(begun) / 1'000;
  std::printf("%llu sessions put in in %.0f s (%.0f a second), %.0f bytes a session\n", static_cast<unsigned long long>(sessions), seconds, static_cast<double>(sessions) / seconds,
              static_cast<double>(std::filesystem::file_size(place.index)) / static_cast<double>(sessions));

  const auto at = [&](uint64_t session) { return std::chrono::sys_seconds(std::chrono::seconds(kBegin + static_cast<int64_t>(session) * kStepSeconds)); };
  const std::pair<const char*, std::function<void(SessionFilter&)>> filters[] = {
      {"none", [](SessionFilter&) {}},
      {"who", [&](SessionFilter& f) { f.subject = name("user:person", prng.below(2'000)); }},
      {"group", [&](SessionFilter& f) { f.group = name("group-", prng.below(60)); }},
      {"target", [&](SessionFilter& f) { f.target = name("target-", prng.below(40)); }},
      {"verb", [&](SessionFilter& f) { f.verb = prng.one_in(2) ? "read" : "write"; }},
      {"object", [&](SessionFilter& f) { f.object = name("public.table", prng.below(5'000)); }},
      {"rule", [&](SessionFilter& f) { f.rule = name("rule-", prng.below(200)); }},
      {"verdict", [&](SessionFilter& f) { f.verdict = prng.one_in(2) ? "block" : "mask"; }},
      {"since, until", [&](SessionFilter& f) { const uint64_t from = prng.below(sessions); f.since = at(from); f.until = at(from + 2'000); }},
      {"request", [&](SessionFilter& f) { f.request = name("job-", 1 + prng.below(sessions)); }},
      {"text, one word", [&](SessionFilter& f) { f.text = name("word", prng.below(50'000)); }},
      {"text, two common words", [&](SessionFilter& f) { f.text = name("word", prng.below(10)) + " " + name("word", prng.below(10)); }},
      {"text, absent", [&](SessionFilter& f) { f.text = name("absent", prng.below(50'000)); }},
      {"before (a deep page)", [&](SessionFilter& f) { f.before = 1 + prng.below(sessions); }},
      {"who, target, verb, verdict", [&](SessionFilter& f) { f.subject = name("user:person", prng.below(50)); f.target = name("target-", prng.below(40)); f.verb = "write"; f.verdict = "block"; }},
      {"common ones that seldom meet", [&](SessionFilter& f) { f.verb = "read"; f.group = "all"; f.target = name("target-", prng.below(3)); f.rule = name("rule-", 100 + prng.below(100)); }},
      {"target, until", [&](SessionFilter& f) { f.target = "target-39"; f.until = at(prng.below(sessions)); }},
  };
  std::printf("| filter, a page of 100 | p50 ms | p95 ms | max ms | sessions found |\n|---|---|---|---|---|\n");
  for (const auto& [label, set] : filters) {
    std::vector<double> times;
    uint64_t found = 0;
    for (uint64_t round = 0; round < rounds; ++round) {
      SessionFilter filter;
      filter.count_max = 100;
      filter.tell = [](const std::string& why) { stop(why); };
      set(filter);
      const Clock::time_point start = Clock::now();
      need(list_sessions(place, filter, [&](const std::string&) { return ++found, true; }));
      times.push_back(ms_since(start));
    }
    std::sort(times.begin(), times.end());
    std::printf("| %s | %.1f | %.1f | %.1f | %.1f |\n", label, times[times.size() / 2], times[times.size() * 95 / 100], times.back(), static_cast<double>(found) / static_cast<double>(rounds));
  }
  std::vector<uint64_t> forgotten;
  for (uint64_t session = 1; session <= std::min<uint64_t>(sessions, 1'000); ++session) forgotten.push_back(session);
  const Clock::time_point start = Clock::now();
  need(forget_sessions(place.index, forgotten));
  std::printf("forgetting %zu sessions: %.1f s\n", forgotten.size(), ms_since(start) / 1'000);
  std::filesystem::remove_all(folder);
  return 0;
}
