// Tickets: what waits for a reviewer, who may answer it, and what was answered.
// Sessions open and ask by the contract of core/ticket.h; reviewers answer by the control socket or the API.
// Sessions change memory only: what they change is written by a thread of the book's own, soon.  What reviewers say is written
// before it counts.
// Must never: let a requester, or anybody whom the requester acts for, approve; count one reviewer twice; change an answer;
// give a number twice, also after a restart; take a reviewer's word that could not be written down; write while a session waits.
#pragma once
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

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
};

class TicketBook final : public TicketDesk {
 public:
  struct Options {
    uint32_t open_max = 1'000;            // Hit: kUnavailable.
    uint32_t open_per_identity_max = 50;  // So that nobody fills the reviewers' list alone.
    uint64_t open_bytes_max = 64u << 20;  // Limits::held_bytes_max: statements, parameters and objects of what is open.
    uint32_t kept_max = 2'000;            // Closed ones; the oldest leave, the record has them.
    std::chrono::seconds kept_for{30 * 24 * 3600};
  };
  using OnAnswer = std::function<void(uint64_t session)>;

  // Reads `file` (state/tickets.json) or starts anew when there is none: then numbers start above any that an earlier file of
  // this host can have given.  What is open in it is denied: nobody waits any more.
  // Errors: kCorrupt (not ours, or damaged), kSystem.
  [[nodiscard]] static Result<std::unique_ptr<TicketBook>> open(std::string file, const Options&, std::vector<ApprovalConfig>,
                                                                std::chrono::sys_seconds now);
  ~TicketBook() override;  // Writes what is not written yet.

  // TicketDesk.
  [[nodiscard]] Result<uint64_t> open(const TicketRequest&, std::chrono::sys_seconds now) override;
  [[nodiscard]] TicketAnswer ask(uint64_t ticket, std::chrono::sys_seconds now) override;
  void withdraw(uint64_t ticket, std::string_view why, std::chrono::sys_seconds now) override;

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
  // kSystem: not written down, so nothing has changed.
  [[nodiscard]] Result<Outcome> approve(uint64_t ticket, const Reviewer&, std::string_view reason,
                                        std::chrono::sys_seconds until, std::chrono::sys_seconds now);
  // Final.  Ends the windows of that subject, target and approval; of a ticket that opened a window it does that alone.
  [[nodiscard]] Result<Outcome> deny(uint64_t ticket, const Reviewer&, std::string_view reason, std::chrono::sys_seconds now);

  // At a reload.  Open tickets keep the terms that they were opened with; windows whose approval has changed end.
  void set_approvals(std::vector<ApprovalConfig>);
  // Of somebody whose binding was revoked.
  void end_windows_of(std::string_view subject);
  // Returns when all that has changed is written.  Errors: kSystem; until a write works again no ticket is opened.
  Result<void> flush();
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
  TicketBook(std::string file, const Options& options) : file_(std::move(file)), options_(options) {}
  void serve();                               // The writer thread.
  [[nodiscard]] Result<void> write(std::unique_lock<std::mutex>& lock, TicketRecords records);

  // Pre, all of them: mutex_ is held.
  void touch();                               // Memory has changed: the writer is told.
  std::vector<uint64_t> sweep(std::chrono::sys_seconds now);  // Sessions to tell.
  void prune(std::chrono::sys_seconds now);
  void close(uint64_t ticket, TicketAnswer::State, std::string text, std::chrono::sys_seconds now);
  [[nodiscard]] Result<void> has_room(const Ticket&) const;
  [[nodiscard]] Result<TicketPtr> reviewable(uint64_t ticket, const Reviewer&, std::string_view reason) const;
  // Pre, these three: writer_ is held too; `lock` holds mutex_, and lets it go while the disk is written.
  // put(): `before` becomes `after`, on disk first.  Errors: kSystem; kDenied: it was closed meanwhile.
  [[nodiscard]] Result<TicketPtr> put(const TicketPtr& before, Ticket after, std::unique_lock<std::mutex>& lock);
  [[nodiscard]] Result<Outcome> add_approval(uint64_t ticket, const Reviewer&, std::string_view reason, std::chrono::sys_seconds until,
                                             std::chrono::sys_seconds now, std::unique_lock<std::mutex>& lock);
  [[nodiscard]] Result<Outcome> add_denial(uint64_t ticket, const Reviewer&, std::string_view reason, std::chrono::sys_seconds now,
                                           std::unique_lock<std::mutex>& lock);
  void tell(const std::vector<uint64_t>& sessions) const;

  const std::string file_;
  const Options options_;
  OnAnswer on_answer_;
  std::mutex writer_;        // One write at a time.  Taken before mutex_.
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool is_dirty_ = false, is_stopping_ = false;
  std::string write_error_;  // Of the last write; empty: it worked.
  uint64_t numbers_until_ = 0;  // Below it the file keeps a restart from giving numbers again.
  std::chrono::sys_seconds swept_{};
  TicketRecords records_;
  std::set<uint64_t> open_;  // Of records_.
  std::map<std::string, std::shared_ptr<const ApprovalConfig>, std::less<>> approvals_;
  std::vector<Window> windows_;
  mutable TicketCounters counters_;
  std::thread thread_;
};

}  // namespace weir::decide
