#include <unistd.h>

#include <algorithm>
#include <boost/program_options/parsers.hpp>
#include <boost/program_options/positional_options.hpp>
#include <boost/program_options/value_semantic.hpp>
#include <sstream>

#include "control/cli_text.h"
#include "control/completion.h"
#include "control/control_client.h"
#include "control/verbs.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;

po::options_description options_of(const Verb& verb) {
  po::options_description options("Options", 100, 60);
  if (verb.add_options != nullptr) verb.add_options(options);
  options.add_options()
      ("config", po::value<std::string>()->value_name("FILE"), "configuration; else $WEIR_CONFIG, else /etc/weir/weir.yaml")
      ("json", "answer in JSON")
      ("help,h", "this text");
  return options;
}

// Boost's words are for programmers; these are for people.
std::string text_of(const po::error& wrong, const po::options_description& options) {
  if (const auto* unknown = dynamic_cast<const po::unknown_option*>(&wrong)) {
    std::vector<std::string> names;
    for (const auto& option : options.options()) names.push_back("--" + option->long_name());
    const std::string given = unknown->get_option_name();
    const std::string_view near = nearest(given, {names.begin(), names.end()});
    return "unknown option " + given + (near.empty() ? "" : " (did you mean " + std::string(near) + "?)");
  }
  return wrong.what();
}

int call_verb(const Verb& verb, const std::vector<std::string>& arguments, Terminal& terminal) {
  const po::options_description visible = options_of(verb);
  po::options_description all;
  all.add(visible);
  all.add_options()("words", po::value<std::vector<std::string>>());
  po::positional_options_description positional;
  positional.add("words", -1);
  po::variables_map options;
  try {
    const auto style = (po::command_line_style::default_style | po::command_line_style::allow_long) & ~po::command_line_style::allow_guessing;
    po::store(po::command_line_parser(arguments).options(all).positional(positional).style(style).run(), options);
    po::notify(options);
  } catch (const po::error& wrong) {
    terminal.err << "weir " << verb.name << ": " << text_of(wrong, visible) << "\ntry: weir " << verb.name << " --help\n";
    return kExitUsage;
  }
  if (options.count("help") != 0) {
    terminal.out << help_text(verb);
    return kExitDone;
  }
  VerbCall call(terminal, verb, std::move(options));
  return verb.run(call);
}

}  // namespace

int exit_code_of(const Error& error) {
  switch (error.kind) {
    case Error::Kind::kInvalid: return kExitUsage;
    case Error::Kind::kNotFound: return kExitFinding;
    case Error::Kind::kDenied: return kExitDenied;
    case Error::Kind::kUnavailable: return kExitNoEngine;
    case Error::Kind::kCorrupt: return kExitFinding;
    case Error::Kind::kSystem: return kExitSystem;
  }
  return kExitSystem;
}

VerbCall::VerbCall(Terminal& terminal_of, const Verb& verb_of, po::variables_map options_of)
    : terminal(terminal_of), verb(verb_of), options(std::move(options_of)), json(has("json")) {
  const char* no_colour = terminal.environment("NO_COLOR");
  colour = terminal.out_is_terminal && (no_colour == nullptr || *no_colour == '\0');
  if (has("words")) words_ = options["words"].as<std::vector<std::string>>();
}

std::string VerbCall::text(const char* option) const { return has(option) ? options[option].as<std::string>() : std::string(); }

std::vector<std::string> VerbCall::texts(const char* option) const {
  return has(option) ? options[option].as<std::vector<std::string>>() : std::vector<std::string>();
}

std::string VerbCall::config_path() const {
  if (has("config")) return text("config");
  const char* from_environment = terminal.environment("WEIR_CONFIG");
  return from_environment != nullptr && *from_environment != '\0' ? from_environment : "/etc/weir/weir.yaml";
}

ConfigOptions VerbCall::config_options(bool check_files) const { return {texts("set"), check_files}; }

std::optional<LoadedConfig> VerbCall::load(bool check_files) {
  LoadedConfig loaded = load_config(config_path(), config_options(check_files));
  if (loaded.is_usable()) return loaded;
  print_problems(loaded.problems);
  return std::nullopt;
}

std::optional<Config> VerbCall::load_state() {
  LoadedConfig loaded = load_config(config_path(), config_options(false));
  if (!loaded.config.state.empty() && !loaded.config.control.socket.empty()) return std::move(loaded.config);
  print_problems(loaded.problems);
  return std::nullopt;
}

std::optional<nlohmann::json> VerbCall::ask(const Config& config, const std::string& what, const nlohmann::json& arguments, int& exit_code) {
  auto answer = ask_engine(config.control.socket, what, arguments);
  if (answer) return std::move(*answer);
  exit_code = fail(answer.error());
  return std::nullopt;
}

void VerbCall::print_json(const nlohmann::ordered_json& value) {
  terminal.out << value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
}

int VerbCall::fail(const Error& error) { return fail(exit_code_of(error), error.message); }

int VerbCall::fail(int code, std::string_view message) {
  terminal.err << "weir " << verb.name << ": " << message << "\n";
  return code;
}

void VerbCall::print_problems(const std::vector<ConfigProblem>& problems) {
  for (const ConfigProblem& problem : problems) {
    const bool is_error = problem.severity == ConfigProblem::Severity::kError;
    terminal.err << paint(control::text_of(problem), is_error ? Colour::kRed : Colour::kYellow, terminal.err_is_terminal && colour) << "\n";
  }
}

std::vector<CompletedOption> options_for_completion(const Verb& verb) {
  const po::options_description options = options_of(verb);
  std::vector<CompletedOption> all;
  for (const auto& option : options.options()) {
    const bool takes_value = option->semantic()->max_tokens() != 0;
    all.push_back({"--" + option->long_name(), takes_value ? option->semantic()->name() : "", option->description()});
  }
  return all;
}

std::string help_text(const Verb& verb) {
  std::ostringstream text;
  text << "NAME\n  weir " << verb.name << " - " << verb.summary << "\n\n";
  text << "SYNOPSIS\n  weir " << verb.name << (verb.synopsis.empty() ? "" : " ") << verb.synopsis << "\n\n";
  text << "DESCRIPTION\n" << wrapped(verb.description, 2) << "\n";
  std::ostringstream options;
  options << options_of(verb);
  const std::string lines = options.str();
  text << "OPTIONS\n" << lines.substr(lines.find('\n') + 1) << "\n";
  text << "EXIT STATUS\n" << wrapped(verb.exits, 2) << "\n";
  text << "EXAMPLE\n" << wrapped(verb.example, 2);
  return text.str();
}

std::string help_text(const std::vector<Verb>& verbs, bool colour) {
  std::ostringstream text;
  text << "weir - a gateway that knows who asks, reads every command before it is passed on, and keeps the record\n\n"
          "usage: weir VERB [OPTIONS]\n";
  std::size_t width = 0;
  for (const Verb& verb : verbs) width = std::max(width, verb.name.size());
  std::string_view group;
  for (const Verb& verb : verbs) {
    if (verb.group != group) text << "\n" << paint(verb.group, Colour::kBold, colour) << "\n";
    group = verb.group;
    text << "  " << verb.name << std::string(width - verb.name.size() + 2, ' ') << verb.summary << "\n";
  }
  text << "\nEvery verb has --help with an example, and --json.  Configuration: --config FILE, else $WEIR_CONFIG, else /etc/weir/weir.yaml\n";
  return text.str();
}

int run_cli(const std::vector<Verb>& verbs, const std::vector<std::string>& arguments, Terminal& terminal) {
  const char* no_colour = terminal.environment("NO_COLOR");
  const bool colour = terminal.out_is_terminal && (no_colour == nullptr || *no_colour == '\0');
  const auto find = [&](std::string_view name) { return std::find_if(verbs.begin(), verbs.end(), [&](const Verb& v) { return v.name == name; }); };
  if (arguments.empty() || arguments[0] == "help" || arguments[0] == "--help" || arguments[0] == "-h") {
    if (arguments.size() > 1 && find(arguments[1]) != verbs.end()) {
      terminal.out << help_text(*find(arguments[1]));
      return kExitDone;
    }
    if (arguments.size() < 2) {
      terminal.out << help_text(verbs, colour);
      return kExitDone;
    }
  }
  const std::string name = arguments[0] == "--version" ? "version" : arguments[0] == "help" ? arguments[1] : arguments[0];
  const auto verb = find(name);
  if (verb != verbs.end()) return call_verb(*verb, {arguments.begin() + 1, arguments.end()}, terminal);
  std::vector<std::string_view> names;
  for (const Verb& known : verbs) names.push_back(known.name);
  const std::string_view near = nearest(name, names);
  terminal.err << "weir: there is no verb \"" << name << "\"" << (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?") << "\ntry: weir help\n";
  return kExitUsage;
}

}  // namespace weir::control
