// What policy keeps for one session: the grants and rules that apply to it, and the plans of the statements it repeats.
// One thread's; belongs to the snapshot that opened it, which outlives it.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/policy.h"
#include "decide/snapshot.h"
#include "decide/statement_plan.h"

namespace weir::decide {

struct SessionGrant {
  const Grant* grant = nullptr;
  GrantStop stop = GrantStop::kWho;  // kAdmits: the login may use it now.
};

// The outcome of asking all grants about one statement.
struct GrantAnswer {
  const Grant* grant = nullptr;      // Admits it.
  GrantStop stop = GrantStop::kWho;  // Else: where the best one stopped.
  std::string why;                   // For the client.
};

class SessionState final : public PolicySession {
 public:
  SessionState(const Snapshot& snapshot, const SessionFacts& facts);
  void inherit(const PolicySession& before) override;

  // Works out what depends on login, clock and catalogue again, if any of them changed.  Called before a chunk is judged.
  void refresh(const LoginFacts& login, const Catalogue* catalogue, std::chrono::sys_time<std::chrono::nanoseconds> wall);
  // What is asked from here on carries a request id, or does not.
  void set_request(bool has_request) { has_request_ = has_request || !wants_request_; }

  // Pre: refreshed.
  [[nodiscard]] GrantAnswer ask_grants_for_login() const;
  // `facts` null: of a statement that nobody can read.
  [[nodiscard]] GrantAnswer ask_grants(const StatementFacts* facts) const;
  // One of them, with the reason in words.  `facts` null: the login alone.
  [[nodiscard]] std::pair<GrantStop, std::string> ask_grant(const SessionGrant& grant, const StatementFacts* facts) const;

  // The plan of a statement by its facts; makes it if it is new to this session.
  PlanPtr plan_for(const FactsPtr& facts);
  [[nodiscard]] const PlanPtr& unreadable_plan() const { return unreadable_; }

  // Of a statement that the codec keeps by id, with the rules that its text's patterns match.
  struct Known {
    uint64_t id = 0;
    uint64_t epoch = 0;
    bool has_request = true;  // As `plan` was made for.
    PlanPtr plan;
    RuleSet matched;  // By patterns in the text.
    bool has_matches = false;
  };
  [[nodiscard]] Known* known(uint64_t id);
  Known& remember(uint64_t id, PlanPtr plan);

  // Which plans a command that passed was judged by, for its reply.
  void note_command(uint64_t unit, const PlanPtr& first, const PlanPtr& second);
  struct Asked {
    uint64_t unit = 0;
    std::array<PlanPtr, 2> plans;
  };
  [[nodiscard]] const Asked* asked(uint64_t unit) const;

  [[nodiscard]] const Snapshot& snapshot() const { return *snapshot_; }
  [[nodiscard]] const Target* target() const { return target_; }
  [[nodiscard]] const Identity* identity() const { return identity_.get(); }
  [[nodiscard]] bool applies(uint32_t rule) const { return applicable_.has(rule); }
  [[nodiscard]] const std::vector<const Rule*>& statement_rules() const { return statement_rules_; }
  [[nodiscard]] const std::vector<const Rule*>& column_rules() const { return column_rules_; }
  [[nodiscard]] const ScanSet* scan(Direction d) const {
    return scans_[index_of(d)];
  }  // Null: nothing of this session asks for it.
  [[nodiscard]] bool redacts_data() const { return redacts_data_; }
  [[nodiscard]] bool matches_commands() const { return matches_commands_; }  // Some rule on commands asks for a pattern.
  // The strictest `write_back` of the masks that apply; null: every one allows it.
  [[nodiscard]] const Rule* write_back_rule() const { return write_back_rule_; }
  // A mask by data kind that applies and is carried out; null: none.
  [[nodiscard]] const Rule* data_mask_rule() const { return data_mask_rule_; }
  [[nodiscard]] std::string_view no_identity_reason() const { return no_identity_reason_; }
  // What the login alone is told: allow, no-grant, no-identity.
  [[nodiscard]] const Ruling& login_ruling() const { return login_ruling_; }
  // The grant that admits the login, if one does; else where the best of them stopped.
  [[nodiscard]] const GrantAnswer& login_answer() const { return login_answer_; }
  void add_fingerprint(Bytes value);
  [[nodiscard]] bool has_fingerprint(std::string_view value) const;
  [[nodiscard]] bool has_text_rules() const { return has_text_rules_; }
  [[nodiscard]] const RuleSet& applicable() const { return applicable_; }
  [[nodiscard]] uint64_t epoch() const { return epoch_; }
  [[nodiscard]] const std::vector<SessionGrant>& grants() const { return grants_; }
  [[nodiscard]] const std::string& login() const { return login_; }
  [[nodiscard]] const std::string& database() const { return database_; }

  // The session set search_path: names without a schema mean what only the server knows, in prepared statements too.
  void note_search_path_change() {
    if (!search_path_changed_) ++epoch_;
    search_path_changed_ = true;
  }
  [[nodiscard]] bool search_path_changed() const { return search_path_changed_; }

  // A statement passed that may change what a name means.  Until the session is settled nobody but the target knows what.
  void note_schema_change() {
    if (!schema_changed_) ++epoch_;
    schema_changed_ = true;
  }
  [[nodiscard]] bool schema_changed() const { return schema_changed_; }
  // The catalogue will have been read again by then.
  void schema_is_settled(uint64_t catalogue_round) {
    schema_changed_ = false;
    catalogue_round_ = catalogue_round;
    ++epoch_;
  }
  [[nodiscard]] uint64_t catalogue_round() const { return catalogue_round_; }

  RuleSet matched;  // Work space of one unit.
  std::unique_ptr<Scratch> own_scratch;
  const ScanScratch* checked_scratch = nullptr;  // Known to be a Scratch of this snapshot.
  // Last to_target bytes without a hit: what redact() need not scan again.
  ByteRange clean;
  // End of the COPY data so far, for a value that two messages share.
  std::array<std::byte, 256> data_tail{};
  uint32_t data_tail_size = 0;
  // Column masks of the reply that is being read.
  struct ReplyColumns {
    uint64_t signature = 0;
    std::array<PlanPtr, 2> plans;
    std::vector<ColumnMask> masks;
  } reply;

 private:
  // Fingerprints of masked values that do not show by themselves that they are ours, newest over oldest.
  static constexpr std::size_t kFingerprints = 256, kFingerprintedSizeMin = 4;

  void resolve_rules(std::string_view protocol);
  void resolve_scans(std::string_view protocol);
  void judge_login();
  [[nodiscard]] GrantStop stop_of(const SessionGrant& grant, const StatementFacts* facts, bool is_login, std::string& what) const;
  [[nodiscard]] GrantAnswer ask_all(const StatementFacts* facts, bool is_login) const;
  void resolve_grants(int64_t now);
  [[nodiscard]] GrantStop session_stop(const Grant& grant, int64_t now) const;
  [[nodiscard]] GrantStop statement_stop(const Grant& grant, const StatementFacts& facts, std::string& what) const;
  [[nodiscard]] std::string explain_stop(const Grant& grant, GrantStop stop, const std::string& what) const;

  // Powers of two.  Plans stand in sets, so that a few statements that take turns never put each other out.
  static constexpr std::size_t kPlanSets = 8, kPlanWays = 4, kKnown = 32, kAsked = 64;

  const Snapshot* snapshot_;
  IdentityPtr identity_;
  std::string target_name_, no_identity_reason_;
  const Target* target_ = nullptr;
  RuleSet applicable_;
  std::vector<const Rule*> statement_rules_;  // Judged by facts: to_target.
  std::vector<const Rule*> column_rules_;     // then: mask with columns.
  std::array<const ScanSet*, 2> scans_{};
  bool redacts_data_ = false, has_text_rules_ = false, matches_commands_ = false;
  const Rule* write_back_rule_ = nullptr;
  const Rule* data_mask_rule_ = nullptr;
  Ruling login_ruling_;
  GrantAnswer login_answer_;
  std::vector<SessionGrant> grants_;
  std::string login_, database_;
  int64_t recheck_at_ = 0;  // Unix seconds: hours and ends are looked at again.
  uint64_t catalogue_generation_ = 0;
  uint64_t epoch_ = 0;
  bool search_path_changed_ = false, schema_changed_ = false;
  bool wants_request_ = false, has_request_ = true;  // Some grant needs a request id; what is judged now has one, or no grant needs it.
  uint64_t catalogue_round_ = 0;
  PlanPtr unreadable_;
  std::unique_ptr<std::array<uint64_t, kFingerprints>> fingerprints_;
  std::size_t next_fingerprint_ = 0;
  struct PlanSlot {
    uint64_t epoch = 0;
    bool has_request = true;
    PlanPtr plan;
  };
  struct PlanSet {
    std::array<PlanSlot, kPlanWays> slots;
    std::size_t next = 0;  // The one that is put out next.
  };
  std::unique_ptr<std::array<PlanSet, kPlanSets>> plans_;
  std::unique_ptr<std::array<Known, kKnown>> known_;
  std::unique_ptr<std::array<Asked, kAsked>> asked_;
};

}  // namespace weir::decide
