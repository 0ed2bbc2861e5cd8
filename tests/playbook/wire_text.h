// PostgreSQL messages as text, for transcripts: "Q \"select 1\"", "D \"1\" null", "Z I".  README.md has the whole list.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace weir::testing {

struct Word {
  std::string text;
  bool is_quoted = false;
};
// Words apart by blanks; "..." with \n \t \\ \" \0 \xHH; a trailing # comment is dropped.  False: an unclosed quote.
bool split_words(std::string_view line, std::vector<Word>& words);

// One message or several (apart by ;) as bytes.  `from_client`: the letters mean different things by direction.
// Post: empty `problem`, or what is wrong.
std::string encode_messages(const std::vector<Word>& words, bool from_client, std::string& problem);
// Bytes as text again, for comparing and for messages of tests.
std::string decode_messages(std::string_view bytes, bool from_client);

}  // namespace weir::testing
