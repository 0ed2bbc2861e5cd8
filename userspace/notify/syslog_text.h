// A notice as a syslog message: RFC 5424, structured data and all.
//
//   <PRI>1 2027-01-02T03:04:05.678Z gw-1 weir 4711 alert [weir@32473 id="..." severity="high" ...] text
//
// Must never: let a value end its quotes, its element, or the line.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "core/notice.h"

namespace weir::notify {

// RFC 5424 section 6.1: every receiver takes 480 bytes and should take 2048; RFC 5426 section 3.2 says the same of datagrams.
inline constexpr std::size_t kSyslogSizeMax = 2048;

// At most `size_max` bytes: the text is cut, then the values.  Pre: size_max >= 480.
[[nodiscard]] std::string syslog_message(const Notice& notice, int pid, std::size_t size_max = kSyslogSizeMax);
// For /dev/log, whose reader puts time and host itself: "<PRI>weir[4711]: ..." (RFC 3164's form, as syslog(3) sends it).
[[nodiscard]] std::string local_message(const Notice& notice, int pid, std::size_t size_max = kSyslogSizeMax);
// RFC 6587 section 3.4.1, octet counting; RFC 5425 section 4.3 has the same over TLS: "LENGTH SP MESSAGE".
[[nodiscard]] std::string octet_counted(std::string_view message);
// A PARAM-VALUE (RFC 5424 section 6.3.3): '"', '\' and ']' behind a '\'; UTF-8 without control characters.
[[nodiscard]] std::string param_value(std::string_view text, std::size_t size_max);

}  // namespace weir::notify
