// Acts that wait for a second person, and what is in force after a start without one.
#include <unistd.h>

#include <algorithm>

#include "control/config_parts.h"
#include "core/json_fields.h"
#include "session/act_rules.h"
#include "session/engine_state.h"

namespace weir::session {
namespace {

using nlohmann::json;

constexpr std::string_view kInForce = "configuration";   // Kind in the store; id: the gateway's name.

json parts_of(const Config& config) {
  json files = json::array(), parts = json::array();
  for (const ConfigFile& file : config.files) files.push_back({file.path, file.digest});
  for (const ConfigPart& part : config.parts) parts.push_back({part.kind, part.name, part.digest});
  return {{"digest", config.digest}, {"files", std::move(files)}, {"parts", std::move(parts)}};
}
// Enough of a configuration for change_between().  Throws over what is not ours.
Config config_of(const json& kept) {
  Config config;
  config.digest = kept.at("digest");
  for (const json& file : kept.at("files")) config.files.push_back({file.at(0), file.at(1)});
  for (const json& part : kept.at("parts")) config.parts.push_back({part.at(0), part.at(1), part.at(2)});
  return config;
}

// What the act would do, but for a reload: its arguments say all of it.
std::string text_of(std::string_view verb, const json& arguments) {
  std::string text(verb);
  for (const auto& [name, value] : arguments.items()) {
    if (name != "reason") text += " " + name + " " + (value.is_string() ? value.get<std::string>() : value.dump());
  }
  return text.substr(0, 512);
}

}  // namespace

// Errors: what the act itself would be refused with, as far as it is known before.
Result<Engine::Wanted> Engine::wanted_by(const std::string& verb, const json& arguments, const control::ControlPeer& peer) {
  if (verb != "reload") return Wanted{control::sha256_text(verb + "\n" + arguments.dump(-1, ' ', false, json::error_handler_t::replace)), text_of(verb, arguments), nullptr};
  auto preview = reload(arguments, peer, {"", true});
  if (!preview) return tl::unexpected<Error>(preview.error());
  return Wanted{preview->at("digest"), control::change_text(preview->at("change")), preview->at("change")};
}

Result<json> Engine::ask_change(const std::string& verb, const json& arguments, const control::ControlPeer& peer) {
  auto wanted = wanted_by(verb, arguments, peer);
  if (!wanted) return tl::unexpected<Error>(wanted.error());
  Change change;
  change.act = verb;
  change.arguments = arguments;
  change.reason = text_at(arguments, "reason");
  change.digest = std::move(wanted->digest);
  change.text = std::move(wanted->text);
  change.change = std::move(wanted->change);
  change.deadline = wall_seconds() + config().changes_deadline;
  auto asked = changes_->ask(std::move(change), person_of(peer), wall_seconds());
  if (!asked) return tl::unexpected<Error>(asked.error());
  logging_->log().info("change {}: {} asked for by {}: {}", asked->number, verb, control::escape_bytes(asked->asker.text), control::escape_bytes(asked->text));
  if (verb == "reload") on_disk_ = "waits for a second person: change " + std::to_string(asked->number);
  json answer = describe(*asked);
  answer["pending"] = asked->number;
  return answer;
}

Result<json> Engine::list_changes(const json& arguments) {
  if (arguments.contains("change")) {
    const auto found = changes_->find(number_at(arguments, "change"), wall_seconds());
    if (!found) return tl::unexpected<Error>(found.error());
    return describe(*found);
  }
  const auto all = changes_->list(arguments.value("all", false), wall_seconds());
  if (!all) return tl::unexpected<Error>(all.error());
  json list = json::array();
  for (const Change& change : *all) list.push_back(describe(change));
  return list;
}

Result<json> Engine::answer_change(std::string_view verb, const json& arguments, const control::ControlPeer& peer) {
  const uint64_t number = number_at(arguments, "change");
  const std::string reason = text_at(arguments, "reason");
  const Person person = person_of(peer);
  if (verb == "change-deny") {
    const auto denied = changes_->deny(number, person, reason, wall_seconds());
    if (!denied) return tl::unexpected<Error>(denied.error());
    if (denied->act == "reload") on_disk_ = "not in force: change " + std::to_string(number) + " was denied";
    return describe(*denied);
  }
  const auto asked = changes_->approvable(number, person, wall_seconds());
  if (!asked) return tl::unexpected<Error>(asked.error());
  const auto wanted = wanted_by(asked->act, asked->arguments, peer);
  if (!wanted) return tl::unexpected<Error>(wanted.error());
  auto approved = changes_->approve(number, person, reason, wanted->digest, wall_seconds());
  if (!approved) return tl::unexpected<Error>(approved.error());
  auto done = approved->act == "reload" ? reload(approved->arguments, peer, {approved->digest, false}) : carry_out(approved->act, approved->arguments, peer);
  if (auto finished = changes_->finish(*approved, done.has_value(), done ? "done" : done.error().message); !finished) {
    logging_->log().error("change {}: how it went could not be kept: {}", number, finished.error().message);
  }
  if (!done) return tl::unexpected<Error>(done.error());
  json answer = describe(*approved);
  answer["outcome"] = "done";
  answer["result"] = std::move(*done);
  return answer;
}

// A restart takes the files as they are, without anybody's reason: what differs from what was in force before is said on the record.
void Engine::note_start() {
  const auto kept = store_->find(kInForce, config().name);
  if (!kept) return logging_->log().error("what was in force before this start is not known: {}", kept.error().message);
  if (*kept) {
    const json before = json::parse((*kept)->body, nullptr, false);
    if (before.is_object() && text_at(before, "digest") == config().digest) return;
    json change;
    try {
      change = control::change_between(config_of(before), config());
    } catch (const json::exception&) {
      change = nullptr;
      logging_->log().error("what was in force before this start cannot be read");
    }
    const bool is_unsigned = needs_second_person("reload");
    const std::string what = change.is_null() ? "unknown" : control::change_text(change);
    logging_->log().warn("this start puts another configuration in force than the one before{}: {}", is_unsigned ? ", which nobody else approved" : "", control::escape_bytes(what));
    Act act;
    act.name = "start";
    act.text = act_text({{"by", {{"via", "start"}, {"uid", getuid()}}}, {"object", "configuration: " + what},
                         {"outcome", is_unsigned ? "done: without a second person" : "done"}, {"change", std::move(change)}});
    act.reason = "read at a start";
    (void)record_act(std::move(act));   // Counted and said.
  }
  keep_in_force();
}

void Engine::keep_in_force() {
  const auto kept = store_->find(kInForce, config().name);
  const uint64_t version = kept && *kept ? (*kept)->version : 0;
  if (auto written = store_->write({{std::string(kInForce), config().name, version, parts_of(config()).dump(-1, ' ', false, json::error_handler_t::replace)}}); !written) {
    logging_->log().error("what is in force now could not be kept for the next start: {}", written.error().message);
  }
}

bool Engine::needs_second_person(std::string_view verb) const {
  const std::vector<std::string>& acts = config().changes_second_person;
  return std::find(acts.begin(), acts.end(), verb) != acts.end();
}

// A minute late at most, for the log: whoever asks is told right by the clock.
void Engine::expire_changes() {
  if (wall_seconds() < changes_looked_at_ + std::chrono::minutes(1)) return;
  changes_looked_at_ = wall_seconds();
  const auto late = changes_->expire(wall_seconds());
  if (!late) {
    if (!std::exchange(is_store_told_, true)) logging_->log().error("changes: {}", late.error().message);
    return;
  }
  is_store_told_ = false;
  for (const Change& change : *late) logging_->log().info("change {}: {} was approved by nobody in time", change.number, change.act);
}

}  // namespace weir::session
