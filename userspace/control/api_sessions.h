// What the routes over sessions of the record share: what they are narrowed by, that somebody looks, and answers of any length.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "control/api_router.h"
#include "record/reader.h"

namespace weir::control {

// Errors, all three: kInvalid, with the parameter's name.
Result<bool> flag_of(const ApiCall& call, std::string_view name);
Result<void> span_of(const ApiCall& call, std::optional<std::chrono::sys_seconds>& since, std::optional<std::chrono::sys_seconds>& until);
Result<record::SessionFilter> session_filter_of(const ApiCall& call);   // All but `limit`.

// Puts on the record that somebody looks; without that nothing is shown.
Result<void> look(ApiCall& call, std::string_view act, const std::string& object);

// Bytes as they are read, in chunks (RFC 9112, section 7.1): memory does not grow with the answer.  A client that reads slowly holds up its
// connection's own thread, until the answer's deadline, and nothing else.
class ChunkedAnswer {
 public:
  // `headers`: whole lines, of an answer that is begun by the first bytes that there are, or by end().
  ChunkedAnswer(ApiCall& call, std::string_view content_type, std::string headers = {}) : call_(call), content_type_(content_type), headers_(std::move(headers)) {}
  bool add(std::string_view bytes);                  // False: nobody takes it any more.
  bool end(std::string_view trailer = {});           // `trailer`: whole lines, whose names stand in a header Trailer.

 private:
  bool flush();
  ApiCall& call_;
  const std::string_view content_type_;
  const std::string headers_;
  std::string piece_;
};

// GET /v1/export
Result<nlohmann::json> api_export(ApiCall& call);

}  // namespace weir::control
