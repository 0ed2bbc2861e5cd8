// status: engine and kernel side, also when the engine is down.
#include <algorithm>

#include "control/cli_text.h"
#include "control/control_client.h"
#include "control/logging.h"
#include "control/verbs.h"
#include "steer/steer.h"

namespace weir::control {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

ordered_json counts_json(const std::vector<steer::ReasonCount>& counts) {
  ordered_json object = ordered_json::object();
  for (const steer::ReasonCount& count : counts) object[count.name] = count.packets;
  return object;
}

ordered_json bypasses_json(const std::vector<steer::KernelBypass>& bypasses) {
  ordered_json all = ordered_json::array();
  for (const steer::KernelBypass& bypass : bypasses) {
    const steer::BypassCounts& counts = bypass.counts;
    all.push_back({{"target", bypass.target}, {"left_seconds", std::chrono::ceil<std::chrono::seconds>(bypass.left).count()}, {"flows", counts.flows},
                   {"packets_to_target", counts.packets_to_target}, {"bytes_to_target", counts.bytes_to_target},
                   {"packets_to_client", counts.packets_to_client}, {"bytes_to_client", counts.bytes_to_client}});
  }
  return all;
}

ordered_json kernel_json(const Result<steer::Status>& status) {
  if (!status) return {{"up", nullptr}, {"error", status.error().message}};
  ordered_json missing = ordered_json::array();
  for (const steer::Piece& piece : status->pieces) {
    if (!piece.is_in_place) missing.push_back({{"kind", piece.kind}, {"name", piece.name}, {"found", piece.detail}});
  }
  return {{"up", status->is_up},
          {"listening", status->is_engine_listening},
          {"steered", status->steered},
          {"sent", status->sent},
          {"passed", status->passed},
          {"dropped", counts_json(status->dropped)},
          {"other", counts_json(status->by_reason)},
          {"bindings", status->bindings},
          {"flows", status->flows},
          {"bypasses", bypasses_json(status->bypasses)},
          {"missing", std::move(missing)},
          {"programs", status->programs}};
}

// The engine's answer, or why there is none.
ordered_json engine_json(const Result<json>& answer) {
  if (!answer) return {{"running", answer.error().kind == Error::Kind::kUnavailable ? ordered_json(false) : ordered_json(nullptr)}, {"error", answer.error().message}};
  ordered_json engine = answer->value("engine", json::object());
  engine["running"] = true;
  return engine;
}

// "accepting true, seals 12, recovered.interrupted 1": plain values, one level of objects with a dot.
std::string values_text(const ordered_json& object, const std::string& prefix, bool colour) {
  std::string text;
  for (const auto& [key, item] : object.items()) {
    std::string part;
    if (item.is_object() && prefix.empty()) {
      part = values_text(item, key + ".", colour);
    } else if (!item.is_structured()) {
      const std::string value = item.is_string() ? item.get<std::string>() : item.dump();
      const bool is_bad = value.find("refused") != std::string::npos || value.find("failed") != std::string::npos;
      if (!value.empty()) part = prefix + key + " " + paint(escape_bytes(value), is_bad ? Colour::kRed : Colour::kNone, colour);
    }
    if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
  }
  return text;
}

// One line for a section that the engine names; of a list, one line an entry.
void print_section(std::ostream& out, bool colour, const std::string& name, const ordered_json& section) {
  const std::string label = name + std::string(name.size() < 8 ? 9 - name.size() : 1, ' ');
  if (section.is_object()) out << label << values_text(section, "", colour) << "\n";
  if (!section.is_array()) return;
  for (std::size_t i = 0; i < section.size(); ++i) {
    if (section[i].is_object()) out << (i == 0 ? label : std::string(label.size(), ' ')) << values_text(section[i], "", colour) << "\n";
  }
}

void print_engine(std::ostream& out, bool colour, const ordered_json& status) {
  const ordered_json& engine = status["engine"];
  if (engine["running"] != true) {
    out << "engine   " << paint(engine["running"] == false ? "not running" : "unknown: " + engine.value("error", std::string()), Colour::kRed, colour)
        << (engine["running"] == false && status["kernel"].value("up", ordered_json()) == true ? "; what goes to a target ends in the kernel until it does: weir run\n" : "\n");
    return;
  }
  out << "engine   " << paint("running", Colour::kGreen, colour) << ", pid " << engine.value("pid", 0);
  if (engine.contains("version")) out << ", version " << engine.value("version", std::string());
  if (engine.contains("started")) out << ", since " << engine.value("started", std::string());
  if (engine.contains("sessions")) out << ", " << counted(engine.value("sessions", uint64_t{0}), "live session");
  out << "\n";
  if (engine.contains("config")) print_section(out, colour, "config", engine["config"]);
  for (const auto& [section, value] : status.items()) {
    if (section != "engine" && section != "kernel") print_section(out, colour, section, value);
  }
}

void print_kernel(std::ostream& out, bool colour, const ordered_json& kernel) {
  if (kernel.contains("error")) {
    out << "kernel   " << paint("unknown: " + kernel["error"].get<std::string>(), Colour::kYellow, colour) << "\n";
    return;
  }
  if (kernel["up"] != true) {
    out << "kernel   " << paint("not up", Colour::kRed, colour) << "; nothing is steered: weir up\n";
    return;
  }
  out << "kernel   " << paint("up", Colour::kGreen, colour) << ", " << kernel["steered"] << " packets steered, " << kernel["sent"] << " sent, " << kernel["passed"]
      << " passed untouched; " << kernel["bindings"] << " bindings, " << kernel["flows"] << " flows\n";
  for (const auto& bypass : kernel["bypasses"]) {
    if (bypass["left_seconds"] == 0) continue;
    out << paint("BYPASS   new flows to " + bypass["target"].get<std::string>() + " pass raw, unjudged and unrecorded, for another " + bypass["left_seconds"].dump() + " s", Colour::kRed, colour)
        << "; so far " << counted(bypass["flows"].get<uint64_t>(), "flow") << ", " << bypass["bytes_to_target"] << " bytes to the target, " << bypass["bytes_to_client"] << " to clients\n";
  }
  for (const auto& missing : kernel["missing"]) {
    out << "         " << paint("missing: " + missing["kind"].get<std::string>() + " " + missing["name"].get<std::string>(), Colour::kRed, colour) << "\n";
  }
  TextTable table({{""}, {"", TextTable::Align::kRight}, {""}});
  for (const auto& [reason, count] : kernel["dropped"].items()) {
    if (count != 0) table.add({"dropped ", count.dump(), reason});
  }
  table.print(out, colour);
}

int run_status(VerbCall& call) {
  const auto config = call.load_state();
  if (!config) return kExitUsage;
  const Result<json> answer = ask_engine(config->control.socket, "status", json::object());
  const auto kernel = steer::status(*config);
  ordered_json status{{"engine", engine_json(answer)}, {"kernel", kernel_json(kernel)}};
  if (answer) {
    for (const auto& [section, value] : answer->items()) {
      if (section != "engine" && section != "kernel") status[section] = value;
    }
    if (!kernel && answer->contains("kernel")) status["kernel"] = (*answer)["kernel"];
  }
  if (call.json) {
    call.print_json(status);
  } else {
    print_engine(call.terminal.out, call.colour, status);
    print_kernel(call.terminal.out, call.colour, status["kernel"]);
  }
  if (!answer) return exit_code_of(answer.error());
  const ordered_json& side = status["kernel"];
  const bool is_bypassed = kernel && std::any_of(kernel->bypasses.begin(), kernel->bypasses.end(), [](const steer::KernelBypass& each) { return each.left.count() > 0; });
  return side.value("up", ordered_json()) == true && side.value("missing", ordered_json::array()).empty() && !is_bypassed ? kExitDone : kExitFinding;
}

}  // namespace

Verb status_verb() {
  return {.name = "status",
          .group = "Look",
          .summary = "engine and kernel side, their counts, what is missing",
          .synopsis = "",
          .description = "What the engine says of itself (pid, configuration in force and on disk, sessions, record) and what the kernel side has counted, every drop by its reason. "
                         "Works without an engine, and says so.\nJSON: {engine: {running, pid, ...}, kernel: {up, steered, passed, dropped: {REASON: packets}, bypasses: [...], missing: [...]}, ...}",
          .exits = "0 the engine runs and the kernel side is whole\n1 the kernel side is not up, a piece of it is missing, or a bypass is on\n2 the configuration does not say where the state is\n3 the engine is not running\n4 the engine may not be asked: not root, nor its user",
          .example = "weir status\nweir status --json | jq .kernel.dropped",
          .run = run_status};
}

}  // namespace weir::control
