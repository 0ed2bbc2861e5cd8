// Changes that wait for a second person (changes.second_person): what is asked, by whom, and what became of it.
// One is bound to a digest of exactly what it would put in force; approved once, by somebody else, before its deadline.
// Nothing is carried out here: who approves gets the change back and does so, and says how it went.
// Must never: let one person be both; approve what is answered, late, another gateway's, or not as it was when it was asked;
// take an answer that could not be written down; keep a token.
#pragma once
#include <chrono>
#include <cstdint>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "control/control_handler.h"
#include "core/store.h"

namespace weir::session {

// Who a change is asked or answered by.  Over the API the subject of a token at its issuer; on the socket the login uid, which
// su and sudo do not change.  Both ways tell people apart, but not across: nobody knows that a login and a subject are two people.
struct Person {
  std::string way;    // "api" or "socket".
  std::string key;    // Equal: the same person.  Empty: nobody is known to stand behind it.
  std::string text;   // For people.
};
[[nodiscard]] Person person_of(const control::ControlPeer& peer);

struct Change {
  enum class State : uint8_t { kPending, kApproved, kDenied, kExpired, kFailed } state = State::kPending;
  uint64_t number = 0;
  std::string gateway;             // Whose it is: it is approved there.
  std::string act;                 // "reload", "revoke", ...
  nlohmann::json arguments;        // Of the act.  No token.
  std::string reason, digest, text;  // text: what it would change, for people.
  nlohmann::json change;           // The same for machines; null: nothing more is known.
  Person asker, answerer;
  std::string answer_reason, outcome;
  std::chrono::sys_seconds asked{}, deadline{}, answered{};
  uint64_t version = 0;            // In the store.
};
[[nodiscard]] std::string_view name_of(Change::State state);
[[nodiscard]] nlohmann::json describe(const Change& change);

class ChangeBook {
 public:
  static constexpr uint32_t kPendingMax = 100;              // Hit: kUnavailable.
  static constexpr std::chrono::seconds kKeptFor{30 * 24 * 3600};  // Answered ones; the record has them.

  ChangeBook(Store& store, std::string gateway) : store_(store), gateway_(std::move(gateway)) {}

  // Of `change` act, arguments, reason, digest, text, change and deadline count.  Post: it waits, with a number never given twice.
  // Errors: kDenied (nobody stands behind `asker`), kInvalid (a token is among the arguments), kUnavailable (too many wait, or the store), kSystem.
  [[nodiscard]] Result<Change> ask(Change change, const Person& asker, std::chrono::sys_seconds now);

  // The newest first; `all`: answered ones too.  Errors: the store's.
  [[nodiscard]] Result<std::vector<Change>> list(bool all, std::chrono::sys_seconds now);
  // Errors: kNotFound, and the store's.
  [[nodiscard]] Result<Change> find(uint64_t number, std::chrono::sys_seconds now);

  // Whether `person` may approve it now, but for what it is bound to.  Errors: kNotFound, kDenied with why, and the store's.
  [[nodiscard]] Result<Change> approvable(uint64_t number, const Person& person, std::chrono::sys_seconds now);
  // Post: it is approved, durably: carry it out, then say finish().
  // Errors: those of approvable(); kDenied: `digest_now` is not what it was asked for, or somebody else answered in between.
  [[nodiscard]] Result<Change> approve(uint64_t number, const Person& person, std::string_view reason, std::string_view digest_now, std::chrono::sys_seconds now);
  // Who asked may take it back in this way.  Errors: kNotFound, kDenied (it is answered), and the store's.
  [[nodiscard]] Result<Change> deny(uint64_t number, const Person& person, std::string_view reason, std::chrono::sys_seconds now);
  // How it went; an approved change that failed is not tried again.  Errors: the store's.
  Result<void> finish(Change change, bool is_done, std::string outcome);
  // Those whose deadline has passed since the last call, now kExpired.  Old ones leave.
  [[nodiscard]] Result<std::vector<Change>> expire(std::chrono::sys_seconds now);

 private:
  [[nodiscard]] Result<std::vector<Change>> load();
  [[nodiscard]] Result<void> write(Change& change);
  Store& store_;
  const std::string gateway_;
};

}  // namespace weir::session
