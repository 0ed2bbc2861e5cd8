#include "control/completion.h"

#include <algorithm>
#include <cctype>
#include <sstream>

#include "control/version.h"

namespace weir::control {
namespace {

// The synopsis as words: "[--set KEY=VALUE] | show" is --set, KEY=VALUE, |, show.
std::vector<std::string> tokens_of(std::string_view synopsis) {
  std::string text(synopsis);
  std::erase_if(text, [](char c) { return c == '[' || c == ']' || c == '(' || c == ')'; });
  std::istringstream in(text);
  std::vector<std::string> tokens;
  for (std::string token; in >> token;) tokens.push_back(std::move(token));
  return tokens;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// In single quotes of a shell; `closed` is how a quote is written inside.
std::string quoted(std::string_view text, std::string_view closed) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += closed;
    else out += c;
  }
  return out + "'";
}

std::string bash(const std::vector<Verb>& verbs) {
  std::vector<std::string> names{"help"};
  for (const Verb& verb : verbs) names.emplace_back(verb.name);
  std::string text = "_weir() {\n"
                     "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                     "  local verbs='" + joined(names) + "' options='' values='' files='' words='' positional=''\n"
                     "  COMPREPLY=()\n"
                     "  if [ \"$COMP_CWORD\" -le 1 ]; then\n"
                     "    COMPREPLY=($(compgen -W \"$verbs\" -- \"$cur\"))\n"
                     "    return\n"
                     "  fi\n"
                     "  # --option=VALUE comes as three words.\n"
                     "  if [ \"$cur\" = '=' ]; then cur=''; elif [ \"$prev\" = '=' ]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
                     "  case ${COMP_WORDS[1]} in\n"
                     "    help) words=$verbs ;;\n";
  for (const Verb& verb : verbs) {
    std::vector<std::string> options, values, files;
    for (const CompletedOption& option : options_for_completion(verb)) {
      options.push_back(option.name);
      if (!option.value.empty()) (option.takes_file() ? files : values).push_back(option.name);
    }
    text += "    " + std::string(verb.name) + ") options='" + joined(options) + "' values='" + joined(values) + "' files='" + joined(files) + "' words='" +
            joined(words_for_completion(verb)) + "' positional=" + (takes_file(verb) ? "file" : "''") + " ;;\n";
  }
  text += "    *) return ;;\n"
          "  esac\n"
          "  local is_file=''\n"
          "  case \" $files \" in *\" $prev \"*) is_file=yes ;; esac\n"
          "  case \" $values \" in *\" $prev \"*) return ;; esac\n"
          "  if [ -z \"$is_file\" ] && [ \"${cur#-}\" != \"$cur\" ]; then\n"
          "    COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
          "    return\n"
          "  fi\n"
          "  if [ -z \"$is_file\" ] && [ \"$COMP_CWORD\" -eq 2 ]; then COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")); fi\n"
          "  if [ -n \"$is_file$positional\" ]; then\n"
          "    compopt -o filenames 2>/dev/null\n"
          "    local name\n"
          "    while IFS= read -r name; do COMPREPLY+=(\"$name\"); done < <(compgen -f -- \"$cur\")\n"
          "  fi\n"
          "}\n"
          "complete -F _weir weir\n";
  return text;
}

// In a specification of _arguments [ ] : and \ have a meaning.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh(const std::vector<Verb>& verbs) {
  constexpr std::string_view kQuote = "'\\''";
  std::string text = "_weir() {\n"
                     "  local -a verbs\n"
                     "  verbs=(\n"
                     "    'help:this list, or the text of one verb'\n";
  for (const Verb& verb : verbs) text += "    " + quoted(std::string(verb.name) + ":" + zsh_text(verb.summary), kQuote) + "\n";
  text += "  )\n"
          "  if (( CURRENT == 2 )); then\n"
          "    _describe verb verbs\n"
          "    return\n"
          "  fi\n"
          "  local verb=$words[2]\n"
          "  shift words\n"
          "  (( CURRENT-- ))\n"
          "  case $verb in\n"
          "    help) (( CURRENT == 2 )) && _describe verb verbs ;;\n";
  for (const Verb& verb : verbs) {
    text += "    " + std::string(verb.name) + ") _arguments";
    for (const CompletedOption& option : options_for_completion(verb)) {
      std::string spec = "*" + option.name + (option.value.empty() ? "" : "=") + "[" + zsh_text(option.description) + "]";
      if (!option.value.empty()) spec += ":" + zsh_text(option.value) + ":" + (option.takes_file() ? "_files" : "");
      text += " " + quoted(spec, kQuote);
    }
    const std::vector<std::string> words = words_for_completion(verb);
    if (!words.empty()) text += " " + quoted("1:word:(" + joined(words) + ")", kQuote);
    if (takes_file(verb)) text += " '*:file:_files'";
    text += " ;;\n";
  }
  // Sourced it is registered; from a folder of $fpath it is called.
  text += "  esac\n"
          "}\n"
          "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _weir \"$@\"; elif (( $+functions[compdef] )); then compdef _weir weir; fi\n";
  return "#compdef weir\n" + text;
}

std::string fish(const std::vector<Verb>& verbs) {
  constexpr std::string_view kQuote = "\\'";
  const auto fish_text = [&](std::string_view text) {
    std::string doubled;
    for (const char c : text) doubled += c == '\\' ? std::string("\\\\") : std::string(1, c);
    return quoted(doubled, kQuote);
  };
  std::string text = "function __weir_verb\n"
                     "  set -l words (commandline -opc)\n"
                     "  test (count $words) -ge 2; and contains -- $words[2] $argv\n"
                     "end\n"
                     "function __weir_first\n"
                     "  test (count (commandline -opc)) -eq $argv[1]\n"
                     "end\n"
                     "complete -c weir -f\n"
                     "complete -c weir -n '__weir_first 1' -a help -d 'this list, or the text of one verb'\n";
  for (const Verb& verb : verbs) {
    const std::string name(verb.name);
    text += "complete -c weir -n '__weir_first 1' -a " + name + " -d " + fish_text(verb.summary) + "\n";
    text += "complete -c weir -n '__weir_verb help; and __weir_first 2' -a " + name + " -d " + fish_text(verb.summary) + "\n";
    for (const CompletedOption& option : options_for_completion(verb)) {
      text += "complete -c weir -n '__weir_verb " + name + "' -l " + option.name.substr(2) + (option.value.empty() ? "" : option.takes_file() ? " -r -F" : " -x") + " -d " + fish_text(option.description) + "\n";
    }
    for (const std::string& word : words_for_completion(verb)) text += "complete -c weir -n '__weir_verb " + name + "; and __weir_first 2' -a " + word + "\n";
    if (takes_file(verb)) text += "complete -c weir -n '__weir_verb " + name + "' -F\n";
  }
  return text;
}

}  // namespace

std::vector<std::string> words_for_completion(const Verb& verb) {
  std::vector<std::string> words;
  const std::vector<std::string> tokens = tokens_of(verb.synopsis);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool is_word = std::all_of(tokens[i].begin(), tokens[i].end(), [](unsigned char c) { return std::islower(c) != 0; });
    const bool is_value = i != 0 && tokens[i - 1].starts_with("--");
    if (is_word && !is_value && std::find(words.begin(), words.end(), tokens[i]) == words.end()) words.push_back(tokens[i]);
  }
  return words;
}

bool takes_file(const Verb& verb) {
  const std::vector<std::string> tokens = tokens_of(verb.synopsis);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if ((tokens[i] == "FILE" || tokens[i] == "FOLDER") && (i == 0 || !tokens[i - 1].starts_with("--"))) return true;
  }
  return false;
}

std::string completion_script(std::string_view shell, const std::vector<Verb>& verbs) {
  const std::string script = shell == "bash" ? bash(verbs) : shell == "zsh" ? zsh(verbs) : fish(verbs);
  const std::string note = "# Completes weir " + std::string(kVersion) + " in " + std::string(shell) + "; made by `weir completion " + std::string(shell) + "`.\n";
  // #compdef has to be the first line.
  const std::size_t at = script.starts_with("#compdef") ? script.find('\n') + 1 : 0;
  return script.substr(0, at) + note + script.substr(at);
}

}  // namespace weir::control
