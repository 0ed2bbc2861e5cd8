// The command line: a table of verbs (all_verbs.cc), each in a file verb_<name>.cc.  Nothing registers itself.
#pragma once
#include <boost/program_options/options_description.hpp>
#include <boost/program_options/variables_map.hpp>
#include <chrono>
#include <functional>
#include <istream>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/result.h"
#include "control/config_loader.h"
#include "identify/https.h"

namespace weir::control {

// The same for every verb; each --help says which it can give.
enum ExitCode : int {
  kExitDone = 0,
  kExitFinding = 1,    // Done, and what was looked at is not as it should be; or what was asked for is not there.
  kExitUsage = 2,      // The command line or the configuration is wrong.
  kExitNoEngine = 3,   // The engine is not running, or does not answer.
  kExitDenied = 4,     // The caller may not do that.
  kExitSystem = 5,     // The system refused.
};
int exit_code_of(const Error& error);

// Everything that a verb may touch of the process.
struct Terminal {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false, err_is_terminal = false;
  std::function<const char*(const char*)> environment;   // As getenv().
  std::function<void(std::chrono::milliseconds)> wait = [](std::chrono::milliseconds time) { std::this_thread::sleep_for(time); };
  identify::Https https = [](const identify::HttpsRequest& request) { return identify::https_request(request); };
};

struct Verb;
// One call of one verb: its options as read, and how it answers.
class VerbCall {
 public:
  VerbCall(Terminal& terminal_of, const Verb& verb_of, boost::program_options::variables_map options_of);

  Terminal& terminal;
  const Verb& verb;
  boost::program_options::variables_map options;
  bool json = false;                                     // --json
  bool colour = false;                                   // stdout is a terminal and NO_COLOR is not set.

  [[nodiscard]] bool has(const char* option) const { return options.count(option) != 0; }
  [[nodiscard]] std::string text(const char* option) const;          // "" if it is not given.
  [[nodiscard]] std::vector<std::string> texts(const char* option) const;
  [[nodiscard]] const std::vector<std::string>& words() const { return words_; }  // Positional, after the verb.

  // --config, else $WEIR_CONFIG, else /etc/weir/weir.yaml.
  [[nodiscard]] std::string config_path() const;
  [[nodiscard]] ConfigOptions config_options(bool check_files) const;
  // Loads; prints every problem.  nullopt: not usable, return kExitUsage.
  std::optional<LoadedConfig> load(bool check_files = true);
  // For verbs that need `state` alone and should work while the file is being edited: only what they need must be right.
  std::optional<Config> load_state();

  // Asks the engine of `config`; prints an error.  nullopt: return `exit_code`.
  std::optional<nlohmann::json> ask(const Config& config, const std::string& what, const nlohmann::json& arguments, int& exit_code);

  void print_json(const nlohmann::ordered_json& value);  // One line.
  int fail(const Error& error);                          // Prints it; its exit code.
  int fail(int code, std::string_view message);
  void print_problems(const std::vector<ConfigProblem>& problems);

 private:
  std::vector<std::string> words_;
};

struct Verb {
  std::string_view name;
  std::string_view group;        // Verbs of one group stand together in `weir help`, in flow order.
  std::string_view summary;      // One line.
  std::string_view synopsis;     // After "weir name ".
  std::string_view description;  // Paragraphs.
  std::string_view exits;        // "0 done, 2 ...": lines.
  std::string_view example;      // Lines, without "$ ".
  void (*add_options)(boost::program_options::options_description&) = nullptr;
  std::function<int(VerbCall&)> run;
};

// All of the command line.  `arguments` without the program's name.
int run_cli(const std::vector<Verb>& verbs, const std::vector<std::string>& arguments, Terminal& terminal);
std::string help_text(const std::vector<Verb>& verbs, bool colour);
std::string help_text(const Verb& verb);

// What `weir run` needs to begin with, and to read the configuration again on a reload.
struct RunContext {
  LoadedConfig loaded;           // Usable; warnings are in it.
  std::string path;              // As given or found.
  ConfigOptions options;
};
using RunEngine = std::function<int(const RunContext&)>;   // Serves until SIGTERM; an ExitCode.

// The table, in the order of `weir help`.
std::vector<Verb> all_verbs(RunEngine run_engine);

Verb up_verb();
Verb down_verb();
Verb bypass_verb();
Verb run_verb(RunEngine run_engine);
Verb reload_verb();
Verb check_verb();
Verb doctor_verb();
Verb status_verb();
Verb ca_verb();
Verb rules_verb();
Verb explain_verb();
Verb grants_verb();
Verb bind_verb();
Verb login_verb();
Verb revoke_verb();
Verb cut_verb();
Verb bindings_verb();
Verb tickets_verb();
Verb approve_verb();
Verb deny_verb();
Verb changes_verb();
Verb alerts_verb();
Verb sessions_verb();
Verb replay_verb();
Verb events_verb();
Verb export_verb();
Verb verify_verb();
Verb prove_verb();
Verb evidence_verb();
Verb retention_verb();
Verb index_verb();
Verb version_verb();
Verb completion_verb();

}  // namespace weir::control
