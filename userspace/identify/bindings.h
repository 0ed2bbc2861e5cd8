// Who is behind an address.  Sessions ask once, when they start; people and the configuration change it seldom.
// Readers take the current snapshot under a lock held for a pointer copy; writers build the next one aside, put it on disk,
// then swap it in: nobody is let in by a binding that a crash could forget.
// Must never: use a binding id twice, also after a restart; give a binding past its end; bind a token to a second address.
//
// Key: the address.  Interface, VLAN and, on link, the MAC belong to it as well (README "Known gaps"): until they do, a host
// that can take a neighbour's address on the same link takes its binding, and `assurance: network` means no more than that.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/address.h"
#include "core/config.h"
#include "core/identity.h"
#include "identify/binding_file.h"
#include "identify/token.h"

namespace weir::identify {

struct BindOutcome {
  enum class Kind : uint8_t {
    kBound,           // New.
    kRenewed,         // The same person with a newer (or the same) token: same id, later end.
    kReplaced,        // Other groups, chain or assurance (or, unless one_identity_per_address, another person): new id; `ended`
                      // lists the old one, to be cut.
    kAddressTaken,    // Refused: the address is somebody else's.  `text` is for who asked, `text_for_holder` for the other.
    kTokenElsewhere,  // Refused: this token is bound to another address, or was.
    kTokenRevoked,    // Refused: a binding of this token was revoked; a fresh sign-in is needed.
    kFull,            // Refused: bindings_max.
  };
  Kind kind = Kind::kBound;
  Binding binding;  // As it now stands; of the holder for kAddressTaken.
  std::vector<Binding> ended;
  std::string text, text_for_holder;
  [[nodiscard]] bool is_bound() const { return kind <= Kind::kReplaced; }
};

class BindingTable {
 public:
  struct Options {
    std::chrono::seconds ttl_max{8 * 3600};
    bool one_identity_per_address = true;
    uint32_t bindings_max = 65536;
  };

  // Reads `file` (state/bindings.json), or starts anew when there is none: then ids start above any that an earlier file of
  // this host can have given.  Bindings that have ended by `now` are left out.
  // Errors: kCorrupt (not ours, or damaged), kSystem.
  [[nodiscard]] static Result<std::unique_ptr<BindingTable>> open(std::string file, const Options&,
                                                                  std::chrono::sys_seconds now);

  // Any thread.  Null: nobody is bound there.  An address binding before a static one, the longest prefix first.
  [[nodiscard]] IdentityPtr find(const Address&, std::chrono::sys_seconds now) const;
  // Any thread.  What holds at exactly this prefix, if anything does.
  [[nodiscard]] std::optional<Binding> at(const Prefix&, std::chrono::sys_seconds now) const;
  // Any thread.  What find() goes by, for the kernel's map: no prefix twice, since an address binding hides a static one of
  // the same address until it ends.
  [[nodiscard]] std::vector<Binding> in_force(std::chrono::sys_seconds now) const;
  // Any thread.  All that has not ended, by id.
  [[nodiscard]] std::vector<Binding> list(std::chrono::sys_seconds now) const;

  // Any thread.  What revoke() would end.
  [[nodiscard]] std::vector<Binding> fitting(std::string_view which) const;

  // The calls below: any thread, one at a time (they lock), slow (they write the file).  Errors: kSystem when the file could
  // not be written; then nothing has changed.  What they return as ended is to be taken from the kernel's map and its
  // sessions cut.

  // At start-up and reload.  A binding that the new configuration has unchanged keeps its id.
  [[nodiscard]] Result<std::vector<Binding>> set_static(const std::vector<StaticBindingConfig>&, std::chrono::sys_seconds now);
  void set_options(const Options&);
  [[nodiscard]] Result<BindOutcome> bind(const VerifiedToken&, const Address&, std::chrono::sys_seconds now);
  // By id, by address (text) or by subject: all that fit.  Static ones are revoked too, until the configuration gives them
  // again.  The tokens behind them do not bind again.  Empty: nothing fitted.
  [[nodiscard]] Result<std::vector<Binding>> revoke(std::string_view which, std::chrono::sys_seconds now);
  // Takes out what has ended.
  [[nodiscard]] Result<std::vector<Binding>> expire(std::chrono::sys_seconds now);

 private:
  struct Snapshot;  // A table's bindings, indexed.

  BindingTable(std::string file, const Options& options);
  [[nodiscard]] Result<void> commit(BindingRecords next);
  void publish(BindingRecords next);
  void count_refusal(const Binding& holder);
  [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const;
  [[nodiscard]] BindOutcome admit(BindingRecords& next, const VerifiedToken&, const Address&,
                                  std::chrono::sys_seconds now) const;

  const std::string file_;
  std::mutex writer_;  // records_ and options_.
  Options options_;
  BindingRecords records_;
  mutable std::mutex reader_;  // The pointer alone.
  std::shared_ptr<const Snapshot> snapshot_;
};

}  // namespace weir::identify
