// Bindings by where they are: who is behind an address, in one look for each length of prefix that there is (and there are few),
// however many bindings there are.  Immutable once built.
// Must never: let a static binding go before an address binding that lives, or a shorter prefix before a longer one.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "core/address.h"
#include "core/identity.h"
#include "identify/binding_file.h"

namespace weir::identify {

class BindingIndex {
 public:
  // Pre: `bindings` by id, and they outlive the index.  Of two of one prefix the signed-in one counts, then the older, each as
  // long as it lives.
  explicit BindingIndex(const std::vector<Binding>& bindings);

  // Null: nobody is bound there.
  [[nodiscard]] IdentityPtr find(const Address&, std::chrono::sys_seconds now) const;
  // What holds at exactly this prefix.  Null: nothing does.
  [[nodiscard]] const Binding* at(const Prefix&, std::chrono::sys_seconds now) const;

 private:
  struct PrefixHash {
    std::size_t operator()(const Prefix&) const noexcept;
  };
  const std::vector<Binding>& all_;
  std::unordered_map<Prefix, uint32_t, PrefixHash> first_;  // Into all_; the others of that prefix follow by next_.
  std::vector<uint32_t> next_;
  std::vector<uint8_t> lengths_;                            // In bits, that there are; the longest first.
};

}  // namespace weir::identify
