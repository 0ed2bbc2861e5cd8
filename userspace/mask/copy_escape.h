// PostgreSQL COPY, text and csv: what a value's bytes mean, and how a meaning is written (PostgreSQL documentation, COPY,
// "File Formats").  Pure; output goes where the caller says and never past it.
#pragma once
#include <cstddef>

#include "base/bytes.h"
#include "core/unit.h"

namespace weir::mask {

// True if the bytes may mean something else than themselves.
bool is_escaped(Bytes value, ValueFormat format);
// Pre: out.size() >= value.size().  Returns the size of the meaning, which is never longer than the value.
std::size_t unescape(Bytes value, ValueFormat format, MutableBytes out);
// The most that escape() writes for a meaning of `size` bytes.
constexpr std::size_t escaped_size_max(std::size_t size) { return 2 * size + 2; }
// Pre: out.size() >= escaped_size_max(meaning.size()).  Csv is always quoted: a delimiter inside cannot break it.
std::size_t escape(Bytes meaning, ValueFormat format, MutableBytes out);

}  // namespace weir::mask
