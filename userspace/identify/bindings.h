// Who is behind an address.  Sessions ask once, when they start; people and the configuration change it seldom.
// Readers take the current snapshot under a lock held for a pointer copy; writers build the next one aside, put what differs into
// the store, then swap it in: nobody is let in by a binding that a crash could forget.  Several gateways may share the store: what
// another one binds and revokes comes by watch(), and a binding is decided by what the store has at that moment.
// Must never: use a binding id twice, also after a restart; give a binding past its end; bind a token to a second address.
//
// Key: the address, and what it is tied to (core/link.h: interface, VLAN and, on link, the MAC), which the kernel holds each
// packet to.  An address has one binding, also where it stands on several links: the second one is refused.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
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
#include "identify/binding_store.h"
#include "identify/token.h"

namespace weir::identify {

// Of SpentToken: a use on the wire is remembered apart, since several identities may do so from one address.
[[nodiscard]] inline std::string wire_key(std::string_view key) { return std::string("wire ").append(key); }
[[nodiscard]] inline bool is_wire_key(std::string_view key) { return key.starts_with("wire "); }

struct BindOutcome {
  enum class Kind : uint8_t {
    kBound,           // New.
    kRenewed,         // The same person with a newer (or the same) token: same id, later end.
    kReplaced,        // Other groups, chain, assurance or link (or, unless one_identity_per_address, another person): new id; `ended`
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
    std::string gateway = "gw";   // Whose static bindings these are.  Config::name.
    std::string earlier_file;     // state/bindings.json of before there was a store: taken over once, then renamed.
  };

  // Ids start above any that a lost or older store of this gateway can have given.  Bindings that have ended by `now` are left
  // out.  Pre: `store` outlives the table.  Errors: those of Store; kCorrupt: an item, or the earlier file, is damaged.
  [[nodiscard]] static Result<std::unique_ptr<BindingTable>> open(Store& store, const Options&, std::chrono::sys_seconds now);
  ~BindingTable();

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

  // What other gateways changed, since the last call: to be taken from the kernel's map and cut, or to be put into it.
  struct ForeignChanges {
    std::vector<Binding> ended, bound;
    std::vector<std::string> revoked_on_wire;  // Keys, as for spend().
  };
  [[nodiscard]] ForeignChanges take_foreign();
  // Called on the store's thread, without a lock held, when there is something to take.
  void set_on_foreign(std::function<void()> on_foreign);

  // The calls below: any thread, one at a time (they lock), slow (they write to the store).  Errors: kUnavailable and kSystem
  // when it could not be written; then nothing has changed.  What they return as ended is to be taken from the kernel's map and its
  // sessions cut.

  // At start-up and reload.  A binding that the new configuration has unchanged keeps its id.
  [[nodiscard]] Result<std::vector<Binding>> set_static(const std::vector<StaticBindingConfig>&, std::chrono::sys_seconds now);
  void set_options(const Options&);
  [[nodiscard]] Result<BindOutcome> bind(const VerifiedToken&, const Address&, std::chrono::sys_seconds now, const LinkKey& link = {});
  // A credential shown on the wire (identify/wire_credentials.h) from `use.where`: nothing is bound, but it is spent as one that
  // binds: by the first address that used it (`is_tied`), and by none after a revocation.  Post: the id that it is known by from
  // here on, never used before.  Errors, with words for the client: kDenied (another address used it), kNotFound (it was
  // revoked), kUnavailable (bindings_max).
  [[nodiscard]] Result<uint64_t> spend(const SpentToken& use, bool is_tied, std::chrono::sys_seconds now);
  // It may not be used on the wire any more: it was revoked, there or as a binding's.
  [[nodiscard]] bool is_revoked(std::string_view key, std::chrono::sys_seconds now);
  // Uses on the wire, by whichever gateway of the store and whenever: by address (text), or by one of their names.  Theirs that are
  // not over; the second one makes that nobody takes them any more, and no more `uses` beside them.
  [[nodiscard]] std::vector<SpentToken> fitting_on_wire(std::string_view which, std::chrono::sys_seconds now);
  [[nodiscard]] Result<std::vector<SpentToken>> revoke_on_wire(std::string_view which, const std::vector<SpentToken>& uses, std::chrono::sys_seconds now);
  // By id, by address (text) or by subject: all that fit.  Static ones are revoked too, until the configuration gives them
  // again.  The tokens behind them do not bind again.  Empty: nothing fitted.
  [[nodiscard]] Result<std::vector<Binding>> revoke(std::string_view which, std::chrono::sys_seconds now);
  // Takes out what has ended, whether or not the store can be written: then it is tried again.
  [[nodiscard]] Result<std::vector<Binding>> expire(std::chrono::sys_seconds now);

 private:
  struct Snapshot;  // A table's bindings, indexed.

  struct Watch {  // Outlives the table, as the store's thread may.
    std::mutex mutex;
    BindingTable* table = nullptr;
  };

  BindingTable(Store& store, const Options& options);
  [[nodiscard]] Result<void> start(std::chrono::sys_seconds now);
  [[nodiscard]] Result<void> take_over_file(std::chrono::sys_seconds now);
  void on_change(const BindingStore::Key& key, const StoreItem* told);
  // Pre, those below: writer_ is held.
  [[nodiscard]] Result<void> reserve_ids(uint64_t count);
  [[nodiscard]] Result<void> refresh(const std::vector<BindingStore::Key>& keys);
  void note_foreign(const BindingRecords& before, const BindingRecords& after, const std::vector<BindingStore::Key>& keys);
  void note_foreign_use(const BindingRecords& before, const BindingRecords& after, const BindingStore::Key& key);
  // `decide` makes the next records of the current ones; again with newer ones when another gateway wrote first.
  // False of `decide`: nothing is to change.
  [[nodiscard]] Result<void> change(const std::function<bool(BindingRecords&)>& decide);
  [[nodiscard]] Result<void> commit(BindingRecords next);
  void publish(BindingRecords next);
  void count_refusal(const Binding& holder);
  [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const;
  [[nodiscard]] BindOutcome admit(BindingRecords& next, const VerifiedToken&, const Address&, const LinkKey& link,
                                  std::chrono::sys_seconds now) const;

  BindingStore store_;
  Store& raw_store_;
  std::mutex writer_;  // All below, but for reader_ and snapshot_.
  Options options_;
  BindingRecords records_;
  std::chrono::sys_seconds first_end_ = std::chrono::sys_seconds::max();  // Of records_: nothing ends before, and nothing is looked for.
  uint64_t next_id_ = 1, ids_until_ = 1, ids_floor_ = 0;
  std::vector<StoreWrite> unwritten_;  // Of what has ended by itself.
  ForeignChanges foreign_;
  std::function<void()> on_foreign_;
  const std::shared_ptr<Watch> watch_ = std::make_shared<Watch>();
  mutable std::mutex reader_;  // The pointer alone.
  std::shared_ptr<const Snapshot> snapshot_;
};

}  // namespace weir::identify
