// What the cores share about live sessions: numbers, who may cancel whom, who can be cut.  Off the data
// path: touched at the start and end of a session and for cancel requests.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "core/address.h"
#include "core/identity.h"

namespace weir::session {

struct LiveSession {
  uint64_t id = 0;
  uint32_t core = 0;
  std::string target;
  IdentityPtr identity;
  Endpoint client, server;
  int64_t opened_ns = 0;
};

class Directory {
 public:
  explicit Directory(uint64_t next_session) : next_(next_session) {}

  // Session numbers have no gaps: one that is taken is recorded.
  uint64_t take_number() { return next_.fetch_add(1); }

  void enter(LiveSession session);
  // It is known by now who session `id` is.
  void identify(uint64_t id, const IdentityPtr& identity);
  void leave(uint64_t id);

  // `key` is what a cancel request for session `id` carries (PostgreSQL BackendKeyData).
  void publish_cancel_key(uint64_t id, Bytes key);
  // True: `key` belongs to a live session of the same target and subject.
  [[nodiscard]] bool may_cancel(Bytes key, std::string_view target, std::string_view subject) const;

  // The same where the address says nobody's name: `key` belongs to a live session of the target from `client`.
  [[nodiscard]] bool may_cancel_from(Bytes key, std::string_view target, const Address& client) const;

  // A cancel request with that key was let through: who holds the session's command withdraws it.
  void note_cancel(Bytes key, std::string_view target);
  // True once for each such request.
  [[nodiscard]] bool take_cancel(uint64_t id);

  [[nodiscard]] std::vector<LiveSession> list() const;
  [[nodiscard]] std::optional<LiveSession> find(uint64_t id) const;
  [[nodiscard]] std::size_t count() const;

 private:
  struct Entry {
    LiveSession session;
    std::string cancel_key;   // With the target, as in by_key_.
    bool is_cancelled = false;
  };
  std::atomic<uint64_t> next_;
  mutable std::mutex mutex_;
  std::unordered_map<uint64_t, Entry> sessions_;
  std::unordered_map<std::string, uint64_t> by_key_;
};

}  // namespace weir::session
