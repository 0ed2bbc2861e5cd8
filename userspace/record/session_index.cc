#include "record/session_index.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "record/files.h"

namespace weir::record {
namespace {

constexpr int kVersion = 2;             // Of the schema and of what the words mean: another one is made anew.
constexpr int kApplication = 0x57454958;
constexpr int kBusyTimeoutMs = 500;
constexpr int64_t kDayNs = 86'400'000'000'000;

// `word` has one document a session, its words as base 32, by number alone (no positions, no texts): that a document is taken out
// again needs its words, which `content` keeps.  `day` bounds the numbers of sessions that were opened on a day.
constexpr const char* kSchema =
    "CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE session (session INTEGER PRIMARY KEY, opened_ns INTEGER NOT NULL, is_ended INTEGER NOT NULL, is_cut INTEGER NOT NULL, is_unread INTEGER NOT NULL, is_locked INTEGER NOT NULL,"
    " part INTEGER NOT NULL, last_sequence INTEGER NOT NULL, day TEXT NOT NULL) STRICT;"
    "CREATE INDEX session_open ON session (session) WHERE is_ended = 0 OR is_unread = 1;"
    "CREATE INDEX session_cut ON session (session) WHERE is_cut = 1;"
    "CREATE INDEX session_locked ON session (session) WHERE is_locked = 1;"
    "CREATE TABLE content (session INTEGER PRIMARY KEY, words BLOB NOT NULL, line BLOB NOT NULL) STRICT;"
    "CREATE TABLE erased (session INTEGER PRIMARY KEY, part INTEGER NOT NULL, last_sequence INTEGER NOT NULL, day TEXT NOT NULL, is_due INTEGER NOT NULL) STRICT;"
    "CREATE INDEX erased_due ON erased (session) WHERE is_due = 1;"
    "CREATE TABLE day (day INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL) STRICT;"
    "CREATE VIRTUAL TABLE word USING fts5 (words, content='', detail=none, columnsize=0, tokenize='ascii');";

struct CloseDatabase { void operator()(sqlite3* database) const { sqlite3_close_v2(database); } };
struct FinishStatement { void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); } };
using DatabasePtr = std::unique_ptr<sqlite3, CloseDatabase>;
using StatementPtr = std::unique_ptr<sqlite3_stmt, FinishStatement>;

// 13 letters, all lower case or digits: one token of FTS5.
void append_token(std::string& text, Word word) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz234567";
  for (int shift = 60; shift >= 0; shift -= 5) text += kLetters[(word >> shift) & 31];
}
std::string tokens_of(const WordSet& words, std::string_view between) {
  std::string text;
  text.reserve(words.size() * 18);
  for (const Word word : words) {
    if (!text.empty()) text += between;
    append_token(text, word);
  }
  return text;
}

std::string blob_of(const WordSet& words) {
  std::string blob(words.size() * sizeof(Word), '\0');
  for (std::size_t i = 0; i < words.size(); ++i) store_le(MutableBytes(reinterpret_cast<std::byte*>(blob.data()), blob.size()), i * sizeof(Word), words[i]);
  return blob;
}
WordSet words_of(Bytes blob) {
  WordSet words(blob.size() / sizeof(Word));
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = load_le<Word>(blob, i * sizeof(Word));
  return words;
}

int64_t day_of(int64_t ns) { return ns / kDayNs - (ns % kDayNs < 0 ? 1 : 0); }
sqlite3_int64 number_of(uint64_t number) { return static_cast<sqlite3_int64>(std::min<uint64_t>(number, INT64_MAX)); }

// A run of a statement that ends when it goes.  What is bound is copied.
class Run {
 public:
  explicit Run(sqlite3_stmt* statement) : statement_(statement) {}
  ~Run() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  Run& text(std::string_view value) {
    is_bound_ = is_bound_ && sqlite3_bind_text64(statement_, ++index_, value.data() == nullptr ? "" : value.data(), value.size(), SQLITE_TRANSIENT, SQLITE_UTF8) == SQLITE_OK;
    return *this;
  }
  Run& blob(std::string_view value) {
    is_bound_ = is_bound_ && sqlite3_bind_blob64(statement_, ++index_, value.data() == nullptr ? "" : value.data(), value.size(), SQLITE_TRANSIENT) == SQLITE_OK;
    return *this;
  }
  Run& number(sqlite3_int64 value) {
    is_bound_ = is_bound_ && sqlite3_bind_int64(statement_, ++index_, value) == SQLITE_OK;
    return *this;
  }
  int step() { return is_bound_ ? sqlite3_step(statement_) : SQLITE_NOMEM; }
  [[nodiscard]] sqlite3_int64 number_at(int column) const { return sqlite3_column_int64(statement_, column); }
  [[nodiscard]] std::string_view bytes_at(int column) const {
    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    return bytes == nullptr ? std::string_view() : std::string_view(bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
  }

 private:
  sqlite3_stmt* statement_;
  int index_ = 0;
  bool is_bound_ = true;
};

constexpr const char* kErasedRow = "SELECT session, part, last_sequence, day FROM erased ";
IndexedSession erased_at(const Run& run) {
  IndexedSession one;
  one.session = static_cast<uint64_t>(run.number_at(0));
  one.is_ended = one.is_erased = true;
  one.part = static_cast<uint32_t>(run.number_at(1));
  one.last_sequence = static_cast<uint64_t>(run.number_at(2));
  one.day = std::string(run.bytes_at(3));
  return one;
}

}  // namespace

struct SessionIndex::State {
  std::string file;
  uint64_t inode = 0;
  DatabasePtr database;
  IndexKey key = IndexKey::plain({});

  Error error_of(int code) const {
    const std::string text = sqlite3_errmsg(database.get());
    switch (code & 0xff) {
      case SQLITE_CORRUPT:
      case SQLITE_NOTADB:
      case SQLITE_ERROR:    // No such table or column: none of ours.
      case SQLITE_MISMATCH:
      case SQLITE_CONSTRAINT: return {Error::Kind::kCorrupt, file + " is damaged: " + text, code};
      case SQLITE_BUSY:
      case SQLITE_LOCKED: return {Error::Kind::kUnavailable, file + " is held by another process: " + text, code};
      default: return {Error::Kind::kSystem, file + ": " + text, code};
    }
  }
  Result<void> execute(const char* sql) {
    const int code = sqlite3_exec(database.get(), sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return tl::unexpected<Error>(error_of(code));
    return {};
  }
  Result<StatementPtr> prepare(const std::string& sql) {
    sqlite3_stmt* made = nullptr;
    const int code = sqlite3_prepare_v2(database.get(), sql.c_str(), -1, &made, nullptr);
    if (code != SQLITE_OK) return tl::unexpected<Error>(error_of(code));
    return StatementPtr(made);
  }
  // Each row to `visit`, whose false ends it.
  Result<void> each(const std::string& sql, const std::function<void(Run&)>& bind, const std::function<Result<bool>(Run&)>& visit) {
    auto statement = prepare(sql);
    if (!statement) return tl::unexpected<Error>(statement.error());
    Run run(statement->get());
    bind(run);
    int code = SQLITE_ROW;
    while ((code = run.step()) == SQLITE_ROW) {
      const Result<bool> go_on = visit(run);
      if (!go_on) return tl::unexpected<Error>(go_on.error());
      if (!*go_on) return {};
    }
    if (code != SQLITE_DONE) return tl::unexpected<Error>(error_of(code));
    return {};
  }
  Result<sqlite3_int64> ask(const std::string& sql) {
    sqlite3_int64 value = 0;
    auto done = each(sql, [](Run&) {}, [&](Run& run) -> Result<bool> {
      value = run.number_at(0);
      return false;
    });
    if (!done) return tl::unexpected<Error>(done.error());
    return value;
  }

  Result<void> set_up(Mode mode, const KeyOpeners& openers);
  Result<void> make(const KeyOpeners& openers);
  Result<void> find_key(Mode mode, const KeyOpeners& openers);
  Result<std::string> line_of(sqlite3_int64 session, std::string_view stored) const {
    std::optional<std::string> line = key.open_row(static_cast<uint64_t>(session), stored);
    if (!line) return fail(Error::Kind::kCorrupt, file + ": the row of session " + std::to_string(session) + " was changed");
    return std::move(*line);
  }
  Result<void> put_meta(std::string_view name, std::string_view value) {
    return each("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", [&](Run& run) { run.text(name).blob(value); }, [](Run&) -> Result<bool> { return true; });
  }
  Result<std::string> meta(std::string_view name) {
    std::string value;
    auto done = each("SELECT value FROM meta WHERE name = ?", [&](Run& run) { run.text(name); }, [&](Run& run) -> Result<bool> {
      value = std::string(run.bytes_at(0));
      return true;
    });
    if (!done) return tl::unexpected<Error>(done.error());
    return value;
  }
  Result<IndexPosition> position() {
    auto text = meta("position");
    if (!text) return tl::unexpected<Error>(text.error());
    if (text->size() != sizeof(uint64_t) + sizeof(Digest)) return fail(Error::Kind::kCorrupt, file + " does not say how far it goes");
    IndexPosition at;
    at.entries = load_le<uint64_t>(as_bytes(*text));
    std::memcpy(at.mark.data(), text->data() + sizeof(uint64_t), sizeof(Digest));
    return at;
  }
  Result<void> put_position(const IndexPosition& at) {
    std::string text(sizeof(uint64_t) + sizeof(Digest), '\0');
    store_le(MutableBytes(reinterpret_cast<std::byte*>(text.data()), text.size()), 0, at.entries);
    std::memcpy(text.data() + sizeof(uint64_t), at.mark.data(), sizeof(Digest));
    return put_meta("position", text);
  }
  Result<void> remove(uint64_t session);
  Result<void> put(const IndexedSession& one);
  template <class Work>
  Result<void> transact(Work work) {
    if (auto begun = execute("BEGIN IMMEDIATE"); !begun) return begun;
    Result<void> done = work();
    if (done) done = execute("COMMIT");
    if (!done && sqlite3_get_autocommit(database.get()) == 0) (void)execute("ROLLBACK");
    return done;
  }
};

Result<void> SessionIndex::State::make(const KeyOpeners& openers) {
  auto done = transact([&]() -> Result<void> {
    if (auto made = execute(kSchema); !made) return made;
    if (auto set = put_meta("salt", random_hex(16)); !set) return set;
    if (auto set = put_meta("key", openers.empty() ? "" : openers.front()->first_id()); !set) return set;
    if (auto set = put_meta("keys", key_names(openers)); !set) return set;
    if (auto set = put_position({}); !set) return set;
    return execute(("PRAGMA application_id=" + std::to_string(kApplication) + "; PRAGMA user_version=" + std::to_string(kVersion)).c_str());
  });
  if (!done) return done;
  return find_key(Mode::kWrite, openers);
}

Result<void> SessionIndex::State::find_key(Mode mode, const KeyOpeners& openers) {
  if (mode == Mode::kForget) return {};
  const auto salt = meta("salt"), id = meta("key"), keys = meta("keys");
  for (const auto* text : {&salt, &id, &keys}) {
    if (!*text) return tl::unexpected<Error>(text->error());
  }
  if (salt->empty()) return fail(Error::Kind::kCorrupt, file + " has no salt");
  if (mode == Mode::kWrite && *keys != key_names(openers)) return fail(Error::Kind::kCorrupt, file + " was made under other keys than the archives have now");
  if (id->empty()) {
    key = IndexKey::plain(*salt);
    return {};
  }
  std::optional<IndexKey> found = IndexKey::of(openers, *id, *salt);
  if (!found) return fail(Error::Kind::kDenied, file + " opens with key " + *id + (openers.empty() ? ", and none was given" : ", not with what was given (" + key_names(openers) + ")"));
  key = std::move(*found);
  return {};
}

Result<void> SessionIndex::State::set_up(Mode mode, const KeyOpeners& openers) {
  const bool is_writer = mode != Mode::kRead;
  sqlite3_busy_timeout(database.get(), kBusyTimeoutMs);
  sqlite3_db_config(database.get(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  if (auto set = execute("PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA cache_size=-16384; PRAGMA secure_delete=ON"); !set) return set;
  if (is_writer) {
    // A power cut may take the last sessions out again, not damage it: the position goes with them.
    if (auto set = execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA journal_size_limit=67108864"); !set) return set;
  }
  const auto version = ask("PRAGMA user_version"), application = ask("PRAGMA application_id"), tables = ask("SELECT count(*) FROM sqlite_schema");
  for (const auto* answer : {&version, &application, &tables}) {
    if (!*answer) return tl::unexpected<Error>(answer->error());
  }
  if (mode == Mode::kWrite && *tables == 0) return make(openers);
  if (*application != kApplication || *version != kVersion) return fail(Error::Kind::kCorrupt, file + " was made by another version of Weir");
  return find_key(mode, openers);
}

SessionIndex::SessionIndex(std::unique_ptr<State> state) : state_(std::move(state)) {}
SessionIndex::~SessionIndex() = default;

std::string index_path(const std::string& state) { return state + "/index/sessions.db"; }

Result<void> remove_index(const std::string& file) {
  for (const char* tail : {"", "-wal", "-shm", "-journal"}) {
    if (::unlink((file + tail).c_str()) != 0 && errno != ENOENT) return system_error(file + tail);
  }
  return {};
}

Result<std::unique_ptr<SessionIndex>> SessionIndex::open(const std::string& file, Mode mode, const KeyOpeners& openers) {
  const bool is_writer = mode != Mode::kRead;
  if (mode == Mode::kWrite) {
    PosixFiles files;
    if (auto made = files.make_folder(folder_of(file)); !made) return tl::unexpected<Error>(made.error());
    auto made = open_file(file, O_RDWR | O_CREAT | O_NOFOLLOW);
    if (!made) return tl::unexpected<Error>(made.error());
    // Made by root, it is the engine's all the same: its user owns the state.  SQLite makes what stands beside it alike.
    struct stat state{};
    if (::geteuid() == 0 && ::stat(folder_of(folder_of(file)).c_str(), &state) == 0) {
      if (::fchown(made->get(), state.st_uid, state.st_gid) != 0 || ::chown(folder_of(file).c_str(), state.st_uid, state.st_gid) != 0) return system_error(file);
    }
  }
  struct stat status{};
  if (::stat(file.c_str(), &status) != 0) return fail(errno == ENOENT ? Error::Kind::kNotFound : Error::Kind::kSystem, file + ": " + std::strerror(errno), errno);
  auto state = std::make_unique<State>();
  state->file = file;
  state->inode = status.st_ino;
  // A reader of a copy leaves no file beside it: without a -wal nobody writes, and nothing but the file is needed.
  std::string name = "file:";
  for (const char c : file) {
    constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-_.";
    char escaped[4];
    std::snprintf(escaped, sizeof escaped, "%%%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    name += kPlain.find(c) != std::string_view::npos ? std::string(1, c) : std::string(escaped);
  }
  if (!is_writer && !exists(file + "-wal")) name += "?immutable=1";
  sqlite3* made = nullptr;
  const int flags = (is_writer ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_URI | SQLITE_OPEN_NOFOLLOW;
  const int code = sqlite3_open_v2(name.c_str(), &made, flags, nullptr);
  state->database.reset(made);
  if (code != SQLITE_OK) return tl::unexpected<Error>(state->error_of(code));
  if (auto ready = state->set_up(mode, openers); !ready) return tl::unexpected<Error>(ready.error());
  return std::unique_ptr<SessionIndex>(new SessionIndex(std::move(state)));
}

const IndexKey& SessionIndex::key() const { return state_->key; }

bool SessionIndex::is_replaced() const {
  struct stat status{};
  return ::stat(state_->file.c_str(), &status) != 0 || status.st_ino != state_->inode;
}

Result<IndexPosition> SessionIndex::position() { return state_->position(); }

Result<IndexCounts> SessionIndex::counts() {
  IndexCounts counts;
  // count(*) of a million rows takes as long as a search: the words say it, since every session has one of two.
  const std::pair<uint64_t*, const char*> all[] = {{&counts.sessions, "SELECT count(*) FROM session"},
                                                   {&counts.open, "SELECT count(*) FROM session WHERE is_ended = 0"},
                                                   {&counts.cut, "SELECT count(*) FROM session WHERE is_cut = 1"},
                                                   {&counts.unread, "SELECT count(*) FROM session WHERE is_unread = 1"},
                                                   {&counts.locked, "SELECT count(*) FROM session WHERE is_locked = 1"}};
  for (const auto& [place, sql] : all) {
    const auto value = state_->ask(sql);
    if (!value) return tl::unexpected<Error>(value.error());
    *place = static_cast<uint64_t>(*value);
  }
  counts.bytes = file_size(state_->file).value_or(0);
  return counts;
}

Result<std::optional<IndexedSession>> SessionIndex::find(uint64_t session, bool with_words) {
  std::optional<IndexedSession> found;
  auto done = state_->each(std::string("SELECT s.opened_ns, s.is_ended, s.is_cut, s.is_unread, s.is_locked, s.part, s.last_sequence, s.day") + (with_words ? ", c.words, c.line" : "") + " FROM session s" +
                               (with_words ? " JOIN content c USING (session)" : "") + " WHERE s.session = ?",
                           [&](Run& run) { run.number(number_of(session)); },
                           [&](Run& run) -> Result<bool> {
                             IndexedSession& one = found.emplace();
                             one.session = session;
                             one.opened_ns = run.number_at(0);
                             one.is_ended = run.number_at(1) != 0;
                             one.is_cut = run.number_at(2) != 0;
                             one.is_unread = run.number_at(3) != 0;
                             one.is_locked = run.number_at(4) != 0;
                             one.part = static_cast<uint32_t>(run.number_at(5));
                             one.last_sequence = static_cast<uint64_t>(run.number_at(6));
                             one.day = std::string(run.bytes_at(7));
                             if (with_words) {
                               one.words = words_of(as_bytes(run.bytes_at(8)));
                               auto line = state_->line_of(number_of(session), run.bytes_at(9));
                               if (!line) return tl::unexpected<Error>(line.error());
                               one.line = std::move(*line);
                             }
                             return true;
                           });
  if (done && !found) {
    done = state_->each(std::string(kErasedRow) + "WHERE session = ?", [&](Run& run) { run.number(number_of(session)); }, [&](Run& run) -> Result<bool> {
      found = erased_at(run);
      return true;
    });
  }
  if (!done) return tl::unexpected<Error>(done.error());
  return found;
}

Result<std::vector<IndexedSession>> SessionIndex::open_sessions() {
  std::vector<IndexedSession> all;
  std::vector<uint64_t> numbers;
  auto done = state_->each("SELECT session FROM session WHERE is_ended = 0 OR is_unread = 1", [](Run&) {}, [&](Run& run) -> Result<bool> {
    numbers.push_back(static_cast<uint64_t>(run.number_at(0)));
    return true;
  });
  if (!done) return tl::unexpected<Error>(done.error());
  for (const uint64_t number : numbers) {
    auto one = find(number, false);
    if (!one) return tl::unexpected<Error>(one.error());
    if (*one) all.push_back(std::move(**one));
  }
  return all;
}

Result<std::vector<IndexedSession>> SessionIndex::forgotten(std::size_t count_max) {
  std::vector<IndexedSession> all;
  auto done = state_->each(std::string(kErasedRow) + "WHERE is_due = 1 LIMIT ?", [&](Run& run) { run.number(number_of(count_max)); }, [&](Run& run) -> Result<bool> {
    all.push_back(erased_at(run));
    return true;
  });
  if (!done) return tl::unexpected<Error>(done.error());
  return all;
}

Result<void> SessionIndex::begin_reading() { return state_->execute("BEGIN"); }
Result<void> SessionIndex::end_reading() { return state_->execute("COMMIT"); }

Result<void> SessionIndex::select(const Query& query, const std::function<Result<bool>(const Hit&)>& visit) {
  State& state = *state_;
  sqlite3_int64 first = 0, below = number_of(query.before);
  if (query.since_ns || query.until_ns) {
    const int64_t from = query.since_ns ? day_of(*query.since_ns) : INT64_MIN, to = query.until_ns ? day_of(*query.until_ns) : INT64_MAX;
    sqlite3_int64 last = -1;
    auto bounds = state.each("SELECT min(first), max(last) FROM day WHERE day BETWEEN ? AND ? HAVING count(*) > 0", [&](Run& run) { run.number(from).number(to); }, [&](Run& run) -> Result<bool> {
      first = run.number_at(0);
      last = run.number_at(1);
      return true;
    });
    if (!bounds) return bounds;
    if (last < first) return {};
    if (last < INT64_MAX) below = std::min(below, last + 1);
  }
  if (query.session) {
    first = std::max(first, number_of(*query.session));
    below = std::min(below, number_of(*query.session) + 1);
  }
  if (first >= below) return {};
  std::vector<sqlite3_int64> cut;  // They are few, and stand beside what the words find.
  auto all_cut = state.each("SELECT session FROM session WHERE is_cut = 1 AND session >= ? AND session < ? ORDER BY session DESC", [&](Run& run) { run.number(first).number(below); }, [&](Run& run) -> Result<bool> {
    cut.push_back(run.number_at(0));
    return true;
  });
  if (!all_cut) return all_cut;
  auto row = state.prepare("SELECT s.opened_ns, s.is_ended, s.is_cut, s.is_unread, s.is_locked, c.line FROM session s JOIN content c USING (session) WHERE s.session = ?");
  if (!row) return tl::unexpected<Error>(row.error());
  const auto show = [&](sqlite3_int64 session) -> Result<bool> {
    Run run(row->get());
    run.number(session);
    const int code = run.step();
    if (code == SQLITE_DONE) return true;
    if (code != SQLITE_ROW) return tl::unexpected<Error>(state.error_of(code));
    const int64_t opened = run.number_at(0);
    const bool fits_time = (!query.since_ns || opened >= *query.since_ns) && (!query.until_ns || opened < *query.until_ns);
    if (!fits_time || run.number_at(1) == 0 || run.number_at(3) != 0) return true;
    const Result<std::string> line = state.line_of(session, run.bytes_at(5));
    if (!line) return tl::unexpected<Error>(line.error());
    return visit({static_cast<uint64_t>(session), run.number_at(2) != 0, run.number_at(4) != 0, opened, *line});
  };
  auto next_cut = cut.begin();
  bool go_on = true;
  auto done = state.each("SELECT rowid FROM word WHERE word MATCH ? AND rowid >= ? AND rowid < ? ORDER BY rowid DESC",
                         [&](Run& run) { run.text(tokens_of(query.words, " AND ")).number(first).number(below); },
                         [&](Run& run) -> Result<bool> {
                           const sqlite3_int64 session = run.number_at(0);
                           for (; next_cut != cut.end() && *next_cut > session; ++next_cut) {
                             const Result<bool> more = show(*next_cut);
                             if (!more || !*more) return go_on = false, more;
                           }
                           if (next_cut != cut.end() && *next_cut == session) ++next_cut;
                           const Result<bool> more = show(session);
                           if (!more || !*more) go_on = false;
                           return more;
                         });
  if (!done) return done;
  for (; go_on && next_cut != cut.end(); ++next_cut) {
    const Result<bool> more = show(*next_cut);
    if (!more) return tl::unexpected<Error>(more.error());
    go_on = *more;
  }
  return {};
}

Result<void> SessionIndex::State::remove(uint64_t session) {
  std::string words;
  bool is_there = false;
  auto found = each("SELECT words FROM content WHERE session = ?", [&](Run& run) { run.number(number_of(session)); }, [&](Run& run) -> Result<bool> {
    is_there = true;
    words = tokens_of(words_of(as_bytes(run.bytes_at(0))), " ");
    return true;
  });
  if (!found || !is_there) return found;
  const auto nothing = [](Run&) -> Result<bool> { return true; };
  if (auto done = each("INSERT INTO word (word, rowid, words) VALUES ('delete', ?, ?)", [&](Run& run) { run.number(number_of(session)).text(words); }, nothing); !done) return done;
  for (const char* sql : {"DELETE FROM content WHERE session = ?", "DELETE FROM session WHERE session = ?"}) {
    if (auto done = each(sql, [&](Run& run) { run.number(number_of(session)); }, nothing); !done) return done;
  }
  return {};
}

Result<void> SessionIndex::State::put(const IndexedSession& one) {
  const auto nothing = [](Run&) -> Result<bool> { return true; };
  const sqlite3_int64 session = number_of(one.session);
  if (auto done = remove(one.session); !done) return done;
  if (one.is_erased) {
    return each("INSERT OR REPLACE INTO erased (session, part, last_sequence, day, is_due) VALUES (?, ?, ?, ?, 0)",
                [&](Run& run) { run.number(session).number(one.part).number(number_of(one.last_sequence)).text(one.day); }, nothing);
  }
  auto done = each("DELETE FROM erased WHERE session = ?", [&](Run& run) { run.number(session); }, nothing);
  if (!done) return done;
  done = each("INSERT INTO session (session, opened_ns, is_ended, is_cut, is_unread, is_locked, part, last_sequence, day) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [&](Run& run) {
    run.number(session).number(one.opened_ns).number(one.is_ended ? 1 : 0).number(one.is_cut ? 1 : 0).number(one.is_unread ? 1 : 0).number(one.is_locked ? 1 : 0).number(one.part).number(number_of(one.last_sequence)).text(one.day);
  }, nothing);
  if (!done) return done;
  done = each("INSERT INTO content (session, words, line) VALUES (?, ?, ?)", [&](Run& run) { run.number(session).blob(blob_of(one.words)).blob(key.seal_row(one.session, one.line)); }, nothing);
  if (!done) return done;
  done = each("INSERT INTO word (rowid, words) VALUES (?, ?)", [&](Run& run) { run.number(session).text(tokens_of(one.words, " ")); }, nothing);
  if (!done) return done;
  return each("INSERT INTO day (day, first, last) VALUES (?, ?, ?) ON CONFLICT (day) DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)",
              [&](Run& run) { run.number(day_of(one.opened_ns)).number(session).number(session); }, nothing);
}

Result<void> SessionIndex::write(const std::vector<IndexedSession>& sessions, const IndexPosition& from, const IndexPosition& to) {
  State& state = *state_;
  return state.transact([&]() -> Result<void> {
    const auto at = state.position();
    if (!at) return tl::unexpected<Error>(at.error());
    if (!(*at == from)) return fail(Error::Kind::kDenied, state.file + " was written to meanwhile");
    for (const IndexedSession& one : sessions) {
      if (auto done = state.put(one); !done) return done;
    }
    return state.put_position(to);
  });
}

Result<void> SessionIndex::forget(std::span<const uint64_t> sessions) {
  State& state = *state_;
  auto done = state.transact([&]() -> Result<void> {
    for (const uint64_t session : sessions) {
      auto kept = state.each("INSERT OR REPLACE INTO erased (session, part, last_sequence, day, is_due) SELECT session, part, last_sequence, day, 1 FROM session WHERE session = ?",
                             [&](Run& run) { run.number(number_of(session)); }, [](Run&) -> Result<bool> { return true; });
      if (!kept) return kept;
      if (auto removed = state.remove(session); !removed) return removed;
    }
    // FTS5 takes words out when it merges: in the transaction, so that none stays behind.
    return state.execute("INSERT INTO word (word) VALUES ('optimize')");
  });
  if (!done) return done;
  int busy = 0;
  done = state.each("PRAGMA wal_checkpoint(TRUNCATE)", [](Run&) {}, [&](Run& run) -> Result<bool> {
    busy = static_cast<int>(run.number_at(0));
    return true;
  });
  if (done && busy != 0) return fail(Error::Kind::kUnavailable, state.file + ": somebody reads it just now; what was forgotten is gone from it once nobody does");
  return done;
}

Result<void> SessionIndex::clear() {
  State& state = *state_;
  return state.transact([&]() -> Result<void> {
    if (auto done = state.execute("DELETE FROM session; DELETE FROM content; DELETE FROM day; DELETE FROM erased; INSERT INTO word (word) VALUES ('delete-all')"); !done) return done;
    return state.put_position({});
  });
}

Result<void> forget_sessions(const std::string& file, std::span<const uint64_t> sessions) {
  if (!exists(file)) return {};
  auto index = SessionIndex::open(file, SessionIndex::Mode::kForget);
  Result<void> done = index ? (*index)->forget(sessions) : tl::unexpected<Error>(index.error());
  if (done || done.error().kind != Error::Kind::kCorrupt) return done;
  if (index) index->reset();
  return remove_index(file);
}

}  // namespace weir::record
