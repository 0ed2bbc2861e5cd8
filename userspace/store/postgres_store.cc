#include "store/postgres_store.h"

#include <openssl/crypto.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>
#include <utility>

#include "store/postgres_schema.h"
#include "store/store_names.h"

namespace weir::store {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
using LinkPtr = std::unique_ptr<PostgresLink>;

constexpr milliseconds kConnectLimit = kCallLimit;
constexpr milliseconds kRetryFirst{100};
constexpr milliseconds kLongLimit{60'000};             // Of what reads everything, and of the migrations at a start.
constexpr std::chrono::minutes kTidyEvery{10};
constexpr uint64_t kMigrationLock = 0x7765697273746f72;  // "weirstor"
// Removed items are kept for so long; a gateway that was away longer compares everything.
constexpr const char* kTidy =
    "WITH gone AS (DELETE FROM weir_store_item WHERE body IS NULL AND changed_at < now() - interval '1 day' RETURNING change) "
    "UPDATE weir_store_change SET purged = greatest(purged, (SELECT max(change) FROM gone)) WHERE EXISTS (SELECT FROM gone)";
constexpr const char* kListen = "SET statement_timeout = 60000; LISTEN weir_store";  // It may read everything.
constexpr const char* kItems = "kind, id, version, gateway, body";

StoreItem item_of(const PostgresRows& rows, int row) {
  return {rows.text(row, 0), rows.text(row, 1), rows.number(row, 2), rows.text(row, 3), rows.is_null(row, 4) ? std::string() : rows.text(row, 4)};
}

uint64_t random_writer() {
  uint64_t number = 0;
  while (getrandom(&number, sizeof number, 0) != static_cast<ssize_t>(sizeof number)) {
  }
  return (number >> 1) | 1;  // A bigint, and never 0.
}

// Two gateways of one name would take each other's tickets for their own.  The name is held as long as the connection lives.
Result<void> take_name(PostgresLink& link, const PostgresLogin& login) {
  const auto end = Clock::now() + login.name_wait;
  for (;;) {
    const auto taken = link.run("SELECT pg_try_advisory_lock(1464157522, hashtext($1))", {login.gateway}, kCallLimit);
    if (!taken) return tl::unexpected<Error>(taken.error());
    if (taken->text(0, 0) == "t") return {};
    if (Clock::now() >= end) return fail(Error::Kind::kUnavailable, "another gateway that uses this store is named " + login.gateway + " as well: give each its own `name`");
    std::this_thread::sleep_for(kRetryFirst);
  }
}

Result<void> migrate(PostgresLink& link) {
  const auto run = [&](const std::string& sql) { return link.run(sql, {}, kLongLimit); };
  // A transaction: of two gateways that start at once one waits for the other.
  auto begun = run("SET statement_timeout = 0; SET lock_timeout = 0; BEGIN; SELECT pg_advisory_xact_lock(" + std::to_string(kMigrationLock) + ")");
  if (!begun) return tl::unexpected<Error>(begun.error());
  // Asked for, since IF NOT EXISTS needs the right to make it even where it is there: an administrator may have made all of it.
  const auto there = run("SELECT to_regnamespace('weir') IS NOT NULL, to_regclass('weir.weir_store_migration') IS NOT NULL");
  if (!there) return tl::unexpected<Error>(there.error());
  const std::string make = std::string(there->text(0, 0) == "t" ? "" : "CREATE SCHEMA weir; ") +
                           (there->text(0, 1) == "t" ? "" : "CREATE TABLE weir_store_migration (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())");
  if (!make.empty()) {
    auto made = run(make);
    if (!made) return tl::unexpected<Error>(made.error());
  }
  const auto seen = run("SELECT coalesce(max(version), 0) FROM weir_store_migration");
  if (!seen) return tl::unexpected<Error>(seen.error());
  const int found = static_cast<int>(seen->number(0, 0));
  if (found > kPostgresSchema) {
    return fail(Error::Kind::kInvalid, "the store has schema " + std::to_string(found) + ", made by a later version of Weir; this one knows up to " +
                                           std::to_string(kPostgresSchema) + ": run that version on this gateway as well");
  }
  for (int version = found; version < kPostgresSchema; ++version) {
    auto applied = run(std::string(kPostgresMigrations[static_cast<std::size_t>(version)]) + "INSERT INTO weir_store_migration (version) VALUES (" + std::to_string(version + 1) + ")");
    if (!applied) return tl::unexpected<Error>(applied.error());
  }
  auto done = run("COMMIT; RESET statement_timeout; RESET lock_timeout");
  if (!done) return tl::unexpected<Error>(done.error());
  return {};
}

}  // namespace

struct PostgresStore::State {
  struct Watcher {
    std::string kind;
    OnChange on_change;
  };
  using Key = std::pair<std::string, std::string>;

  PostgresLogin login;
  Notice notice;
  const uint64_t writer = random_writer();

  std::mutex mutex;                      // Of `link` and `uncertain`.
  LinkPtr link;                          // Null or broken: away; the thread brings another one.
  std::set<Key> uncertain;               // Written, and not told whether: they are told of as if somebody else's.
  std::atomic<bool> is_call_good{true}, is_listening{false}, is_stopping{false};

  std::mutex watchers_mutex;
  std::vector<Watcher> watchers;

  // The thread's own.
  LinkPtr listener;
  uint64_t seen = 0;                             // The last change that was told.
  std::map<Key, std::pair<uint64_t, uint64_t>> known;  // Of watched kinds: version and change.  For who was away for long.
  std::set<std::string> known_kinds;
  bool is_known_stale = false;
  Clock::time_point tidied{};
  int wake = -1;
  std::thread thread;

  ~State() {
    OPENSSL_cleanse(login.password.data(), login.password.size());
    if (wake >= 0) ::close(wake);
  }

  // On the call's connection.  Pre: mutex is held.
  Result<PostgresRows> call(const std::string& sql, const std::vector<std::string>& parameters, milliseconds limit = kCallLimit) {
    if (link == nullptr || link->is_broken()) {
      is_call_good = false;
      return fail(Error::Kind::kUnavailable, "the store " + text_of_login() + " is away; it is tried again all the time");
    }
    auto rows = link->run(sql, parameters, limit);
    is_call_good = rows || rows.error().kind == Error::Kind::kDenied;
    if (link->is_broken()) ring();
    return rows;
  }
  [[nodiscard]] std::string text_of_login() const { return "postgresql://" + login.host + "/" + login.database; }
  void ring() const {
    const uint64_t one = 1;
    if (::write(wake, &one, sizeof one) < 0) return;  // It is awake already.
  }

  void serve();
  bool bring_back(milliseconds& pause);
  [[nodiscard]] Result<void> catch_up();
  [[nodiscard]] Result<void> compare_all();
  [[nodiscard]] Result<void> learn(const std::string& kind);
  void take_in(const StoreItem& item, uint64_t change, bool is_own);
  [[nodiscard]] std::vector<OnChange> watchers_of(const std::string& kind);
  void tell(const StoreItem& item);
  void wait_a_while(milliseconds limit);
};

PostgresStore::PostgresStore(std::unique_ptr<State> state) : state_(std::move(state)) {}

PostgresStore::~PostgresStore() {
  state_->is_stopping = true;
  state_->ring();
  if (state_->thread.joinable()) state_->thread.join();
}

Result<std::unique_ptr<PostgresStore>> PostgresStore::open(PostgresLogin login, Notice notice) {
  auto state = std::make_unique<State>();
  state->login = std::move(login);
  state->notice = std::move(notice);
  state->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (state->wake < 0) return fail(Error::Kind::kSystem, "store: no eventfd", errno);
  for (LinkPtr* link : {&state->link, &state->listener}) {
    auto made = PostgresLink::connect(state->login, kConnectLimit);
    if (!made) return tl::unexpected<Error>(made.error());
    *link = std::move(*made);
  }
  if (auto migrated = migrate(*state->link); !migrated) return tl::unexpected<Error>(migrated.error());
  const auto listening = state->listener->run(kListen, {}, kCallLimit);
  if (!listening) return tl::unexpected<Error>(listening.error());
  if (auto named = take_name(*state->listener, state->login); !named) return tl::unexpected<Error>(named.error());
  const auto last = state->listener->run("SELECT last FROM weir_store_change", {}, kCallLimit);
  if (!last) return tl::unexpected<Error>(last.error());
  state->seen = last->number(0, 0);
  state->is_listening = true;
  state->tidied = Clock::now();
  auto store = std::unique_ptr<PostgresStore>(new PostgresStore(std::move(state)));
  store->state_->thread = std::thread([own = store->state_.get()] { own->serve(); });
  return store;
}

Result<std::vector<StoreItem>> PostgresStore::load(std::string_view kind) {
  const std::lock_guard lock(state_->mutex);
  auto longer = state_->call("SET statement_timeout = 60000", {});
  if (!longer) return tl::unexpected<Error>(longer.error());
  auto rows = state_->call(std::string("SELECT ") + kItems + " FROM weir_store_item WHERE kind = $1 AND body IS NOT NULL ORDER BY id", {std::string(kind)}, kLongLimit);
  if (!rows) return tl::unexpected<Error>(rows.error());
  auto shorter = state_->call("RESET statement_timeout", {});
  if (!shorter) return tl::unexpected<Error>(shorter.error());
  std::vector<StoreItem> found;
  for (int row = 0; row < rows->size(); ++row) found.push_back(item_of(*rows, row));
  return found;
}

Result<std::optional<StoreItem>> PostgresStore::find(std::string_view kind, std::string_view id) {
  const std::lock_guard lock(state_->mutex);
  auto rows = state_->call(std::string("SELECT ") + kItems + " FROM weir_store_item WHERE kind = $1 AND id = $2 AND body IS NOT NULL", {std::string(kind), std::string(id)});
  if (!rows) return tl::unexpected<Error>(rows.error());
  if (rows->size() == 0) return std::optional<StoreItem>();
  return std::optional<StoreItem>(item_of(*rows, 0));
}

Result<void> PostgresStore::write(const std::vector<StoreWrite>& writes) {
  if (auto checked = check_writes(writes); !checked) return checked;
  nlohmann::json all = nlohmann::json::array();
  for (const StoreWrite& write : writes) {
    nlohmann::json one = {{"kind", write.kind}, {"id", write.id}, {"expected", write.expected}};
    if (write.body) one["body"] = *write.body;
    all.push_back(std::move(one));
  }
  // What is no UTF-8 the server would refuse; here it must not throw.
  const std::string text = all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const std::lock_guard lock(state_->mutex);
  auto rows = state_->call("SELECT weir_store_write($1, $2, $3)", {std::to_string(state_->writer), state_->login.gateway, text});
  if (rows) return {};
  if (state_->link != nullptr && state_->link->is_broken()) {  // Whether it was committed is not known.
    for (const StoreWrite& write : writes) state_->uncertain.emplace(write.kind, write.id);
  }
  return tl::unexpected<Error>(rows.error());
}

Result<uint64_t> PostgresStore::take_numbers(std::string_view sequence, uint64_t count, uint64_t floor) {
  constexpr uint64_t kMost = uint64_t{1} << 62;  // A bigint holds it, whatever is added.
  if (count > kMost || floor > kMost) return fail(Error::Kind::kInvalid, "store: the numbers of " + std::string(sequence) + " are used up");
  const std::lock_guard lock(state_->mutex);
  auto rows = state_->call("INSERT INTO weir_store_number AS n (sequence, next) VALUES ($1, $2::bigint + 1 + $3::bigint) "
                           "ON CONFLICT (sequence) DO UPDATE SET next = greatest(n.next, $2::bigint + 1) + $3::bigint RETURNING next - $3::bigint",
                           {std::string(sequence), std::to_string(floor), std::to_string(count)});
  if (!rows) return tl::unexpected<Error>(rows.error());
  return rows->number(0, 0);
}

void PostgresStore::watch(std::string kind, OnChange on_change) {
  {
    const std::lock_guard lock(state_->watchers_mutex);
    state_->watchers.push_back({std::move(kind), std::move(on_change)});
  }
  state_->ring();
}

std::string PostgresStore::name() const { return state_->text_of_login(); }
bool PostgresStore::is_healthy() const { return state_->is_call_good && state_->is_listening; }

// --- The store's own thread.

void PostgresStore::State::wait_a_while(milliseconds limit) {
  pollfd polled[2] = {{wake, POLLIN, 0}, {listener != nullptr && !listener->is_broken() ? listener->fd() : -1, POLLIN, 0}};
  const int ready = poll(polled, 2, static_cast<int>(limit.count()));
  uint64_t rung = 0;
  if (ready > 0 && (polled[0].revents & POLLIN) != 0 && ::read(wake, &rung, sizeof rung) < 0) rung = 0;
}

void PostgresStore::State::serve() {
  milliseconds pause = kRetryFirst;
  while (!is_stopping) {
    if (!bring_back(pause)) {
      wait_a_while(pause);
      pause = std::min(pause * 2, kRetryMax);
      continue;
    }
    pause = kRetryFirst;
    auto told = catch_up();
    if (told && Clock::now() - tidied >= kTidyEvery) {
      tidied = Clock::now();
      (void)listener->run(kTidy, {}, kCallLimit);  // The next one does it, or another gateway.
    }
    is_listening = told.has_value();
    if (!told && !listener->is_broken()) {  // The server answers, and says no: not again at once.
      wait_a_while(kRetryMax);
      continue;
    }
    // What was notified while we asked is in libpq already: the socket would not say so.
    if (!told || listener->take_notices()) continue;
    wait_a_while(kPollEvery);
    (void)listener->take_notices();
  }
}

// Both connections stand.  False: the server cannot be reached.
bool PostgresStore::State::bring_back(milliseconds& pause) {
  const bool is_listener_gone = listener == nullptr || listener->is_broken();
  bool is_link_gone = false;
  {
    const std::lock_guard lock(mutex);
    is_link_gone = link == nullptr || link->is_broken();
  }
  if (!is_listener_gone && !is_link_gone) return true;
  if (is_listener_gone && is_listening.exchange(false) && notice) notice("store " + text_of_login() + " is away: bindings and sessions go on, new bindings and approvals are refused");
  if (is_listener_gone) {
    listener.reset();
    auto made = PostgresLink::connect(login, kConnectLimit);
    if (!made) return false;
    if (!(*made)->run(kListen, {}, kCallLimit)) return false;
    // The server may hold the name for the connection that was lost: it is taken where it is free, and not waited for.
    if (!(*made)->run("SELECT pg_try_advisory_lock(1464157522, hashtext($1))", {login.gateway}, kCallLimit)) return false;
    listener = std::move(*made);
  }
  if (is_link_gone) {
    auto made = PostgresLink::connect(login, kConnectLimit);
    if (!made) return false;
    const std::lock_guard lock(mutex);
    link = std::move(*made);
    is_call_good = true;
  }
  if (is_listener_gone && notice) notice("store " + text_of_login() + " is back");
  pause = kRetryFirst;
  return true;
}

// Everything above `seen`, in the order of its commits.
Result<void> PostgresStore::State::catch_up() {
  std::vector<std::string> fresh;
  {
    const std::lock_guard lock(watchers_mutex);
    for (const Watcher& watcher : watchers) {
      if (!known_kinds.contains(watcher.kind)) fresh.push_back(watcher.kind);
    }
  }
  for (const std::string& kind : fresh) {
    if (auto learnt = learn(kind); !learnt) return learnt;
  }
  const auto state = listener->run("SELECT last, purged FROM weir_store_change", {}, kCallLimit);
  if (!state) return tl::unexpected<Error>(state.error());
  // Away while removals were forgotten, or the database is an older one that was put back.
  if (state->number(0, 0) < seen || state->number(0, 1) > seen || is_known_stale) return compare_all();
  if (state->number(0, 0) == seen) return {};
  const auto rows = listener->run(std::string("SELECT ") + kItems + ", change, writer FROM weir_store_item WHERE change > $1 ORDER BY change, kind, id", {std::to_string(seen)}, kLongLimit);
  if (!rows) return tl::unexpected<Error>(rows.error());
  for (int row = 0; row < rows->size(); ++row) take_in(item_of(*rows, row), rows->number(row, 5), rows->number(row, 6) == writer);
  // Numbers are seen in the order of commits: below the highest there is nothing that could still come.
  seen = std::max(seen, std::max(state->number(0, 0), rows->size() == 0 ? 0 : rows->number(rows->size() - 1, 5)));
  return {};
}

// How a kind stands when its watcher comes: what its watcher loads by itself.
Result<void> PostgresStore::State::learn(const std::string& kind) {
  const auto rows = listener->run("SELECT kind, id, version, change FROM weir_store_item WHERE kind = $1 AND body IS NOT NULL AND change <= $2", {kind, std::to_string(seen)}, kLongLimit);
  if (!rows) return tl::unexpected<Error>(rows.error());
  for (int row = 0; row < rows->size(); ++row) known[{kind, rows->text(row, 1)}] = {rows->number(row, 2), rows->number(row, 3)};
  known_kinds.insert(kind);
  return {};
}

Result<void> PostgresStore::State::compare_all() {
  is_known_stale = true;
  const auto last = listener->run("SELECT last FROM weir_store_change", {}, kCallLimit);
  if (!last) return tl::unexpected<Error>(last.error());
  const auto rows = listener->run(std::string("SELECT ") + kItems + ", change, writer FROM weir_store_item WHERE body IS NOT NULL", {}, kLongLimit);
  if (!rows) return tl::unexpected<Error>(rows.error());
  std::set<Key> there;
  for (int row = 0; row < rows->size(); ++row) {
    StoreItem item = item_of(*rows, row);
    const Key key{item.kind, item.id};
    there.insert(key);
    const auto found = known.find(key);
    const bool is_as_known = found != known.end() && found->second == std::pair(item.version, rows->number(row, 5));
    if (!is_as_known) take_in(item, rows->number(row, 5), false);  // Even our own: the database may be an older one.
  }
  std::vector<std::pair<Key, uint64_t>> gone;
  for (const auto& [key, seen_as] : known) {
    if (!there.contains(key)) gone.emplace_back(key, seen_as.first);
  }
  for (const auto& [key, version] : gone) take_in({key.first, key.second, version, "", ""}, 0, false);
  seen = last->number(0, 0);
  is_known_stale = false;
  return {};
}

void PostgresStore::State::take_in(const StoreItem& item, uint64_t change, bool is_own) {
  if (!known_kinds.contains(item.kind)) return;
  const Key key{item.kind, item.id};
  if (item.body.empty()) known.erase(key);
  else known[key] = {item.version, change};
  if (is_own) {
    const std::lock_guard lock(mutex);
    if (uncertain.erase(key) == 0) return;
  }
  tell(item);
}

std::vector<Store::OnChange> PostgresStore::State::watchers_of(const std::string& kind) {
  const std::lock_guard lock(watchers_mutex);
  std::vector<OnChange> found;
  for (const Watcher& watcher : watchers) {
    if (watcher.kind == kind) found.push_back(watcher.on_change);
  }
  return found;
}

void PostgresStore::State::tell(const StoreItem& item) {
  for (const OnChange& on_change : watchers_of(item.kind)) on_change(item);
}

}  // namespace weir::store
