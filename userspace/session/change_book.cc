#include "session/change_book.h"

#include <algorithm>

#include "core/time_text.h"

namespace weir::session {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using std::chrono::sys_seconds;
using State = Change::State;

constexpr std::string_view kKind = "change";
constexpr State kStates[] = {State::kPending, State::kApproved, State::kDenied, State::kExpired, State::kFailed};

json to_json(const Person& person) { return {{"way", person.way}, {"key", person.key}, {"text", person.text}}; }
Person person_in(const json& object) { return {object.at("way"), object.at("key"), object.at("text")}; }

std::string body_of(const Change& change) {
  const auto count = [](sys_seconds at) { return at.time_since_epoch().count(); };
  return json{{"state", name_of(change.state)}, {"gateway", change.gateway}, {"act", change.act}, {"arguments", change.arguments}, {"reason", change.reason}, {"digest", change.digest},
              {"text", change.text}, {"change", change.change}, {"asker", to_json(change.asker)}, {"answerer", to_json(change.answerer)}, {"answer_reason", change.answer_reason},
              {"outcome", change.outcome}, {"asked", count(change.asked)}, {"deadline", count(change.deadline)}, {"answered", count(change.answered)}}
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<Change> read(const StoreItem& item) {
  try {
    const json object = json::parse(item.body);
    const auto time = [&](const char* name) { return sys_seconds(seconds(object.at(name).get<int64_t>())); };
    Change change;
    const std::string state = object.at("state");
    const auto* known = std::find_if(std::begin(kStates), std::end(kStates), [&](State each) { return name_of(each) == state; });
    if (known == std::end(kStates)) return fail(Error::Kind::kCorrupt, "change " + item.id + ": no state is called \"" + state + "\"");
    change.state = *known;
    change.number = std::stoull(item.id);
    change.gateway = object.at("gateway");
    change.act = object.at("act");
    change.arguments = object.at("arguments");
    change.reason = object.at("reason");
    change.digest = object.at("digest");
    change.text = object.at("text");
    change.change = object.at("change");
    change.asker = person_in(object.at("asker"));
    change.answerer = person_in(object.at("answerer"));
    change.answer_reason = object.at("answer_reason");
    change.outcome = object.at("outcome");
    change.asked = time("asked");
    change.deadline = time("deadline");
    change.answered = time("answered");
    change.version = item.version;
    return change;
  } catch (const std::exception&) {   // Of the JSON library and of stoull().
    return fail(Error::Kind::kCorrupt, "change " + item.id + " in the store is damaged");
  }
}

// What is pending past its deadline has expired, also before anybody wrote that down.
bool is_late(const Change& change, sys_seconds now) { return change.state == State::kPending && now >= change.deadline; }

std::string named(uint64_t number) { return "change " + std::to_string(number); }

}  // namespace

Person person_of(const control::ControlPeer& peer) {
  if (peer.is_api()) return {"api", peer.issuer + "\n" + peer.subject, peer.subject + " of " + peer.issuer};
  const std::string uid = "uid " + std::to_string(peer.uid);
  if (peer.login_uid == control::ControlPeer::kNoLogin) return {"socket", "", uid + ", no login uid"};
  return {"socket", std::to_string(peer.login_uid), uid + ", login uid " + std::to_string(peer.login_uid)};
}

std::string_view name_of(State state) {
  switch (state) {
    case State::kPending: return "pending";
    case State::kApproved: return "approved";
    case State::kDenied: return "denied";
    case State::kExpired: return "expired";
    case State::kFailed: return "failed";
  }
  return "failed";
}

json describe(const Change& change) {
  return {{"number", change.number}, {"state", name_of(change.state)}, {"gateway", change.gateway}, {"act", change.act}, {"text", change.text}, {"change", change.change},
          {"digest", change.digest}, {"reason", change.reason}, {"by", change.asker.text}, {"asked", utc_text_if_set(change.asked)}, {"deadline", utc_text_if_set(change.deadline)},
          {"answered_by", change.answerer.text}, {"answer_reason", change.answer_reason}, {"answered", utc_text_if_set(change.answered)}, {"outcome", change.outcome}};
}

Result<std::vector<Change>> ChangeBook::load() {
  auto items = store_.load(kKind);
  if (!items) return tl::unexpected<Error>(items.error());
  std::vector<Change> all;
  for (const StoreItem& item : *items) {
    auto change = read(item);
    if (!change) return tl::unexpected<Error>(change.error());
    all.push_back(std::move(*change));
  }
  std::sort(all.begin(), all.end(), [](const Change& a, const Change& b) { return a.number > b.number; });
  return all;
}

Result<void> ChangeBook::write(Change& change) {
  auto written = store_.write({{std::string(kKind), std::to_string(change.number), change.version, body_of(change)}});
  if (!written && written.error().kind == Error::Kind::kDenied) return fail(Error::Kind::kDenied, named(change.number) + " was answered by somebody else a moment ago");
  if (written) ++change.version;
  return written;
}

Result<Change> ChangeBook::ask(Change change, const Person& asker, sys_seconds now) {
  if (asker.key.empty()) return fail(Error::Kind::kDenied, "a change that needs a second person needs a first one: " + asker.text + ": log in as yourself, or use the API with your token");
  if (change.arguments.contains("token")) return fail(Error::Kind::kInvalid, "an act that shows a token cannot wait for a second person");
  const auto waiting = list(false, now);
  if (!waiting) return tl::unexpected<Error>(waiting.error());
  if (waiting->size() >= kPendingMax) return fail(Error::Kind::kUnavailable, std::to_string(waiting->size()) + " changes wait already: `weir changes` lists them");
  const auto number = store_.take_numbers(kKind, 1, 0);
  if (!number) return tl::unexpected<Error>(number.error());
  change.state = State::kPending;
  change.number = *number;
  change.gateway = gateway_;
  change.asker = asker;
  change.asked = now;
  change.version = 0;
  if (auto written = write(change); !written) return tl::unexpected<Error>(written.error());
  return change;
}

Result<std::vector<Change>> ChangeBook::list(bool all, sys_seconds now) {
  auto found = load();
  if (!found) return found;
  for (Change& change : *found) {
    if (is_late(change, now)) change.state = State::kExpired;
  }
  if (!all) std::erase_if(*found, [](const Change& change) { return change.state != State::kPending; });
  return found;
}

Result<Change> ChangeBook::find(uint64_t number, sys_seconds now) {
  auto item = store_.find(kKind, std::to_string(number));
  if (!item) return tl::unexpected<Error>(item.error());
  if (!*item) return fail(Error::Kind::kNotFound, "there is no " + named(number) + ": `weir changes --all` lists them");
  auto change = read(**item);
  if (change && is_late(*change, now)) change->state = State::kExpired;
  return change;
}

Result<Change> ChangeBook::approvable(uint64_t number, const Person& person, sys_seconds now) {
  auto change = find(number, now);
  if (!change) return change;
  if (change->state == State::kExpired) return fail(Error::Kind::kDenied, named(number) + " had to be approved before " + utc_text(change->deadline) + ": ask for it again");
  if (change->state != State::kPending) return fail(Error::Kind::kDenied, named(number) + " was answered: " + std::string(name_of(change->state)));
  if (change->gateway != gateway_) return fail(Error::Kind::kDenied, named(number) + " is one of gateway " + change->gateway + ": approve it there");
  if (person.key.empty()) return fail(Error::Kind::kDenied, "nobody is known to stand behind " + person.text + ": log in as yourself, or use the API with your token");
  if (person.way != change->asker.way) {
    return fail(Error::Kind::kDenied, named(number) + " was asked for " + (change->asker.way == "api" ? "over the API" : "on the control socket") +
                                          ": it is approved the same way, since nothing tells that a login and a token are two people");
  }
  if (person.key == change->asker.key) return fail(Error::Kind::kDenied, named(number) + " is your own: somebody else approves it");
  return change;
}

Result<Change> ChangeBook::approve(uint64_t number, const Person& person, std::string_view reason, std::string_view digest_now, sys_seconds now) {
  auto change = approvable(number, person, now);
  if (!change) return change;
  if (change->digest != digest_now) {
    return fail(Error::Kind::kDenied, "changed since: " + named(number) + " was asked for " + change->digest.substr(0, 16) + ", and what is there now is " +
                                          std::string(digest_now.substr(0, 16)) + ": put it back, or ask again");
  }
  change->state = State::kApproved;
  change->answerer = person;
  change->answer_reason = reason;
  change->answered = now;
  if (auto written = write(*change); !written) return tl::unexpected<Error>(written.error());
  return change;
}

Result<Change> ChangeBook::deny(uint64_t number, const Person& person, std::string_view reason, sys_seconds now) {
  auto change = find(number, now);
  if (!change) return change;
  if (change->state != State::kPending) return fail(Error::Kind::kDenied, named(number) + " was answered: " + std::string(name_of(change->state)));
  change->state = State::kDenied;
  change->answerer = person;
  change->answer_reason = reason;
  change->answered = now;
  if (auto written = write(*change); !written) return tl::unexpected<Error>(written.error());
  return change;
}

Result<void> ChangeBook::finish(Change change, bool is_done, std::string outcome) {
  if (!is_done) change.state = State::kFailed;
  change.outcome = std::move(outcome);
  return write(change);
}

Result<std::vector<Change>> ChangeBook::expire(sys_seconds now) {
  auto all = load();
  if (!all) return all;
  std::vector<Change> late;
  for (Change& change : *all) {
    if (change.gateway != gateway_) continue;
    if (is_late(change, now)) {
      change.state = State::kExpired;
      change.answered = now;
      auto written = write(change);
      if (written) late.push_back(std::move(change));
      else if (written.error().kind != Error::Kind::kDenied) return tl::unexpected<Error>(written.error());
    } else if (change.state != State::kPending && now >= change.answered + kKeptFor) {
      (void)store_.write({{std::string(kKind), std::to_string(change.number), change.version, std::nullopt}});  // The next call tries again.
    }
  }
  return late;
}

}  // namespace weir::session
