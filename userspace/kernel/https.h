// One HTTPS request to a peer that the configuration names: a provider, a webhook.  Blocking, bounded in time and size; never on
// a core.
// Must never: follow a redirect, speak anything but https (but where a request says that it may), take a proxy or a credential from the environment, leave the
// certificate unchecked, or go where a name of somebody's DNS leads inside this host or its link.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/address.h"

namespace weir::kernel {

struct HttpsRequest {
  std::string url;
  std::string form;            // Not empty: a POST of this form.
  std::string user, password;  // Not empty: HTTP Basic.
  std::string ca_file;         // Empty: the system's CAs.
  std::size_t size_max = 0;    // Of the answer's body.
  std::string body{}, content_type{};  // Not empty: a POST of this.  Pre: form or body, not both.
  std::vector<std::string> headers{};  // "Name: value"
  std::string accept{"application/json"};
  bool may_be_plain = false;   // http:// as well: only where the answer carries a signature of its own that is checked.
};
struct HttpsAnswer {
  int status = 0;
  std::string cache_control, body;
  std::string content_type{};
  std::chrono::seconds retry_after{0};  // 0: it did not say.
};

inline constexpr std::chrono::seconds kHttpsTimeout{10};

// How a part of the gateway reaches a peer; tests put their own behind it.  Errors: kUnavailable, with a reason for people.
using Https = std::function<Result<HttpsAnswer>(const HttpsRequest&)>;

// Loopback, link-local, multicast and nowhere: asked only where the URL has the address itself.
[[nodiscard]] bool is_inside(const Address& address);

// `stop`, if given, ends a request early once it is true.
[[nodiscard]] Result<HttpsAnswer> https_request(const HttpsRequest& request, const std::atomic<bool>* stop = nullptr);

}  // namespace weir::kernel
