// What people did about access and alerts, held against what happened: reviews of grants, judgements of alerts, revocations with the time
// until the identity was silent, legal holds.  Fed with all acts of the record first, then with the sessions of the period.
// Memory: a row an act of a person of these kinds; nothing a session or a command.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "report/pack_table.h"

namespace weir::report {

inline constexpr int64_t kReviewDays = 90;   // A review counts for so long.

class PackLedger {
 public:
  // RFC 3339 in UTC: [from, until).
  PackLedger(const std::string& from, const std::string& until);

  // As `weir events --json` has it; of any time, in any order.
  void add_act(const nlohmann::json& act);
  // A legal hold that is in force now: {id, what, by, at, reason, configured}.
  void add_hold(const nlohmann::json& hold);
  void note_holds_known() { are_holds_known_ = true; }   // All of them were added: what is not among them is not in force.

  struct Judged { uint64_t alert = 0; std::string as, by, at; int64_t seconds = 0; };
  // The judgement of the alert that an event `rule` of this subject at this target belongs to; null: nobody closed it.
  [[nodiscard]] const Judged* judged(const std::string& rule, const std::string& subject, const std::string& target, const std::string& at) const;

  struct SessionSeen { uint64_t binding = 0; std::string subject, opened, closed; };   // closed: empty, it lives.
  void saw_command(uint64_t binding, const std::string& subject, const std::string& at);   // That the target got.
  void saw_session(const SessionSeen& session);

  // Of a grant as it stands at the end, by the digest of its entry: "keep by ann at ..., REV-7"; `is_due`: nobody in kReviewDays.
  struct Review { std::string at, decision, by, reason; bool is_due = true, is_changed = false; };
  [[nodiscard]] Review review_of(const std::string& grant, const std::string& digest) const;

  using Rows = std::function<void(const char* table, Cells cells)>;
  using Exceptions = std::function<void(const std::string& at, const char* kind, const std::string& where, const std::string& what)>;
  void write(const Rows& rows, const Exceptions& exceptions) const;

 private:
  struct SignOff { std::string at, grant, decision, by, reason, digest, list; };
  struct Disposition { Judged judged; std::string reason, event, rule, subject, target, first, last; uint64_t session = 0, count = 0; };
  struct Revocation {
    std::string at, by, reason, subject;
    uint64_t binding = 0, flows = 0;
    uint64_t looked_at = 0, open = 0, commands_after = 0, sessions_after = 0, later_bindings = 0;
    std::string last_command, last_cut;
    bool is_live = false;
  };
  struct Hold { std::string what, set, set_by, set_reason, removed, removed_by, removed_reason; bool is_in_force = false, is_configured = false; };
  void add_revocation(const nlohmann::json& act);
  void add_disposition(const nlohmann::json& act);
  void write_revocations(const Rows& rows, const Exceptions& exceptions) const;
  [[nodiscard]] bool is_in_period(const std::string& at) const { return at >= from_ && at < until_; }

  std::string from_, until_, review_from_;
  std::vector<SignOff> sign_offs_;
  std::vector<Disposition> dispositions_;
  std::multimap<std::string, std::size_t> by_rule_;             // Of dispositions_.
  std::vector<Revocation> revocations_;
  std::multimap<uint64_t, std::size_t> by_binding_;             // Of revocations_.
  std::multimap<std::string, std::size_t> by_subject_;
  std::map<std::string, Hold> holds_;
  bool are_holds_known_ = false;
};

}  // namespace weir::report
