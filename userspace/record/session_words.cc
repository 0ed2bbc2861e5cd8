#include "record/session_words.h"

#include <algorithm>

#include "base/bytes.h"
#include "core/verdict.h"
#include "record/manifest.h"

namespace weir::record {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }
bool is_of_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || static_cast<unsigned char>(c) > 127;
}

std::string lowered(std::string_view text) {
  std::string low(text);
  std::transform(low.begin(), low.end(), low.begin(), lower);
  return low;
}

using Visit = std::function<void(WordKind, std::string_view)>;

// "schema.name, ...": each by its whole name and by its last part.
void visit_objects(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(", "), text.size());
    const std::string name = lowered(text.substr(0, end));
    text.remove_prefix(std::min(end + 2, text.size()));
    visit(WordKind::kObject, name);
    if (const std::size_t dot = name.rfind('.'); dot != std::string::npos) visit(WordKind::kObject, std::string_view(name).substr(dot + 1));
  }
}

// Verdicts that were not carried out are found by "observed", and by their rule.
void visit_verdict(const RecordEvent& event, const Visit& visit) {
  visit(WordKind::kVerdict, event.observed ? std::string_view("observed") : name_of(event.action));
  if (!event.rule.empty()) visit(WordKind::kRule, event.rule);
}

void visit_words(const RecordEvent& event, const Visit& visit) {
  using Kind = RecordEvent::Kind;
  switch (event.kind) {
    case Kind::kCommand:
      visit_verdict(event, visit);
      visit(WordKind::kVerb, lowered(event.verb));
      for (const std::string_view verb : names_of(event.verbs)) visit(WordKind::kVerb, verb);
      visit_objects(event.objects, visit);
      split_text(as_text(event.text), [&](std::string_view word) { visit(WordKind::kText, word); });
      return;
    case Kind::kLogin:
      visit_verdict(event, visit);
      visit(WordKind::kVerb, lowered(event.verb));
      return;
    case Kind::kResponse:
      if (event.action != Verdict::Action::kAllow || !event.rule.empty()) visit_verdict(event, visit);
      return;
    case Kind::kAlert:
      if (!event.rule.empty()) visit(WordKind::kRule, event.rule);
      return;
    case Kind::kAct:
      visit(WordKind::kVerb, lowered(event.verb));
      return;
    case Kind::kOpened:
    case Kind::kFate:
    case Kind::kStandIn:
    case Kind::kNote:
    case Kind::kClosed:
    case Kind::kIdentified: return;
  }
}

void visit_wanted(const SessionFilter& filter, const Visit& visit) {
  if (!filter.verb.empty()) visit(WordKind::kVerb, lowered(filter.verb));
  if (!filter.object.empty()) visit(WordKind::kObject, lowered(filter.object));
  if (!filter.rule.empty()) visit(WordKind::kRule, filter.rule);
  if (!filter.verdict.empty()) visit(WordKind::kVerdict, filter.verdict);
  split_text(filter.text, [&](std::string_view word) { visit(WordKind::kText, word); });
}

}  // namespace

Word word_of(const IndexKey& key, WordKind kind, std::string_view value) { return key.hash(static_cast<char>(kind), value); }

void make_set(WordSet& words) {
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
}

bool has_all(const WordSet& words, const WordSet& wanted) { return std::includes(words.begin(), words.end(), wanted.begin(), wanted.end()); }

void split_text(std::string_view text, const std::function<void(std::string_view word)>& visit) {
  std::string word;
  for (const char c : text) {
    if (is_of_word(c)) {
      word += lower(c);
    } else if (!word.empty()) {
      visit(word);
      word.clear();
    }
  }
  if (!word.empty()) visit(word);
}

WordSet WantedWords::all() const {
  WordSet both = of_row;
  both.insert(both.end(), of_events.begin(), of_events.end());
  make_set(both);
  return both;
}

WantedWords wanted_words(const SessionFilter& filter, const IndexKey& key) {
  WantedWords wanted;
  const auto row = [&](WordKind kind, std::string_view value) { wanted.of_row.push_back(word_of(key, kind, value)); };
  row(filter.is_gateway ? WordKind::kActs : WordKind::kSessions, "");
  if (!filter.subject.empty()) row(WordKind::kSubject, filter.subject);
  if (!filter.group.empty()) row(WordKind::kGroup, filter.group);
  if (!filter.target.empty()) row(WordKind::kTarget, filter.target);
  if (filter.only_blocked) row(WordKind::kBlocked, "");
  if (!filter.request.empty()) row(WordKind::kRequest, std::to_string(request_hash(filter.request)));
  visit_wanted(filter, [&](WordKind kind, std::string_view value) { wanted.of_events.push_back(word_of(key, kind, value)); });
  make_set(wanted.of_row);
  make_set(wanted.of_events);
  return wanted;
}

WordSet row_words(const nlohmann::json& line, const SessionSummary& total, const IndexKey& key, bool& is_cut) {
  WordSet words;
  const auto put = [&](WordKind kind, std::string_view value) { words.push_back(word_of(key, kind, value)); };
  const nlohmann::json facts = line.value("facts", nlohmann::json::object());
  put(text_at(facts, "about") == kAboutGateway ? WordKind::kActs : WordKind::kSessions, "");
  if (const std::string subject = text_at(line, "subject"); !subject.empty()) put(WordKind::kSubject, subject);
  if (const std::string target = text_at(line, "target"); !target.empty()) put(WordKind::kTarget, target);
  if (const auto groups = facts.find("groups"); groups != facts.end() && groups->is_array()) {
    for (const nlohmann::json& group : *groups) {
      if (group.is_string()) put(WordKind::kGroup, group.get_ref<const std::string&>());
    }
  }
  if (total.blocked != 0) put(WordKind::kBlocked, "");
  for (const uint64_t hash : total.requests.hashes()) put(WordKind::kRequest, std::to_string(hash));
  is_cut = is_cut || total.requests.is_cut();
  make_set(words);
  return words;
}

void WordCollector::put(WordKind kind, std::string_view value) {
  if (is_cut_) return;
  said_.assign(1, static_cast<char>(kind));
  said_ += value;
  if (seen_.find(std::string_view(said_)) != seen_.end()) return;
  if (seen_.size() == kWordsMax) {
    is_cut_ = true;
    return;
  }
  seen_.insert(said_);
  words_.push_back(word_of(key_, kind, value));
}

void WordCollector::add(const RecordEvent& event) {
  if (is_cut_) return;
  visit_words(event, [this](WordKind kind, std::string_view value) { put(kind, value); });
}

WordSet WordCollector::words() const {
  WordSet words = words_;
  make_set(words);
  return words;
}

WordMatcher::WordMatcher(const SessionFilter& filter) {
  visit_wanted(filter, [this](WordKind kind, std::string_view value) { missing_.insert(static_cast<char>(kind) + std::string(value)); });
}

bool WordMatcher::add(const RecordEvent& event) {
  if (missing_.empty()) return true;
  visit_words(event, [this](WordKind kind, std::string_view value) { missing_.erase(static_cast<char>(kind) + std::string(value)); });
  return missing_.empty();
}

}  // namespace weir::record
