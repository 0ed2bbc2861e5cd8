// Adds up what the rules that match say of one unit (weir.yaml, "Decision"): the strictest wins, the first in file order is
// named among equals, alerts always fire, and observed rules are kept apart since they change nothing.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "core/verdict.h"
#include "decide/rule_table.h"

namespace weir::decide {

// A set of rules, by index.
class RuleSet {
 public:
  RuleSet() = default;
  explicit RuleSet(std::size_t rule_count) : words_(rule_count / 64 + 1) {}
  void add(uint32_t index) { words_[index / 64] |= uint64_t{1} << index % 64; }
  [[nodiscard]] bool has(uint32_t index) const { return (words_[index / 64] >> index % 64 & 1) != 0; }
  void clear() { words_.assign(words_.size(), 0); }
  void add_all(const RuleSet& other) {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
  }
  // Made for a number of rules; else it can hold none.
  [[nodiscard]] bool is_sized() const { return !words_.empty(); }
  [[nodiscard]] bool empty() const {
    for (const uint64_t word : words_) {
      if (word != 0) return false;
    }
    return true;
  }
  // In file order.
  template <class F>
  void for_each(F&& f) const {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      for (uint64_t word = words_[i]; word != 0; word &= word - 1)
        f(static_cast<uint32_t>(i * 64 + static_cast<std::size_t>(std::countr_zero(word))));
    }
  }

 private:
  std::vector<uint64_t> words_;
};

class Ruling {
 public:
  static constexpr std::size_t kApprovalsMax = 4;  // Hit: blocked.
  static constexpr std::size_t kAlertsMax = 32;  // Hit: further alerts of one unit are counted by rule and not listed.

  // Pre: once a rule, in any order.
  void add(const Rule& rule);
  // A decision of the gateway's own (rule 0), or of a rule under another name and with other words.
  void add(Verdict::Action action, uint32_t rule, std::string_view name, std::string_view reason, bool is_observed = false);
  // Held until that approval is given, beside any other that is asked for.
  void hold(uint32_t rule, std::string_view name, std::string_view reason, std::string_view approval, bool is_observed = false);
  void alert(uint32_t rule);
  // Both count: the other meaning of a name in flight.
  void merge(const Ruling& other);

  [[nodiscard]] Verdict::Action action() const { return enforced_.action; }
  [[nodiscard]] bool is_plain() const {
    return enforced_.action == Verdict::Action::kAllow && observed_.action == Verdict::Action::kAllow && alert_count_ == 0;
  }
  [[nodiscard]] uint32_t rule() const { return enforced_.rule; }
  // The verdict without edits.  `target_is_observed`: nothing is carried out.  Alerts go into `arena`.
  [[nodiscard]] Verdict verdict(bool target_is_observed, Arena& arena) const;

 private:
  struct Part {
    Verdict::Action action = Verdict::Action::kAllow;
    uint32_t rule = 0;
    std::string_view name, reason;
  };
  static void strengthen(Part& part, const Part& by);

  void need(std::string_view approval);

  Part enforced_, observed_;
  std::array<std::string_view, kApprovalsMax> approvals_{};  // Of what is enforced.
  std::size_t approval_count_ = 0;
  std::array<uint32_t, kAlertsMax> alerts_{};
  std::size_t alert_count_ = 0;
};

}  // namespace weir::decide
