// The request that a command belongs to, as the client says: what leads an action back to what asked for it.
// Pure, bounded, no allocation.  The client chooses it, so it proves nothing; it is recorded, and a grant may require it.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace weir::identify {

inline constexpr std::size_t kRequestIdSizeMax = 256;
inline constexpr std::size_t kCommentSizeMax = 4096;  // How far back a trailing comment is looked for.

// W3C Trace Context section 3.2: version "-" trace-id "-" parent-id "-" flags, all of it and nothing else.
[[nodiscard]] bool is_traceparent(std::string_view text);
// False: there is no comment at the statement's end, so that no id is in it.  A look at its last bytes.
[[nodiscard]] bool may_have_request_id(std::string_view statement);

// The first of `order` that is found:
//   traceparent       a W3C trace context in the statement's trailing comment (traceparent='00-...'), or in application_name
//   sqlcommenter      the inside of a trailing comment of the form /*key='value',...*/
//   application_name  itself
// Post: a view into one of the arguments, printable ASCII, at most kRequestIdSizeMax; empty: none.
[[nodiscard]] std::string_view find_request_id(std::span<const std::string> order, std::string_view statement,
                                               std::string_view application_name);

}  // namespace weir::identify
