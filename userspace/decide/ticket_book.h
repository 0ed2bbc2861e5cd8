// Tickets: what waits for a reviewer, who may answer it, and what was answered.
// Sessions open and ask by the contract of core/ticket.h; reviewers answer by the control socket or the API.
// Sessions change memory only: what they change is put into the store by a thread of the book's own, soon.  What reviewers say is
// there before it counts.  Several gateways may share the store: each lists all tickets and takes answers to them; the one whose
// session waits looks at the answers again before it lets anything through.
// Must never: let a requester, or anybody whom the requester acts for, approve; count one reviewer twice; change an answer;
// give a number twice, also after a restart; take a reviewer's word that could not be written down; write while a session waits;
// let two commands through by one approval.
#pragma once
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/store.h"
#include "decide/ticket_file.h"

namespace weir::decide {

// Who answers.  Issuer empty: at the gateway itself, "local:NAME"; else by a verified token.
struct Reviewer {
  std::string subject;
  std::vector<std::string> groups;
  std::string issuer;
  std::vector<std::string> acting_for;  // A token that somebody else uses reviews nothing.
};
inline constexpr std::string_view kLocalReviewer = "local:";

struct TicketCounters {
  uint64_t open = 0;  // Now.
  uint64_t opened = 0, approved = 0, approved_by_window = 0, denied = 0, expired = 0, withdrawn = 0;
  uint64_t refused = 0;          // Not opened: too many wait, or no such approval.
  uint64_t answers_refused = 0;  // Of people who may not, or too late.
  uint64_t write_failures = 0;
  uint64_t kept = 0;             // Nobody waited any more, and the ticket stayed.
  uint64_t resumed = 0;          // And was asked for again.
};

class TicketBook final : public TicketDesk {
 public:
  struct Options {
    uint32_t open_max = 1'000;            // Hit: kUnavailable.
    uint32_t open_per_identity_max = 50;  // So that nobody fills the reviewers' list alone.
    uint64_t open_bytes_max = 64u << 20;  // Limits::held_bytes_max: statements, parameters and objects of what is open.
    uint32_t kept_max = 2'000;            // Closed ones; the oldest leave, the record has them.
    std::chrono::seconds kept_for{30 * 24 * 3600};
    std::string gateway = "gw";           // Config::name.
    std::string earlier_file;             // state/tickets.json of before there was a store: taken over once, then renamed.
  };
  using OnAnswer = std::function<void(uint64_t session)>;

  // Numbers start above any that a lost or older store of this gateway can have given.  What of this gateway is open in it is
  // denied, since nobody waits any more, or kept, as its approval says.  Pre: `store` outlives the book.
  // Errors: those of Store; kCorrupt: an item, or the earlier file, is damaged.
  [[nodiscard]] static Result<std::unique_ptr<TicketBook>> open(Store& store, const Options&, std::vector<ApprovalConfig>,
                                                                std::chrono::sys_seconds now);
  ~TicketBook() override;  // Writes what is not written yet.

  // TicketDesk.
  [[nodiscard]] Result<uint64_t> open(const TicketRequest&, std::chrono::sys_seconds now) override;
  [[nodiscard]] TicketAnswer ask(uint64_t ticket, std::chrono::sys_seconds now) override;
  void withdraw(uint64_t ticket, std::string_view why, std::chrono::sys_seconds now) override;
  [[nodiscard]] TicketAnswer leave(uint64_t ticket, Leave, std::string_view why, std::chrono::sys_seconds now) override;

  // The calls below: any thread.  What reviewers say: ticket_review.cc.
  enum class Which : uint8_t { kOpen, kAll };
  [[nodiscard]] std::vector<TicketPtr> list(Which, std::chrono::sys_seconds now);  // The newest first.
  [[nodiscard]] TicketPtr find(uint64_t ticket, std::chrono::sys_seconds now);     // Null: there is none.

  struct Outcome {
    TicketPtr ticket;
    std::string text;        // What came of it, for who answered.
    bool is_changed = true;  // False: the same reviewer had approved before.
  };
  // `until`: end of a window for what the same subject asks for next; 0: none.  With several reviewers all must give one, and
  // the earliest counts.
  // Errors: kNotFound; kDenied (may not review this, or it is answered, expired or withdrawn); kInvalid (reason, until);
  // kUnavailable, kSystem: not written down, so nothing has changed.
  [[nodiscard]] Result<Outcome> approve(uint64_t ticket, const Reviewer&, std::string_view reason,
                                        std::chrono::sys_seconds until, std::chrono::sys_seconds now);
  // Final.  Ends the windows of that subject, target and approval; of a ticket that opened a window it does that alone.
  [[nodiscard]] Result<Outcome> deny(uint64_t ticket, const Reviewer&, std::string_view reason, std::chrono::sys_seconds now);

  // At a reload.  Open tickets keep the terms that they were opened with; windows whose approval has changed end.
  void set_approvals(std::vector<ApprovalConfig>);
  // Of somebody whose binding was revoked; what is kept for them is withdrawn.
  void end_windows_of(std::string_view subject, std::chrono::sys_seconds now);
  // Returns when all that has changed is written, and what other gateways did is taken in.  Errors: those of Store; until a write
  // works again no ticket is opened.
  Result<void> flush();
  // Of sessions of this gateway's that the record does not keep any more: their tickets go, also from the store.  Pre: none of them
  // has one that waits.  Errors: as flush(); what is left goes with the next one.
  Result<void> forget(const std::vector<uint64_t>& sessions);
  // Of a session of this gateway's: open, or kept for its client.
  [[nodiscard]] bool has_waiting(uint64_t session) const;
  // Once in a while: what is over is closed, and its session told.
  void expire(std::chrono::sys_seconds now);
  // Called without a lock held, when a reviewer or a deadline closes a ticket.  Pre: before the first other call.
  void set_on_answer(OnAnswer on_answer) { on_answer_ = std::move(on_answer); }
  [[nodiscard]] TicketCounters counters() const;

 private:
  struct Window {
    std::string subject, issuer, target, approval;
    std::vector<std::string> acting_for;
    VerbSet verbs = 0;
    std::chrono::sys_seconds opened{}, until{};
    uint64_t ticket = 0;
    std::vector<TicketReview> answers;
    [[nodiscard]] bool is_of(const Ticket&) const;
    [[nodiscard]] bool covers(const Ticket&, std::chrono::sys_seconds now) const;
  };
  struct Watch {  // Outlives the book, as the store's thread may.
    std::mutex mutex;
    TicketBook* book = nullptr;
  };
  TicketBook(Store& store, const Options& options) : store_(store), options_(options) {}

  // ticket_store.cc
  [[nodiscard]] Result<void> start(std::chrono::sys_seconds now);
  [[nodiscard]] Result<void> take_over_file();
  void settle_own(Ticket& ticket, std::chrono::sys_seconds now);  // Of before a restart.
  void on_change(uint64_t number);
  void serve();                               // The writer thread.
  // Pre, these: writer_ and mutex_ are held; `lock` holds mutex_, and lets it go while the store is asked.
  [[nodiscard]] Result<void> sync(std::unique_lock<std::mutex>& lock);
  [[nodiscard]] Result<void> more_numbers(std::unique_lock<std::mutex>& lock);
  [[nodiscard]] Result<void> write_some(std::unique_lock<std::mutex>& lock);
  // `ticket` as the store has it now.
  [[nodiscard]] Result<void> refresh(uint64_t ticket, std::unique_lock<std::mutex>& lock);
  void take_in(uint64_t ticket, const StoreItem* item);
  void take_in_answers(TicketPtr& mine, const Ticket& theirs);
  void note_written(uint64_t ticket, uint64_t version);
  [[nodiscard]] Error failed(const Error& error);

  // Pre, all of them: mutex_ is held.
  void touch(uint64_t ticket);                // Memory has changed: the writer is told.
  [[nodiscard]] bool has_work() const;
  [[nodiscard]] bool needs_numbers() const { return spare_first_ == 0 && numbers_until_ - next_number_ < kNumbersAhead / 2; }
  [[nodiscard]] bool is_own(const Ticket& ticket) const { return ticket.gateway == options_.gateway; }
  [[nodiscard]] std::shared_ptr<const ApprovalConfig> terms_of(const std::string& approval) const;
  // Why the approvals of a ticket do not hold by this gateway's terms; empty: they do.
  [[nodiscard]] std::string doubt(const Ticket&) const;
  [[nodiscard]] std::optional<Window> window_of(const Ticket&) const;
  // Of this request's command, kept since its client left or the gateway was restarted.  0: none.
  uint64_t resume(const Ticket& asked, std::chrono::sys_seconds now);
  std::vector<uint64_t> sweep(std::chrono::sys_seconds now);  // Sessions to tell.
  void prune(std::chrono::sys_seconds now);
  [[nodiscard]] bool is_waiting(const Ticket& ticket) const { return ticket.is_open() || kept_.contains(ticket.number) || claimed_.contains(ticket.number); }
  void take_out(const Ticket&, std::chrono::sys_seconds now);
  void close(uint64_t ticket, TicketAnswer::State, std::string text, std::chrono::sys_seconds now);
  [[nodiscard]] Result<void> has_room(const Ticket&) const;
  [[nodiscard]] Result<TicketPtr> reviewable(uint64_t ticket, const Reviewer&, std::string_view reason) const;
  // Pre, these: writer_ is held too; `lock` holds mutex_, and lets it go while the store is written.
  // put(): `before` becomes `after`, in the store first.  Null: another gateway was quicker: refresh() and decide again.
  // Errors: kUnavailable, kSystem; kDenied: it was closed meanwhile.
  [[nodiscard]] Result<TicketPtr> put(const TicketPtr& before, Ticket after, std::unique_lock<std::mutex>& lock);
  // Null in Outcome::ticket: as put().
  [[nodiscard]] Result<Outcome> add_approval(uint64_t ticket, const Reviewer&, std::string_view reason, std::chrono::sys_seconds until,
                                             std::chrono::sys_seconds now, std::unique_lock<std::mutex>& lock);
  [[nodiscard]] Result<Outcome> add_denial(uint64_t ticket, const Reviewer&, std::string_view reason, std::chrono::sys_seconds now,
                                           std::unique_lock<std::mutex>& lock);
  [[nodiscard]] Result<Outcome> answer(uint64_t ticket, std::chrono::sys_seconds now, const std::function<Result<Outcome>(std::unique_lock<std::mutex>&)>& add);
  void tell(const std::vector<uint64_t>& sessions) const;

  static constexpr uint64_t kNumbersAhead = 500;  // Taken at once; hit, with none to spare: refused until the store gives more.

  Store& store_;
  const Options options_;
  OnAnswer on_answer_;
  std::mutex writer_;        // One write at a time.  Taken before mutex_.
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool is_stopping_ = false;
  std::string write_error_;  // Of the last write; empty: it worked.
  std::set<uint64_t> dirty_;             // To be written.
  std::set<uint64_t> told_;              // Changed by another gateway: to be read.
  std::map<uint64_t, uint64_t> gone_;    // To be removed, with their versions.
  std::map<uint64_t, uint64_t> versions_;  // Of the store's items.
  std::set<uint64_t> kept_;              // Of this gateway, detached: open, or approved and not used.
  std::set<uint64_t> claimed_;           // Approved; let through once the store knows that they are used.
  std::vector<uint64_t> to_tell_;        // Sessions.
  uint64_t next_number_ = 1, numbers_until_ = 1, spare_first_ = 0, numbers_floor_ = 0;
  const std::shared_ptr<Watch> watch_ = std::make_shared<Watch>();
  std::chrono::sys_seconds swept_{};
  TicketRecords records_;
  std::set<uint64_t> open_;  // Of records_.
  std::map<std::string, std::shared_ptr<const ApprovalConfig>, std::less<>> approvals_;
  std::vector<Window> windows_;
  mutable TicketCounters counters_;
  std::thread thread_;
};

}  // namespace weir::decide
