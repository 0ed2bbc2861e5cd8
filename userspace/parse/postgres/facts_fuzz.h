// Entry points for the fuzz driver (tests/fuzz), and the comparison that the tests share with it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::postgres {

// Empty: our lexer and libpg_query's scanner see the same tokens, or the scanner rejects the text.  Else what differs.
// Pre: no NUL in `text`.
std::string lexer_difference(std::string_view text);

// Both abort on a broken promise and return 0.
int fuzz_postgres_lexer(const uint8_t* data, std::size_t size);
int fuzz_postgres_facts(const uint8_t* data, std::size_t size);

}  // namespace weir::postgres
