// How long the record is kept, and what is held: pure decisions over what a session's manifests say of it.  expirer.h carries
// them out, retention_plan.h tells of them.
//
// The time counts from the seal of a session's last part, which stands in the evidence log for ever: so anybody can check with the
// log alone that nothing was destroyed early.
// Must never: shorten a time because something about a session is not known.
#pragma once
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/config.h"
#include "record/files.h"
#include "record/manifest.h"

namespace weir::record {

using Nanoseconds = std::chrono::sys_time<std::chrono::nanoseconds>;
inline constexpr std::string_view kDefaultPolicy = "default";

// What is known of a session, over all of its parts.
struct SessionTraits {
  uint64_t session = 0;
  std::string target, subject;
  std::vector<std::string> groups;
  std::set<std::string, std::less<>> rules, tags;
  bool has_more_rules = false;      // There were others as well: it may have any rule and any tag.
  int64_t opened_ns = 0, closed_ns = 0;
  int64_t last_at_ns = 0;           // Of its last event.
  void add(const Manifest&);        // Of one part, in order.
};

struct Ruling { std::string policy; std::chrono::seconds keep{0}; };
// The longest of the rules that fit; without any the default.
Ruling ruling_of(const RetentionConfig&, const SessionTraits&);
// No session is kept shorter.
std::chrono::seconds shortest(const RetentionConfig&);
// The time that a policy keeps by name; nullopt: there is none of that name.
std::optional<std::chrono::seconds> keep_of(const RetentionConfig&, std::string_view policy);
// What the evidence log says of a configuration: names and times alone, since a leaf is for ever.
nlohmann::json retention_leaf(const RetentionConfig&);

// While it stands, what it covers is not destroyed, whatever its age.  All that it names must fit.
struct Hold {
  std::string id;
  std::optional<uint64_t> session{};
  std::string subject{}, target{};         // Exact; empty: any.
  std::optional<std::chrono::sys_seconds> from{}, until{};   // The session lived in [from, until).
  std::string reason{}, by{};
  std::chrono::sys_seconds at{};
  bool is_configured = false;              // In the configuration, and lifted there alone.
  [[nodiscard]] bool covers(const SessionTraits&) const;
};
nlohmann::json to_json(const Hold&);
// What it covers, for people: "session 7, user:ann, target shop, from ..., until ...".
std::string words_of(const Hold&);
std::vector<Hold> holds_of(const RetentionConfig&);

// Legal holds that people set, in one file of the state folder.
class HoldBook {
 public:
  static constexpr std::size_t kHoldsMax = 10'000;
  explicit HoldBook(const std::string& state) : path_(state + "/holds.json") {}

  // kNotFound: there is no file.  kCorrupt: it is none of ours, or was cut short: then nobody knows what is held.
  Result<void> read();
  // A first, empty file.
  Result<void> create(Files&);
  [[nodiscard]] const std::vector<Hold>& holds() const { return holds_; }
  // Durable when it returns; after an error it is as it was.  Fills id.
  Result<Hold> add(Files&, Hold);
  Result<Hold> remove(Files&, std::string_view id);
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  Result<void> write(Files&, const std::vector<Hold>&, uint64_t next) const;
  std::string path_;
  std::vector<Hold> holds_;
  uint64_t next_ = 1;
};

}  // namespace weir::record
