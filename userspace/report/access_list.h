// Who may do what, as the record holds it: at each start and each change of the configuration the engine puts the access list on it, as
// acts `access-list` whose `change` is {digest, config, part, parts, count, entries}.  Here is how such a list is cut into acts and put
// together again, and which one was in force at a time.
//
// An entry is an object with `kind` (grant, approval, role, reviewer, static, certificate, target) and `name`; its digest is SHA-256 over its
// JSON, keys sorted and without white space; the list's is SHA-256 over the entries' JSON, a newline behind each.
// Must never: show a list that does not have the digest that it names, or one that a later change of the configuration put out of force.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::report {

inline constexpr std::string_view kAccessListAct = "access-list";
inline constexpr std::size_t kAccessPieceMax = 64u << 10;   // Bytes of entries in one act, unless a single entry has more.
inline constexpr std::size_t kAccessListMax = 8u << 20;     // Bytes of all: what is larger is not held, and that is said.

std::string access_entry_digest(const nlohmann::json& entry);
std::string access_list_digest(const nlohmann::json& entries);
// `change` of each act, in order; at least one.  Empty: it is larger than kAccessListMax.
std::vector<nlohmann::json> access_pieces(const nlohmann::json& entries, const std::string& config);

struct AccessFound {
  nlohmann::json entries = nlohmann::json::array();
  std::string digest, config;          // Of the list; of the configuration that it is of.
  std::string since;                   // When it was put on the record.
  std::string why;                     // "start", "reload"
  uint64_t session = 0, sequence = 0;  // Of its last act.
  std::optional<uint64_t> leaf;        // That act's entry in the evidence log; none: it is not there (yet).
  std::string leaf_digest;
};

// Fed with acts, the newest first, and with the evidence log, in order; says which list was in force at `at`.
class AccessAt {
 public:
  // RFC 3339 in UTC; compared as texts, so of the record's form, or shorter.
  explicit AccessAt(std::string at);
  // As `weir events --json` has it.  False: nothing that is older matters.
  bool add_act(const nlohmann::json& act);
  void add_log_entry(uint64_t index, const nlohmann::json& entry);

  // nullopt: it is not known, and why() says why.
  [[nodiscard]] std::optional<AccessFound> found() const;
  [[nodiscard]] const std::string& why() const { return why_; }
  // The time without a gateway that `at` is in; empty: none that the log knows of.
  [[nodiscard]] const std::string& gap() const { return gap_; }

 private:
  struct Set { nlohmann::json change; std::string at, why; uint64_t session = 0, sequence = 0; };
  struct InForce { std::string at, config, by; };
  void note_config(const std::string& at, const std::string& config, const char* by);

  std::string at_;
  std::vector<Set> pieces_;            // Of the newest list that may be whole, its last piece first.
  bool is_whole_ = false;
  InForce newest_;                     // The newest change of what is in force, up to at_.
  std::vector<std::pair<uint64_t, std::string>> leaves_;   // Of acts access-list up to at_: entry, JSON of {session, sequence, digest}.
  mutable std::string why_;
  std::string gap_;
};

}  // namespace weir::report
