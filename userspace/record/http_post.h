// How this stage asks somebody outside: a POST and its answer.  Whoever starts the gateway gives the function, since a stage
// includes no other; tests put their own behind it.
#pragma once
#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "base/result.h"

namespace weir::record {

struct PostRequest {
  std::string url, content_type, accept, body;
  std::size_t answer_size_max = 0;
};
struct PostAnswer {
  int status = 0;
  std::string content_type, body;
  std::chrono::seconds retry_after{0};   // 0: it did not say.
};

// Blocking and bounded in time; called by one thread that nobody waits for.  An Error: nobody answered, with a reason for people.
using HttpPost = std::function<Result<PostAnswer>(const PostRequest&)>;

}  // namespace weir::record
