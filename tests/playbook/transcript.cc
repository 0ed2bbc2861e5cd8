#include "tests/playbook/transcript.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "parse/registry.h"

namespace weir::testing {
namespace {

[[noreturn]] void complain(const Transcript& transcript, const TranscriptLine& line, const std::string& what) {
  throw std::runtime_error(transcript.path + ":" + std::to_string(line.number) + ": " + what);
}

std::string value_of(const Word& word) {
  const std::size_t equals = word.text.find('=');
  return equals == std::string::npos ? std::string() : word.text.substr(equals + 1);
}

void read_target(Transcript& transcript, const TranscriptLine& line) {
  TargetFacts& target = transcript.target;
  for (const Word& word : line.words) {
    const std::string key = word.text.substr(0, word.text.find('='));
    const std::string value = value_of(word);
    if (key == "tls_to_client") target.tls_to_client = value == "none" ? LegTls::kNone : value == "require" ? LegTls::kRequire : LegTls::kOffer;
    else if (key == "tls_to_target") target.tls_to_target = value == "yes";
    else if (key == "inject") target.inject = value == "yes";
    else if (key == "proof") transcript.proof = value == "token" ? ClientProof::kToken : value == "done" ? ClientProof::kDone : ClientProof::kOwnLogin;
    else if (key == "own_pair") target.client_binding_is_own_pair = value == "yes";
    else if (key == "leaf_hash") target.client_leaf_hash.assign(32, std::byte{0x77});
    else if (key == "dialled") transcript.is_dialled = value == "yes";
    else complain(transcript, line, "no target setting is called " + key);
  }
}

void read_limit(Transcript& transcript, const TranscriptLine& line) {
  for (const Word& word : line.words) {
    const std::string key = word.text.substr(0, word.text.find('='));
    const auto value = static_cast<uint32_t>(std::stoul(value_of(word)));
    if (key == "unit_size_max") transcript.limits.unit_size_max = value;
    else if (key == "statement_size_max") transcript.limits.statement_size_max = value;
    else if (key == "prepared_per_session_max") transcript.limits.prepared_per_session_max = value;
    else if (key == "units_per_step_max") transcript.limits.units_per_step_max = value;
    else complain(transcript, line, "no limit is called " + key);
  }
}

// rule block "pattern" [name] | rule mask "pattern" "with" | rule mask "pattern" null | rule grammar "pattern" "message" position
void read_rule(Transcript& transcript, const TranscriptLine& line) {
  if (line.words.size() < 2) complain(transcript, line, "a rule needs a verb and a pattern");
  VerdictRule rule;
  rule.verb = line.words[0].text;
  rule.pattern = line.words[1].text;
  rule.name = "test-rule";
  if (rule.verb == "mask" && line.words.size() > 2) {
    rule.is_null = !line.words[2].is_quoted && line.words[2].text == "null";
    rule.with = line.words[2].text;
  } else if (rule.verb == "grammar" && line.words.size() > 3) {
    rule.with = line.words[2].text;
    rule.position = static_cast<uint32_t>(std::stoul(line.words[3].text));
  } else if (rule.verb != "block" && rule.verb != "terminate") {
    complain(transcript, line, "no rule is called " + rule.verb);
  }
  transcript.rules.push_back(rule);
}

void read_login(Transcript& transcript, const TranscriptLine& line) {
  if (line.words.size() != 4) complain(transcript, line, "login CLIENT TARGET TARGET_PASSWORD CLIENT_PASSWORD");
  transcript.target.logins.push_back({line.words[0].text, line.words[1].text, line.words[2].text, line.words[3].text});
}

// Judges by the rules: a command by its text or its statement's, a value by its bytes.
class RuleJudge {
 public:
  explicit RuleJudge(std::vector<VerdictRule> rules) : rules_(std::move(rules)) {}

  Verdict operator()(const Harness& harness, const Unit& unit, Bytes wire) {
    Verdict verdict;
    verdict.action = Verdict::Action::kAllow;
    if (unit.kind == UnitKind::kHandshake) return verdict;
    edits_.emplace_back();
    for (const VerdictRule& rule : rules_) {
      if (rule.verb == "mask") {
        mask(harness, unit, wire, rule, edits_.back());
      } else if (matches(harness, unit, wire, rule.pattern)) {
        verdict.action = rule.verb == "terminate" ? Verdict::Action::kTerminate : Verdict::Action::kBlock;
        verdict.grammar_error = rule.verb == "grammar";
        verdict.position = rule.position;
        verdict.reason = rule.verb == "grammar" ? std::string_view(rule.with) : std::string_view("refused by a test");
        verdict.rule_name = rule.name;
        return verdict;
      }
    }
    if (edits_.back().empty()) return verdict;
    verdict.action = Verdict::Action::kMask;
    verdict.edits = edits_.back();
    return verdict;
  }

 private:
  static bool matches(const Harness& harness, const Unit& unit, Bytes wire, const std::string& pattern) {
    if (unit.kind == UnitKind::kOpaque) return pattern == "opaque";
    if (unit.direction == Direction::kToClient) {
      return unit.kind != UnitKind::kControl && unit.kind != UnitKind::kResponseEnd && as_text(wire).find(pattern) != std::string_view::npos;
    }
    if (unit.kind == UnitKind::kControl) return pattern == unit.verb;
    if (unit.kind == UnitKind::kCommand && (pattern == unit.verb || as_text(unit.text).find(pattern) != std::string_view::npos)) return true;
    if (unit.kind != UnitKind::kCommand) return as_text(wire).find(pattern) != std::string_view::npos;
    for (const uint64_t id : unit.meanings) {
      if (id != 0 && as_text(harness.codec().statement(id)).find(pattern) != std::string_view::npos) return true;
    }
    return pattern == "unknown" && unit.text.empty() && unit.meanings[0] == 0;
  }
  static void mask(const Harness& harness, const Unit& unit, Bytes wire, const VerdictRule& rule, std::vector<FieldEdit>& edits) {
    struct Walk final : Codec::FieldVisitor {
      const Unit& unit;
      Bytes wire;
      const VerdictRule& rule;
      std::vector<FieldEdit>& edits;
      Walk(const Unit& u, Bytes w, const VerdictRule& r, std::vector<FieldEdit>& e) : unit(u), wire(w), rule(r), edits(e) {}
      bool visit(uint32_t index, const Field& field) override {
        if (field.is_null) return true;
        const std::string_view value = as_text(wire.subspan(static_cast<std::size_t>(field.value.offset - unit.wire.offset), field.value.size));
        if (rule.is_null) {
          if (value.find(rule.pattern) != std::string_view::npos) edits.push_back({index, field.value, {}, true});
          return true;
        }
        for (std::size_t at = value.find(rule.pattern); at != std::string_view::npos; at = value.find(rule.pattern, at + rule.pattern.size())) {
          edits.push_back({index, {field.value.offset + at, static_cast<uint32_t>(rule.pattern.size())}, as_bytes(rule.with), false});
        }
        return true;
      }
    } walk(unit, wire, rule, edits);
    harness.codec().fields(unit, wire, walk);
  }
  std::vector<VerdictRule> rules_;
  std::vector<std::vector<FieldEdit>> edits_;
};

std::string describe(const SettledUnit& unit) {
  std::string text = unit.verb;
  if (!unit.text.empty()) text += " \"" + unit.text + "\"";
  for (const std::string& field : unit.fields) text += " " + field;
  if (!unit.sqlstate.empty()) text += " sqlstate=" + unit.sqlstate;
  return text + " -> " + std::string(name_of(unit.fate));
}

void feed(Harness& harness, Side side, std::string_view bytes, Cuts cuts, Prng& prng) {
  while (!bytes.empty()) {
    std::size_t size = bytes.size();
    if (cuts == Cuts::kBytes) size = 1;
    if (cuts == Cuts::kRandom) size = 1 + prng.below(std::min<std::size_t>(bytes.size(), 40));
    size = std::min(size, bytes.size());
    harness.feed(side, bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
}

// Runs one line.  Post: what did not come true, or empty.
class Runner {
 public:
  Runner(const Transcript& transcript, Cuts cuts, uint64_t seed, bool allow_all) : transcript_(transcript), cuts_(cuts), prng_(seed), allow_all_(allow_all) {
    Harness::Judge judge = RuleJudge(allow_all ? std::vector<VerdictRule>{} : transcript.rules);
    harness = std::make_unique<Harness>(*find_protocol("postgres"), transcript.target, transcript.limits, std::move(judge));
    harness->set_proof(transcript.proof);
    if (transcript.is_dialled) harness->connect_target();
  }

  std::string run(const TranscriptLine& line) {
    if (line.command == "client>" || line.command == "target>") {
      const bool from_client = line.command == "client>";
      feed(*harness, from_client ? Side::kClient : Side::kTarget, encode(line, from_client), cuts_, prng_);
      return harness->breach();
    }
    if (line.command == "logged-in") return log_in();
    if (allow_all_) return {};
    if (line.command == "client<" || line.command == "target<") return expect_bytes(line);
    if (line.command == "unit") return expect_unit(line);
    return run_other(line);
  }

  std::unique_ptr<Harness> harness;

 private:
  std::string encode(const TranscriptLine& line, bool from_client) const {
    std::string problem;
    std::string bytes = encode_messages(line.words, from_client, problem);
    if (!problem.empty()) complain(transcript_, line, problem);
    return bytes;
  }
  // A plain login, out of the way: what it sent and gave is not looked at.
  std::string log_in() {
    std::vector<Word> words;
    std::string problem;
    split_words("startup user=alice database=shop application_name=test", words);
    feed(*harness, Side::kClient, encode_messages(words, true, problem), cuts_, prng_);
    split_words("R ok ; S client_encoding UTF8 ; S standard_conforming_strings on ; K 7 99 ; Z I", words);
    feed(*harness, Side::kTarget, encode_messages(words, false, problem), cuts_, prng_);
    if (!allow_all_) {
      (void)harness->take_sent(Side::kClient);
      (void)harness->take_sent(Side::kTarget);
    }
    seen_ = harness->units().size();
    if (!harness->codec().login().is_complete) return "the login did not complete";
    return harness->breach();
  }
  std::string expect_bytes(const TranscriptLine& line) {
    const bool at_client = line.command == "client<";
    const Side side = at_client ? Side::kClient : Side::kTarget;
    const std::string wanted = line.words.size() == 1 && line.words[0].text == "nothing" ? std::string() : encode(line, !at_client);
    const std::string got = harness->take_sent(side);
    if (got == wanted) return {};
    return "the " + std::string(at_client ? "client" : "target") + " was to receive\n    " + decode_messages(wanted, false) + "\n  and received\n    " +
           decode_messages(got, false);
  }
  // unit "verb ..." : the next settled unit, described.
  std::string expect_unit(const TranscriptLine& line) {
    if (cuts_ != Cuts::kNone) return {};
    const std::string got = seen_ < harness->units().size() ? describe(harness->units()[seen_]) : "(none)";
    ++seen_;
    return got == line.source ? std::string() : "the next unit was to be\n    " + line.source + "\n  and is\n    " + got;
  }
  std::string run_other(const TranscriptLine& line) {
    const std::string first = line.words.empty() ? std::string() : line.words[0].text;
    if (line.command == "dial") harness->connect_target();
    else if (line.command == "units") seen_ = harness->units().size();  // Skip what came so far.
    else if (line.command == "signal") return send_signal(line, first);
    else if (line.command == "closes") return harness->codec().wants_close() == (first != "no") ? "" : "whether the session is to end is wrong";
    else if (line.command == "idle") return harness->codec().is_idle() == (first != "no") ? "" : "whether the session is idle is wrong";
    else if (line.command == "fenced") return harness->is_fenced() == (first != "no") || cuts_ != Cuts::kNone ? "" : "whether to_target is fenced is wrong";
    else if (line.command == "violation") {
      const std::string got = harness->violation() == nullptr ? "none" : harness->violation();
      return got.find(first) != std::string::npos ? "" : "the violation was to be " + first + " and is " + got;
    } else if (line.command == "stand-in") {
      const std::string got = stand_ins_ < harness->stand_ins().size() ? harness->stand_ins()[stand_ins_] : "(none)";
      ++stand_ins_;
      return got == first ? "" : "the stand-in was to be " + first + " and is " + got;
    } else if (line.command == "grammar") {
      const GrammarFacts grammar = harness->codec().grammar();
      const std::string got = std::string(grammar.standard_conforming_strings ? "conforming" : "backslash") + (grammar.encoding_is_safe ? " safe" : " unsafe");
      return got == first ? "" : "the grammar was to be " + first + " and is " + got;
    } else if (line.command == "finish") {
      harness->finish(first == "client" ? Side::kClient : Side::kTarget);
    } else {
      complain(transcript_, line, "no line is called " + line.command);
    }
    return harness->breach();
  }
  std::string send_signal(const TranscriptLine& line, const std::string& name) {
    Signal signal{};
    if (name == "refuse") signal.kind = Signal::Kind::kRefuse;
    else if (name == "unreachable") signal.kind = Signal::Kind::kTargetUnreachable;
    else if (name == "shutdown") signal.kind = Signal::Kind::kShutdown;
    else if (name == "hold") signal.kind = Signal::Kind::kHoldBegan;
    else complain(transcript_, line, "no signal is called " + name);
    if (line.words.size() > 1) signal.text = line.words[1].text;
    if (line.words.size() > 2) signal.code = line.words[2].text;
    harness->signal(signal);
    return harness->breach();
  }

  const Transcript& transcript_;
  Cuts cuts_;
  Prng prng_;
  bool allow_all_;
  std::size_t seen_ = 0, stand_ins_ = 0;
};

}  // namespace

bool Transcript::is_transparent() const {
  if (!rules.empty() || target.inject || target.tls_to_target || !is_dialled) return false;
  if (limits.prepared_per_session_max != Limits{}.prepared_per_session_max) return false;  // The codec itself refuses what is above it.
  for (const TranscriptLine& line : lines) {
    const bool is_ours = line.command == "signal" || line.command == "violation" || line.command == "closes" || line.command == "stand-in" ||
                         (line.command == "client>" && (line.source.find("ssl") == 0 || line.source.find("gss") == 0));
    if (is_ours) return false;
  }
  return true;
}

Transcript read_transcript(const std::string& path) {
  Transcript transcript;
  transcript.path = path;
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  std::string text;
  for (int number = 1; std::getline(file, text); ++number) {
    const std::size_t start = text.find_first_not_of(' ');
    if (start == std::string::npos || text[start] == '#') continue;
    const std::size_t end = std::min(text.find(' ', start), text.size());
    TranscriptLine line;
    line.number = number;
    line.command = text.substr(start, end - start);
    line.source = end < text.size() ? text.substr(text.find_first_not_of(' ', end)) : "";
    if (!split_words(line.source, line.words)) complain(transcript, line, "a quote is not closed");
    if (line.command == "target") read_target(transcript, line);
    else if (line.command == "limit") read_limit(transcript, line);
    else if (line.command == "rule") read_rule(transcript, line);
    else if (line.command == "login") read_login(transcript, line);
    else transcript.lines.push_back(std::move(line));
  }
  return transcript;
}

std::vector<std::string> transcript_files(const std::string& protocol_folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(protocol_folder + "/transcripts")) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

TranscriptRun run_transcript(const Transcript& transcript, Cuts cuts, uint64_t seed, bool allow_all) {
  Runner runner(transcript, cuts, seed, allow_all);
  TranscriptRun run;
  for (const TranscriptLine& line : transcript.lines) {
    const std::string failure = runner.run(line);
    if (failure.empty()) continue;
    run.failure = transcript.path + ":" + std::to_string(line.number) + ": " + failure;
    break;
  }
  run.harness = std::move(runner.harness);
  return run;
}

}  // namespace weir::testing
