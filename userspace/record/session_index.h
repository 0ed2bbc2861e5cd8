// What sealed sessions can be looked for by, in one SQLite file: `state/index/sessions.db`.  Made from the archives, in the order
// of the evidence log, and made again from them when it is missing, damaged, older or of another log.
//
// It is a cache and never evidence: nothing is verified against it, and what it says was not signed.  Of what was said in a
// session it holds hashes of words alone; a session's line (what `weir sessions` shows) says what its manifests say.  Of an encrypted
// record both are under a key that does not stand on this disk (index_key.h).
// Must never: hold up sealing, or hold anything of a session after forget().
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "record/index_key.h"
#include "record/keys.h"
#include "record/session_words.h"

namespace weir::record {

std::string index_path(const std::string& state);        // state/index/sessions.db

// One session as far as it is sealed.
struct IndexedSession {
  uint64_t session = 0;
  int64_t opened_ns = 0;
  bool is_ended = false;
  bool is_cut = false;          // It may have other words too: who looks for one has to read its archives.
  bool is_erased = false;       // Of it nothing is known but that it was sealed to its end: no words, no line.
  bool is_unread = false;       // An archive could not be read: `line`, `words` are not to be believed.
  bool is_locked = false;       // An archive is encrypted, and no key opened it: of its events nothing is known.
  uint32_t part = 1;            // The newest.
  uint64_t last_sequence = 0;
  std::string day;              // Of its archives, below archive/: "2027/03/09".
  WordSet words{};
  std::string line{};
};

// How far the evidence log was read: so many entries, the last of which hashes to `mark`.
struct IndexPosition {
  uint64_t entries = 0;
  Digest mark{};
  friend bool operator==(const IndexPosition&, const IndexPosition&) = default;
};

struct IndexCounts { uint64_t sessions = 0, open = 0, cut = 0, unread = 0, locked = 0, bytes = 0; };

class SessionIndex {
 public:
  enum class Mode : uint8_t { kRead, kWrite, kForget };   // kForget: needs no key, and is for nothing else.
  // kWrite makes it if it is not there.  kNotFound (kRead): it is not there.  kCorrupt: it is damaged, of another version, none of
  // ours, or (kWrite) not made under these keys: remove_index() and begin again.  kDenied (kRead): none of the keys opens it.
  // kUnavailable: another process holds it now.
  static Result<std::unique_ptr<SessionIndex>> open(const std::string& file, Mode, const KeyOpeners& = {});
  ~SessionIndex();

  [[nodiscard]] const IndexKey& key() const;
  [[nodiscard]] bool is_replaced() const;                 // The file is not the one that was opened any more.
  Result<IndexPosition> position();
  Result<IndexCounts> counts();
  Result<std::optional<IndexedSession>> find(uint64_t session, bool with_words = true);
  Result<std::vector<IndexedSession>> open_sessions();    // Not ended, or unread; without words and lines.
  Result<std::vector<IndexedSession>> forgotten(std::size_t count_max);   // And not looked at since: what is left of them, if anything, is to be read.

  // All readings between the two see one state.
  Result<void> begin_reading();
  Result<void> end_reading();

  struct Query {
    WordSet words{};
    std::optional<int64_t> since_ns{}, until_ns{};        // Opened in [since, until).
    uint64_t before = UINT64_MAX;                         // Numbers below it.
    std::optional<uint64_t> session{};
  };
  struct Hit { uint64_t session = 0; bool is_cut = false; bool is_locked = false; int64_t opened_ns = 0; const std::string& line; };
  // Sessions that have ended and can be told, the highest number first; those that are cut whether they have the words or not.  False: enough.
  Result<void> select(const Query&, const std::function<Result<bool>(const Hit&)>&);

  // Replaces what is known of these sessions and goes on from `from` to `to`.  kDenied: the position is not `from` (any more);
  // nothing is written then.
  Result<void> write(const std::vector<IndexedSession>&, const IndexPosition& from, const IndexPosition& to);
  // Of these sessions nothing is left in the file or beside it but number, day and part (their archives' names, which the evidence
  // log says too).  Pre: what is to go of them is gone, archives or keys: what is still there, such as a manifest, is put in again by the
  // feeder.  Sessions that are not in it are passed over: call again as often as you like.  kUnavailable: somebody reads just now,
  // and what was forgotten may still stand in the file's log; call again.
  Result<void> forget(std::span<const uint64_t> sessions);
  // As new, and to be made again.
  Result<void> clear();

 private:
  struct State;
  explicit SessionIndex(std::unique_ptr<State>);
  std::unique_ptr<State> state_;
};

// SessionIndex::forget() of the index of a state, index_path(): for who deletes.  No file: done.  One that is damaged is removed (it is made
// again from what is left).  Another process may have it open.
Result<void> forget_sessions(const std::string& file, std::span<const uint64_t> sessions);

// The file, and what SQLite keeps beside it.
Result<void> remove_index(const std::string& file);

}  // namespace weir::record
