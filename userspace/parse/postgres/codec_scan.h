// A cheap look at a statement's words: not to judge it (facts do that from a parse), only to know what the codec must be
// careful with afterwards.  Errs on the side of care: comments and strings count as text.
#pragma once
#include <cstdint>

#include "base/bytes.h"

namespace weir::postgres {

// What a statement may do to the meaning of what follows it.
using Traits = uint8_t;
constexpr Traits kMayFence = 1 << 0;        // COPY, SET, RESET, ...: what follows depends on the answer.
constexpr Traits kMaySetGrammar = 1 << 1;   // client_encoding, standard_conforming_strings, set_config, RESET, DISCARD.
constexpr Traits kMayMoveNames = 1 << 2;    // PREPARE: a prepared name gets another meaning.
constexpr Traits kMayMovePortals = 1 << 3;  // DECLARE, CLOSE, DISCARD: portal names get another meaning.
constexpr Traits kIsCopy = 1 << 4;          // Begins with COPY.
constexpr Traits kCopyFormatUnsure = 1 << 5;  // Names a delimiter, quote or encoding, or has escaped names or strings.
constexpr Traits kCopyIsCsv = 1 << 6;

// Of a Query, which may hold several statements; of a Parse, whose text is one: only its first word names its kind.
// Texts above kScanMax are not read through: the answers err on the side of care, so that no text delays other sessions.
Traits scan_query(Bytes text);
Traits scan_lone(Bytes text);
constexpr std::size_t kScanMax = 256u << 10;

// "PREPARE name [(types)] AS body" and nothing else: the name as the server folds it, and where the body begins.
// False: another statement, or one that this cheap reader is not sure of.
bool read_sql_prepare(std::string_view text, std::string_view& name, bool& is_quoted, std::string_view& body);
// "DEALLOCATE [PREPARE] name", likewise; the name may be ALL (not quoted).
bool read_sql_deallocate(std::string_view text, std::string_view& name, bool& is_quoted);

}  // namespace weir::postgres
