// The scripts complete what the table of verbs holds, in the shells themselves.
#include "control/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>

namespace weir::control {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;
using testing::UnorderedElementsAre;

class Completion : public testing::Test {
 protected:
  Completion() {
    char name[] = "/tmp/weir-completion-XXXXXX";
    folder_ = mkdtemp(name);
    for (const std::string_view shell : kShells) std::ofstream(folder_ + "/" + std::string(shell)) << completion_script(shell, verbs_);
    std::ofstream(folder_ + "/some file.yaml");
  }
  ~Completion() override { std::filesystem::remove_all(folder_); }

  // What a shell prints that reads `script`; it must end well.
  std::vector<std::string> lines_of(const std::string& shell, const std::string& script) {
    std::ofstream(folder_ + "/script") << script;
    FILE* pipe = popen(("cd " + folder_ + " && timeout 20 " + shell + " script 2>&1").c_str(), "r");
    std::string text;
    char buffer[4096];
    for (std::size_t size = 0; (size = fread(buffer, 1, sizeof buffer, pipe)) != 0;) text.append(buffer, size);
    const int status = pclose(pipe);
    EXPECT_EQ(WEXITSTATUS(status), 0) << shell << ": " << text;
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  // The last word is the one being typed.
  std::vector<std::string> bash(const std::vector<std::string>& words) {
    std::string list;
    for (const std::string& word : words) list += " '" + word + "'";
    return lines_of("bash --norc", "source ./bash\nCOMP_WORDS=(" + list + ")\nCOMP_CWORD=" + std::to_string(words.size() - 1) +
                                       "\n_weir\n[ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\\n' \"${COMPREPLY[@]}\"\n");
  }
  std::vector<std::string> fish(const std::string& line) {
    std::vector<std::string> lines = lines_of("fish --no-config", "source ./fish\ncomplete -C '" + line + "'\n");
    for (std::string& text : lines) text.resize(std::min(text.find('\t'), text.size()));
    return lines;
  }
  static std::vector<std::string> options_of(const Verb& verb) {
    std::vector<std::string> names;
    for (const CompletedOption& option : options_for_completion(verb)) names.push_back(option.name);
    return names;
  }

  std::string folder_;
  std::vector<Verb> verbs_ = all_verbs({});
};

TEST_F(Completion, BashKnowsEveryVerbAndEveryOptionOfIt) {
  std::vector<std::string> names{"help"};
  for (const Verb& verb : verbs_) {
    names.emplace_back(verb.name);
    const auto options = bash({"weir", std::string(verb.name), "--"});
    EXPECT_EQ(std::set(options.begin(), options.end()), [&] { const auto own = options_of(verb); return std::set(own.begin(), own.end()); }()) << verb.name;
    EXPECT_THAT(options, IsSupersetOf({"--config", "--json", "--help"})) << verb.name;
  }
  EXPECT_THAT(bash({"weir", ""}), testing::UnorderedElementsAreArray(names));
  EXPECT_THAT(bash({"weir", "che"}), ElementsAre("check"));
  EXPECT_THAT(bash({"weir", "reload", "--r"}), ElementsAre("--reason"));
  EXPECT_THAT(bash({"weir", "nothing", "--"}), IsEmpty());
}

TEST_F(Completion, BashKnowsWordsValuesAndFiles) {
  EXPECT_THAT(bash({"weir", "help", "relo"}), ElementsAre("reload"));
  EXPECT_THAT(bash({"weir", "ca", ""}), UnorderedElementsAre("init", "show"));
  EXPECT_THAT(bash({"weir", "changes", "a"}), ElementsAre("approve"));
  EXPECT_THAT(bash({"weir", "completion", ""}), UnorderedElementsAre("bash", "zsh", "fish"));
  EXPECT_THAT(bash({"weir", "check", "--config", "so"}), ElementsAre("some file.yaml"));
  EXPECT_THAT(bash({"weir", "check", "--config", "=", "so"}), ElementsAre("some file.yaml")) << "--config=so";
  EXPECT_THAT(bash({"weir", "reload", "--reason", "so"}), IsEmpty()) << "nobody knows the reason";
  EXPECT_THAT(bash({"weir", "verify", "so"}), ElementsAre("some file.yaml")) << "FOLDER stands by itself";
  EXPECT_THAT(bash({"weir", "status", "so"}), IsEmpty());
}

TEST_F(Completion, FishCompletesAndOffersNoWordOfAnotherVerb) {
  std::vector<std::string> names{"help"};
  for (const Verb& verb : verbs_) {
    names.emplace_back(verb.name);
    const auto options = fish("weir " + std::string(verb.name) + " --");
    EXPECT_THAT(options, IsSupersetOf(options_of(verb))) << verb.name;
  }
  EXPECT_THAT(fish("weir "), testing::UnorderedElementsAreArray(names));
  EXPECT_THAT(fish("weir ca "), UnorderedElementsAre("init", "show"));
  EXPECT_THAT(fish("weir changes deny --t"), Not(Contains("--token-file"))) << "deny is a word here, no verb";
  EXPECT_THAT(fish("weir help relo"), ElementsAre("reload"));
  EXPECT_THAT(fish("weir check --config some"), ElementsAre("some file.yaml"));
}

// Its completion functions are stood in for: what they are given is looked at.
TEST_F(Completion, ZshIsGivenEveryVerbAndOption) {
  const std::string stubs = "_arguments() { print -rl -- \"$@\" }\n_describe() { print -rl -- ${(P)2} }\ncompdef() { print -r -- \"registered $*\" }\nsource ./zsh\n";
  for (const Verb& verb : verbs_) {
    const auto given = lines_of("zsh -f", stubs + "words=(weir " + std::string(verb.name) + " '')\nCURRENT=3\n_weir\n");
    EXPECT_THAT(given, Contains("registered _weir weir"));
    for (const std::string& option : options_of(verb)) {
      EXPECT_TRUE(std::any_of(given.begin(), given.end(), [&](const std::string& line) { return line.starts_with("*" + option + "[") || line.starts_with("*" + option + "=["); })) << verb.name << " " << option;
    }
  }
  const auto names = lines_of("zsh -f", stubs + "words=(weir '')\nCURRENT=2\n_weir\n");
  EXPECT_EQ(names.size(), verbs_.size() + 2) << testing::PrintToString(names);
  EXPECT_THAT(lines_of("zsh -f", stubs + "words=(weir ca '')\nCURRENT=3\n_weir\n"), Contains("1:word:(init show)"));
  lines_of("zsh -f", "autoload -Uz compinit\ncompinit -u -D\nsource ./zsh\n[[ $_comps[weir] == _weir ]]\n");
}

TEST_F(Completion, WordsAreReadFromTheSynopsis) {
  Verb verb;
  verb.synopsis = "[N] [--all] | approve N --reason TEXT | deny N [--as name] | FILE";
  EXPECT_THAT(words_for_completion(verb), ElementsAre("approve", "deny"));
  EXPECT_TRUE(takes_file(verb));
  verb.synopsis = "--config FILE | ID";
  EXPECT_THAT(words_for_completion(verb), IsEmpty());
  EXPECT_FALSE(takes_file(verb));
}

}  // namespace
}  // namespace weir::control
