// How often each grant admitted a command that passed, when last, for whom: so that a grant which nobody uses can be taken away.
// A core counts in memory of its own (GrantUseCounter), and hands over what it has about once a second; GrantUses adds it up and
// keeps it in the store.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/config.h"
#include "core/identity.h"
#include "core/store.h"

namespace weir::session {

struct GrantUse {
  std::string grant;
  uint64_t count = 0;
  std::chrono::sys_seconds since{};   // When a gateway first had this grant in force, and began to count.
  std::chrono::sys_seconds last{};    // 0: never.
  std::string subject;                // Who used it last.
};

// Of all cores, and of all gateways on one store.  Any thread, but for load() and save(), which ask the store: never on a core.
class GrantUses {
 public:
  static constexpr const char* kKind = "grant_use";

  // Pre: `store` outlives it.
  GrantUses(Store& store, std::string gateway);
  ~GrantUses();
  GrantUses(const GrantUses&) = delete;
  GrantUses& operator=(const GrantUses&) = delete;

  // Once, at the start.  Errors as Store::load.
  [[nodiscard]] Result<void> load();
  // Of a configuration that comes into force: what was never seen is counted from `now` on.
  void set_grants(const std::vector<GrantConfig>& grants, std::chrono::sys_seconds now);
  void add(const std::vector<GrantUse>& uses);
  // What has changed since it was written.  On an error it is tried again with the next call.
  [[nodiscard]] Result<void> save();
  // One grant's, added up over all gateways.  Never seen: `since` is 0.
  [[nodiscard]] GrantUse of(std::string_view grant) const;

 private:
  struct Item {
    GrantUse use;
    uint64_t version = 0;             // As it is stored; 0: not yet.
    bool is_changed = false;
  };
  [[nodiscard]] std::string id_of(std::string_view grant) const { return gateway_ + "/" + std::string(grant); }
  void take(const StoreItem& item);

  // A store tells of changes as long as it lives, which is longer than this.
  struct Listener {
    std::mutex mutex;
    GrantUses* uses = nullptr;
  };

  Store& store_;
  const std::string gateway_;
  const std::shared_ptr<Listener> listener_ = std::make_shared<Listener>();
  mutable std::mutex mutex_;
  std::map<std::string, Item, std::less<>> items_;   // By id: "<gateway>/<grant>".
};

// One core's.  note() takes no lock and, for a grant of the configuration in force, does not allocate.
class GrantUseCounter {
 public:
  explicit GrantUseCounter(GrantUses* uses) : uses_(uses) {}   // Null: nobody counts.

  void set_grants(const std::vector<GrantConfig>& grants);
  // `number`: the place of the grant that the session's own policy gave it, which a reload may have changed.
  void note(std::string_view grant, uint32_t number, const IdentityPtr& by, std::chrono::sys_time<std::chrono::nanoseconds> at);
  // Hands over, if there is anything and the last time is a second ago.
  void flush(std::chrono::sys_time<std::chrono::nanoseconds> now, bool at_once = false);

 private:
  struct Slot {
    std::string grant;
    uint64_t count = 0;
    std::chrono::sys_time<std::chrono::nanoseconds> last{};
    IdentityPtr by;
  };
  GrantUses* const uses_;
  std::vector<Slot> slots_;            // By place in the configuration.
  bool has_any_ = false;
  std::chrono::sys_time<std::chrono::nanoseconds> flushed_{};
};

}  // namespace weir::session
