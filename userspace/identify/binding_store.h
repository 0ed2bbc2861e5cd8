// Bindings and used tokens as items of the store, which several gateways may share.
//   binding         id: the address.  One item an address: of two gateways that bind it at once, one is told that it came second.
//   spent_token     id: the token's key.  So a token binds one address over all gateways.
//   static_binding  id: GATEWAY/ID.  Each gateway has those of its own configuration.
// Must never: write what somebody else has changed since it was read.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "core/store.h"
#include "identify/binding_file.h"

namespace weir::identify {

inline constexpr const char* kBindingKind = "binding";
inline constexpr const char* kSpentKind = "spent_token";
inline constexpr const char* kStaticKind = "static_binding";

class BindingStore {
 public:
  using Key = std::pair<std::string, std::string>;  // Kind and id.

  BindingStore(Store& store, std::string gateway) : store_(store), gateway_(std::move(gateway)) {}

  // All of this gateway's, also what has ended.  Errors: those of Store, kCorrupt for what is no binding.
  [[nodiscard]] Result<BindingRecords> load();
  // What takes the store from `before` to `after`; points into `after`.
  struct Change {
    StoreWrite write;
    uint64_t* version;  // Of what is written; null: it is removed.
  };
  [[nodiscard]] std::vector<Change> differences(const BindingRecords& before, BindingRecords& after) const;
  // Post: all done, and `after` knows its new versions; or nothing is.  Errors: those of Store; kDenied: refresh() what is in it.
  [[nodiscard]] Result<void> write(const std::vector<Change>& changes);
  // Each by itself; what somebody else has changed meanwhile is left as it is.  Post: what could not be written.
  [[nodiscard]] std::vector<StoreWrite> write_each(std::vector<StoreWrite> writes);
  // `records` as the store has these now.  Errors: those of Store; what is no binding counts as gone.
  [[nodiscard]] Result<void> refresh(BindingRecords& records, const std::vector<Key>& keys);
  [[nodiscard]] Result<void> reload_spent(BindingRecords& records);
  void apply(BindingRecords& records, const Key& key, const StoreItem* item) const;  // Null: it is not there.
  // What was in state/bindings.json, as far as the store has not got it.
  [[nodiscard]] Result<void> take_over(BindingRecords records);
  // Numbers that no gateway was given or will be.
  [[nodiscard]] Result<uint64_t> take_ids(uint64_t count, uint64_t floor) { return store_.take_numbers(kBindingKind, count, floor); }

  [[nodiscard]] Key key_of(const Binding& binding) const;
  [[nodiscard]] static Key key_of(const SpentToken& token);

 private:
  bool add(BindingRecords& records, const Key& key, const StoreItem& item) const;
  Store& store_;
  const std::string gateway_;
};

}  // namespace weir::identify
