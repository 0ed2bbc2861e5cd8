#include "store/sqlite_store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>
#include <mutex>

#include "store/store_names.h"

namespace weir::store {
namespace {

constexpr int kBusyTimeoutMs = 5'000;  // Only a backup or a person's sqlite3 can hold the file.
// The schema's history: number N brings a file of version N - 1 to N.  Never changed once released, only added to.
constexpr std::array kMigrations = {
    "CREATE TABLE weir_store_item ("
    " kind TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, gateway TEXT NOT NULL, changed_at INTEGER NOT NULL, body TEXT NOT NULL,"
    " PRIMARY KEY (kind, id)) STRICT;"
    "CREATE TABLE weir_store_number (sequence TEXT NOT NULL PRIMARY KEY, next INTEGER NOT NULL) STRICT;",
};
constexpr int kSchema = static_cast<int>(kMigrations.size());

struct CloseDatabase { void operator()(sqlite3* database) const { sqlite3_close_v2(database); } };
struct FinishStatement { void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); } };
using DatabasePtr = std::unique_ptr<sqlite3, CloseDatabase>;
using StatementPtr = std::unique_ptr<sqlite3_stmt, FinishStatement>;

// A run of a prepared statement; ready for the next one when it goes.
class Run {
 public:
  explicit Run(const StatementPtr& statement) : statement_(statement.get()) {}
  ~Run() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);  // They are borrowed.
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  Run& bind(std::string_view text) {
    is_bound_ = is_bound_ && sqlite3_bind_text(statement_, ++index_, text.data(), static_cast<int>(text.size()), SQLITE_STATIC) == SQLITE_OK;
    return *this;
  }
  Run& bind(uint64_t number) {
    is_bound_ = is_bound_ && sqlite3_bind_int64(statement_, ++index_, static_cast<sqlite3_int64>(number)) == SQLITE_OK;
    return *this;
  }
  int step() { return is_bound_ ? sqlite3_step(statement_) : SQLITE_NOMEM; }
  [[nodiscard]] std::string text(int column) const {
    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    return bytes == nullptr ? std::string() : std::string(bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
  }
  [[nodiscard]] uint64_t number(int column) const { return static_cast<uint64_t>(sqlite3_column_int64(statement_, column)); }

 private:
  sqlite3_stmt* statement_;
  int index_ = 0;
  bool is_bound_ = true;
};

uint64_t now_seconds() {
  return static_cast<uint64_t>(std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()).time_since_epoch().count());
}

std::string file_words(const std::string& file, const char* what) {
  return file + " " + what + "; move it away (with its -wal and -shm) and start again: who was bound signs in anew, and the record keeps what was";
}

// SQLite makes its files with the process' mask: the file is made first, for its owner alone (-wal and -shm take its mode).
Result<void> make_private(const std::string& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return fail(Error::Kind::kSystem, "cannot open " + file + ": " + std::strerror(errno), errno);
  const bool is_private = fchmod(fd, 0600) == 0;
  const int error = errno;
  ::close(fd);
  if (!is_private) return fail(Error::Kind::kSystem, "cannot make " + file + " its owner's alone: " + std::strerror(error), error);
  return {};
}

}  // namespace

struct SqliteStore::State {
  std::string file, gateway;
  std::mutex mutex;
  DatabasePtr database;
  StatementPtr begin, commit, rollback, load, find, insert, update, remove, next_number, put_number;  // After database: they end first.
  std::atomic<bool> is_healthy{true};

  // The error of the last call, and what it says of the store.
  Error error_of(int code) {
    is_healthy = false;
    const std::string text = sqlite3_errmsg(database.get());
    switch (code & 0xff) {
      case SQLITE_CORRUPT:
      case SQLITE_NOTADB:
        return {Error::Kind::kCorrupt, file_words(file, "is damaged"), code};
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
        return {Error::Kind::kUnavailable, "store " + file + " is held by another process: " + text, code};
      default:  // Disk full, input or output, permission, memory.
        return {Error::Kind::kSystem, "store " + file + ": " + text, code};
    }
  }
  Result<void> execute(const char* sql) {
    const int code = sqlite3_exec(database.get(), sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return tl::unexpected<Error>(error_of(code));
    return {};
  }
  Result<void> run(const StatementPtr& statement) {
    Run one(statement);
    const int code = one.step();
    if (code != SQLITE_DONE && code != SQLITE_ROW) return tl::unexpected<Error>(error_of(code));
    return {};
  }
  Result<StatementPtr> prepare(const char* sql) {
    sqlite3_stmt* made = nullptr;
    const int code = sqlite3_prepare_v3(database.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &made, nullptr);
    if (code != SQLITE_OK) return tl::unexpected<Error>(error_of(code));
    return StatementPtr(made);
  }
  // The first row's only value, as text.
  Result<std::string> ask(const char* sql) {
    auto statement = prepare(sql);
    if (!statement) return tl::unexpected<Error>(statement.error());
    Run one(*statement);
    const int code = one.step();
    if (code != SQLITE_ROW) return tl::unexpected<Error>(error_of(code));
    return one.text(0);
  }

  Result<void> set_up();
  Result<void> migrate();
  Result<void> prepare_all();
  Result<void> write_one(const StoreWrite& write);
  template <class Work>
  Result<void> transact(Work work);
};

Result<void> SqliteStore::State::set_up() {
  sqlite3* made = nullptr;
  const int code = sqlite3_open_v2(file.c_str(), &made, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE, nullptr);
  database.reset(made);
  if (code != SQLITE_OK) return tl::unexpected<Error>(error_of(code));
  sqlite3_busy_timeout(database.get(), kBusyTimeoutMs);
  sqlite3_db_config(database.get(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  if (auto set = execute("PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA secure_delete=ON;"); !set) return set;
  const auto mode = ask("PRAGMA journal_mode=WAL");
  if (!mode) return tl::unexpected<Error>(mode.error());
  if (*mode != "wal") return fail(Error::Kind::kSystem, "store " + file + ": WAL is not possible here (" + *mode + "): `state` must be a local disk");
  if (auto set = execute("PRAGMA synchronous=FULL"); !set) return set;
  const auto checked = ask("PRAGMA integrity_check(1)");
  if (!checked) return tl::unexpected<Error>(checked.error());
  if (*checked != "ok") return fail(Error::Kind::kCorrupt, file_words(file, "is damaged"));
  if (auto done = migrate(); !done) return done;
  return prepare_all();
}

Result<void> SqliteStore::State::migrate() {
  if (auto begun = execute("BEGIN IMMEDIATE"); !begun) return begun;
  const auto text = ask("PRAGMA user_version");
  if (!text) return tl::unexpected<Error>(text.error());
  const int found = std::atoi(text->c_str());
  if (found > kSchema || found < 0) {
    (void)execute("ROLLBACK");
    return fail(Error::Kind::kInvalid, file + " has schema " + std::to_string(found) + ", made by a later version of Weir; this one knows up to " +
                                           std::to_string(kSchema) + ": run that version, or move the file away");
  }
  for (int version = found; version < kSchema; ++version) {
    if (auto made = execute(kMigrations[static_cast<std::size_t>(version)]); !made) {
      (void)execute("ROLLBACK");
      return fail(Error::Kind::kCorrupt, file_words(file, "is no store of Weir's"));
    }
  }
  if (auto set = execute(("PRAGMA user_version=" + std::to_string(kSchema)).c_str()); !set) return set;
  return execute("COMMIT");
}

Result<void> SqliteStore::State::prepare_all() {
  const std::pair<StatementPtr*, const char*> all[] = {
      {&begin, "BEGIN IMMEDIATE"},
      {&commit, "COMMIT"},
      {&rollback, "ROLLBACK"},
      {&load, "SELECT kind, id, version, gateway, body FROM weir_store_item WHERE kind = ? ORDER BY id"},
      {&find, "SELECT kind, id, version, gateway, body FROM weir_store_item WHERE kind = ? AND id = ?"},
      {&insert, "INSERT INTO weir_store_item (gateway, changed_at, body, kind, id, version) VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT DO NOTHING"},
      {&update, "UPDATE weir_store_item SET version = version + 1, gateway = ?, changed_at = ?, body = ? WHERE kind = ? AND id = ? AND version = ?"},
      {&remove, "DELETE FROM weir_store_item WHERE kind = ? AND id = ? AND version = ?"},
      {&next_number, "SELECT next FROM weir_store_number WHERE sequence = ?"},
      {&put_number, "INSERT INTO weir_store_number (sequence, next) VALUES (?, ?) ON CONFLICT (sequence) DO UPDATE SET next = excluded.next"},
  };
  for (const auto& [statement, sql] : all) {
    auto made = prepare(sql);
    if (!made) return tl::unexpected<Error>(made.error());
    *statement = std::move(*made);
  }
  return {};
}

// Pre: mutex is held.  Post: done and durable, or nothing.
template <class Work>
Result<void> SqliteStore::State::transact(Work work) {
  if (auto begun = run(begin); !begun) return begun;
  Result<void> done = work();
  if (done) done = run(commit);
  if (done) {
    is_healthy = true;
    return done;
  }
  // Some errors roll back by themselves; then there is nothing to roll back.
  if (sqlite3_get_autocommit(database.get()) == 0) (void)run(rollback);
  return done;
}

Result<void> SqliteStore::State::write_one(const StoreWrite& write) {
  const StatementPtr& statement = !write.body ? remove : write.expected == 0 ? insert : update;
  Run one(statement);
  const uint64_t now = now_seconds();
  if (write.body) one.bind(gateway).bind(now).bind(*write.body);
  one.bind(write.kind).bind(write.id);
  if (write.expected != 0 || !write.body) one.bind(write.expected);
  const int code = one.step();
  if (code != SQLITE_DONE) return tl::unexpected<Error>(error_of(code));
  const bool is_nothing_removed = !write.body && write.expected == 0;  // It must not be there, and is not.
  if (is_nothing_removed) {
    Run seen(find);
    seen.bind(write.kind).bind(write.id);
    const int found = seen.step();
    if (found == SQLITE_DONE) return {};
    if (found != SQLITE_ROW) return tl::unexpected<Error>(error_of(found));
  } else if (sqlite3_changes(database.get()) == 1) {
    return {};
  }
  return fail(Error::Kind::kDenied, write.kind + " " + write.id + " was changed meanwhile");
}

SqliteStore::SqliteStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
SqliteStore::~SqliteStore() = default;

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& file, std::string gateway) {
  if (auto made = make_private(file); !made) return tl::unexpected<Error>(made.error());
  auto state = std::make_unique<State>();
  state->file = file;
  state->gateway = std::move(gateway);
  if (auto ready = state->set_up(); !ready) return tl::unexpected<Error>(ready.error());
  return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(state)));
}

Result<std::vector<StoreItem>> SqliteStore::load(std::string_view kind) {
  const std::lock_guard lock(state_->mutex);
  Run one(state_->load);
  one.bind(kind);
  std::vector<StoreItem> found;
  int code = SQLITE_ROW;
  while ((code = one.step()) == SQLITE_ROW) found.push_back({one.text(0), one.text(1), one.number(2), one.text(3), one.text(4)});
  if (code != SQLITE_DONE) return tl::unexpected<Error>(state_->error_of(code));
  return found;
}

Result<std::optional<StoreItem>> SqliteStore::find(std::string_view kind, std::string_view id) {
  const std::lock_guard lock(state_->mutex);
  Run one(state_->find);
  one.bind(kind).bind(id);
  const int code = one.step();
  if (code == SQLITE_DONE) return std::optional<StoreItem>();
  if (code != SQLITE_ROW) return tl::unexpected<Error>(state_->error_of(code));
  return std::optional<StoreItem>(StoreItem{one.text(0), one.text(1), one.number(2), one.text(3), one.text(4)});
}

Result<void> SqliteStore::write(const std::vector<StoreWrite>& writes) {
  if (auto checked = check_writes(writes); !checked) return checked;
  const std::lock_guard lock(state_->mutex);
  return state_->transact([&]() -> Result<void> {
    for (const StoreWrite& write : writes) {
      if (auto done = state_->write_one(write); !done) return done;
    }
    return {};
  });
}

Result<uint64_t> SqliteStore::take_numbers(std::string_view sequence, uint64_t count, uint64_t floor) {
  constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  const std::lock_guard lock(state_->mutex);
  uint64_t first = 1;
  auto done = state_->transact([&]() -> Result<void> {
    {
      Run one(state_->next_number);
      one.bind(sequence);
      const int code = one.step();
      if (code == SQLITE_ROW) first = one.number(0);
      else if (code != SQLITE_DONE) return tl::unexpected<Error>(state_->error_of(code));
    }
    if (floor >= first) first = floor + 1;
    if (first > kMost || count > kMost - first) return fail(Error::Kind::kInvalid, "store: the numbers of " + std::string(sequence) + " are used up");
    Run one(state_->put_number);
    one.bind(sequence).bind(first + count);
    const int code = one.step();
    if (code != SQLITE_DONE) return tl::unexpected<Error>(state_->error_of(code));
    return {};
  });
  if (!done) return tl::unexpected<Error>(done.error());
  return first;
}

// Removed rows are zeros by then (secure_delete); the log of writes holds what they were until it is cut off.
Result<void> SqliteStore::wipe_removed() {
  const std::lock_guard lock(state_->mutex);
  const auto busy = state_->ask("PRAGMA wal_checkpoint(TRUNCATE)");
  if (!busy) return tl::unexpected<Error>(busy.error());
  if (*busy != "0") return fail(Error::Kind::kUnavailable, "store " + state_->file + ": another process reads it, so its log cannot be cut off");
  return {};
}

std::string SqliteStore::name() const { return state_->file; }
bool SqliteStore::is_healthy() const { return state_->is_healthy; }

}  // namespace weir::store
