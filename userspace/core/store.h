// What outlives the process and is not the record: bindings, tickets, alerts, changes that wait for a second person, bypasses,
// uses of grants.  Small items, each a kind, an id and a JSON text; one gateway's SQLite file, or a PostgreSQL that several
// gateways share.
// Must never: hold a token, a key, or a statement that the record does not hold as well; be asked on a core.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir {

struct StoreItem {
  std::string kind;      // "binding", "ticket", ...: [a-z_]{1,32}
  std::string id;        // Unique in its kind.  1 to 512 bytes of UTF-8.
  uint64_t version = 0;  // From 1, one more with each write.
  std::string gateway;   // Whose write this version was: Config::name.
  std::string body;      // JSON, at most kStoreBodyMax bytes.
};
inline constexpr std::size_t kStoreBodyMax = 2u << 20;

// One write.  `expected` is the version that the writer saw: 0 = there is none yet.
struct StoreWrite {
  std::string kind, id;
  uint64_t expected = 0;
  std::optional<std::string> body;  // Nothing: the item is removed.
};

class Store {
 public:
  virtual ~Store() = default;

  // All of a kind, by id.  Errors: kUnavailable (the database does not answer), kCorrupt, kSystem.
  [[nodiscard]] virtual Result<std::vector<StoreItem>> load(std::string_view kind) = 0;
  [[nodiscard]] virtual Result<std::optional<StoreItem>> find(std::string_view kind, std::string_view id) = 0;

  // All of `writes` or none; durable when it returns.  Several gateways may write at once: who comes second is told.
  // Errors: kDenied: some item is not at its expected version, so nothing was written (read it again, decide again);
  // kInvalid: a name or body that may not be; kUnavailable, kSystem: nothing was written, or it is unknown whether it was.
  [[nodiscard]] virtual Result<void> write(const std::vector<StoreWrite>& writes) = 0;

  // The first of `count` numbers of a sequence that nobody was given or will be, above `floor`, over all gateways and restarts.
  [[nodiscard]] virtual Result<uint64_t> take_numbers(std::string_view sequence, uint64_t count, uint64_t floor) = 0;

  // `on_change` is told of items that another gateway wrote (`item`) or removed (`item.body` empty, its version the last one),
  // on a thread of the store's, soon after; after an interruption of every item of the kinds watched that is not as it was.
  // Never told of this gateway's own writes.  Pre: before the first write of that kind; on_change does not call watch().
  using OnChange = std::function<void(const StoreItem& item)>;
  virtual void watch(std::string kind, OnChange on_change) = 0;

  // What was removed is not on its disk any more either, as far as the store can see to that.  Errors: kUnavailable, kSystem.
  [[nodiscard]] virtual Result<void> wipe_removed() { return {}; }

  // For people: "state/store.db", "postgresql://db.example/weir"; no password.
  [[nodiscard]] virtual std::string name() const = 0;
  // False: the last call failed; then what depends on it says so.
  [[nodiscard]] virtual bool is_healthy() const = 0;
};

}  // namespace weir
