// A store that several gateways share: a PostgreSQL database of their own.  Two connections: one for calls, one that listens,
// on a thread of the store's own, which also brings both back when they break.
// Calls while the database is away fail at once; one that is under way, in kCallLimit at the latest.
// A change by another gateway is told when the server notifies; without a notice, within kPollEvery; after a connection
// was lost, as soon as the database can be reached again, kNoticedWithin at the latest.
// Must never: tell of this process' own writes, but for those whose outcome it was not told; lose a change of another gateway.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "core/store.h"
#include "store/postgres_link.h"

namespace weir::store {

inline constexpr std::chrono::milliseconds kCallLimit{3'000};
inline constexpr std::chrono::milliseconds kPollEvery{1'000};
inline constexpr std::chrono::milliseconds kRetryMax{2'000};
// A connection that dies without a word is found by a poll that is not answered; then it is made again.
inline constexpr std::chrono::milliseconds kNoticedWithin = kPollEvery + kCallLimit + kRetryMax + kCallLimit;

class PostgresStore final : public Store {
 public:
  using Notice = std::function<void(const std::string&)>;  // From the store's thread: it went away, it is back.
  // Errors: kUnavailable, kInvalid (a schema of a later version), kSystem (may not make its tables).
  [[nodiscard]] static Result<std::unique_ptr<PostgresStore>> open(PostgresLogin login, Notice notice);
  ~PostgresStore() override;
  PostgresStore(const PostgresStore&) = delete;
  PostgresStore& operator=(const PostgresStore&) = delete;

  // Any thread, one at a time (they lock).
  Result<std::vector<StoreItem>> load(std::string_view kind) override;
  Result<std::optional<StoreItem>> find(std::string_view kind, std::string_view id) override;
  Result<void> write(const std::vector<StoreWrite>& writes) override;
  Result<uint64_t> take_numbers(std::string_view sequence, uint64_t count, uint64_t floor) override;
  void watch(std::string kind, OnChange on_change) override;
  std::string name() const override;
  bool is_healthy() const override;

 private:
  struct State;
  explicit PostgresStore(std::unique_ptr<State> state);
  const std::unique_ptr<State> state_;
};

}  // namespace weir::store
