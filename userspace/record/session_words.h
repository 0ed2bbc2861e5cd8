// By what a session can be looked for, as words: whose it was, where, what its commands did, to what, by which rule, with which
// verdict, and the words of its statements.  A filter is a set of words too, and a session fits if it has them all; so a scan of
// the events and the index cannot tell apart what they find.  Pure.
//
// A word is 64 bits of an HMAC (index_key.h): of an encrypted record it is under a key that does not stand beside it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/event.h"
#include "record/index_key.h"
#include "record/reader.h"
#include "record/session_row.h"

namespace weir::record {

using Word = uint64_t;
using WordSet = std::vector<Word>;                    // Sorted, each once.

enum class WordKind : char {
  kSubject = 's', kGroup = 'g', kTarget = 't', kBlocked = 'b', kActs = 'a', kSessions = 'n', kRequest = 'q',  // Of the manifest: row_words().
  kVerb = 'v', kObject = 'o', kRule = 'r', kVerdict = 'd', kText = 'w',                                       // Of events: WordCollector.
  kLocked = 'l',                                                                                              // Events could not be read for want of a key.
};
Word word_of(const IndexKey& key, WordKind kind, std::string_view value);
void make_set(WordSet& words);
[[nodiscard]] bool has_all(const WordSet& words, const WordSet& wanted);

// Of text: runs of letters, digits, "_" and bytes above 127, ASCII letters in lower case.
void split_text(std::string_view text, const std::function<void(std::string_view word)>& visit);

// What a filter asks for.  Times, numbers, `is_live` and the page are not in here.
struct WantedWords {
  WordSet of_row, of_events;
  [[nodiscard]] WordSet all() const;
};
WantedWords wanted_words(const SessionFilter&, const IndexKey&);

// What its manifest (or, live, its events so far) says.  `is_cut` is set if it may have other requests too.
WordSet row_words(const nlohmann::json& line, const SessionSummary&, const IndexKey&, bool& is_cut);

// What the events of a session say.  Holds at most kWordsMax words; above it `is_cut()`: it may have any.
class WordCollector {
 public:
  static constexpr std::size_t kWordsMax = 20'000;
  explicit WordCollector(const IndexKey& key) : key_(key) {}   // Outlives it.
  void add(const RecordEvent&);
  [[nodiscard]] bool is_cut() const { return is_cut_; }
  [[nodiscard]] WordSet words() const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  void put(WordKind kind, std::string_view value);

  const IndexKey& key_;
  std::string said_;
  std::unordered_set<std::string, Hash, std::equal_to<>> seen_;   // Kind and value: a word is hashed once.
  WordSet words_;
  bool is_cut_ = false;
};

// Whether events have all of some words, however many words they have.
class WordMatcher {
 public:
  WordMatcher(const SessionFilter&);
  [[nodiscard]] bool add(const RecordEvent&);         // True: it has them all, no more events are needed.
  [[nodiscard]] bool has_all() const { return missing_.empty(); }

 private:
  std::unordered_set<std::string> missing_;           // Kind and value.
};

}  // namespace weir::record
