#include "kernel/https.h"

#include <curl/curl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "core/address.h"
#include "kernel/socket_address.h"

namespace weir::kernel {
namespace {

struct Transfer {
  HttpsAnswer answer;
  std::size_t size_max = 0;
  bool is_too_large = false;
  const std::atomic<bool>* stop = nullptr;
  bool may_be_inside = false;  // The address itself was written down by the operator.
  std::string inside;          // Where the name led, and we did not go.
};

std::size_t take_body(char* data, std::size_t, std::size_t size, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  if (size > transfer.size_max - transfer.answer.body.size()) {
    transfer.is_too_large = true;
    return 0;  // Ends the transfer.
  }
  transfer.answer.body.append(data, size);
  return size;
}

int look_at_stop(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const Transfer& transfer = *static_cast<const Transfer*>(user);
  return transfer.stop != nullptr && transfer.stop->load(std::memory_order_relaxed) ? 1 : 0;
}

// Who answers for a name in the DNS must not lead us to what listens on this host or its link alone (a metadata service, say).
curl_socket_t open_socket(void* user, curlsocktype, curl_sockaddr* to) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  sockaddr_storage storage{};
  std::memcpy(&storage, &to->addr, std::min<std::size_t>(to->addrlen, sizeof storage));
  const Address address = kernel::from_sockaddr(storage).address;
  if (!transfer.may_be_inside && is_inside(address)) {
    transfer.inside = address.text();
    return CURL_SOCKET_BAD;
  }
  return ::socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

struct CleanUrl {
  void operator()(CURLU* url) const noexcept { curl_url_cleanup(url); }
};

// A host of digits that only some readers take for an address (127.1) is a name here.
bool is_address(const std::string& url) {
  const std::unique_ptr<CURLU, CleanUrl> parsed(curl_url());
  if (!parsed || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return false;
  char* text = nullptr;
  if (curl_url_get(parsed.get(), CURLUPART_HOST, &text, 0) != CURLUE_OK) return false;
  std::string host = text;
  curl_free(text);
  const bool has_brackets = host.starts_with('[') && host.ends_with(']');
  // As it stands in the URL: what curl makes an address of by itself is a name.
  return (url.starts_with("https://" + host) || url.starts_with("http://" + host)) && Address::parse(has_brackets ? host.substr(1, host.size() - 2) : host).has_value();
}

struct Cleanup {
  void operator()(CURL* curl) const noexcept { curl_easy_cleanup(curl); }
};

// libcurl's own words, and a fix where one is known.  Its error buffer is not used: it may quote the peer.
std::string reason(CURLcode code, CURL* curl, const HttpsRequest& request) {
  long number = 0;
  curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &number);
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return "no whole answer within " + std::to_string(kHttpsTimeout.count()) + " s";
    case CURLE_COULDNT_CONNECT:
      return std::string("cannot connect") + (number == 0 ? "" : std::string(": ") + std::strerror(static_cast<int>(number)));
    case CURLE_PEER_FAILED_VERIFICATION:
      return "its certificate does not hold, or is of another host; ca_file must be the CA that signed it (now: " +
             (request.ca_file.empty() ? std::string("the system's CAs") : request.ca_file) + ")";
    case CURLE_SSL_CACERT_BADFILE:
      return "the CA file " + request.ca_file + " cannot be read, or holds no certificate";
    default:
      return curl_easy_strerror(code);
  }
}

}  // namespace

bool is_inside(const Address& address) {
  static const auto kInside = [] {
    std::vector<Prefix> all;
    for (const char* text : {"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/128", "::1/128", "fe80::/10", "ff00::/8"})
      all.push_back(*Prefix::parse(text));
    return all;
  }();
  return std::any_of(kInside.begin(), kInside.end(), [&](const Prefix& each) { return each.contains(address); });
}

Result<HttpsAnswer> https_request(const HttpsRequest& request, const std::atomic<bool>* stop) {
  static const CURLcode is_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, Cleanup> handle(is_ready == CURLE_OK ? curl_easy_init() : nullptr);
  if (!handle) return fail(Error::Kind::kUnavailable, "libcurl cannot be used");
  CURL* curl = handle.get();
  Transfer transfer;
  transfer.size_max = request.size_max;
  transfer.stop = stop;
  transfer.may_be_inside = is_address(request.url);
  bool is_set = true;
  const auto set = [&](CURLoption option, auto value) { is_set = curl_easy_setopt(curl, option, value) == CURLE_OK && is_set; };
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, request.may_be_plain ? "https,http" : "https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  set(CURLOPT_PROXY, "");  // What a shell exported does not decide whom we ask.
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_QUICK_EXIT, 1L);  // Who ends a request does not wait for a name server.
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  if (!request.ca_file.empty()) {
    set(CURLOPT_CAINFO, request.ca_file.c_str());
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));  // That one alone.
  }
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(std::chrono::milliseconds(kHttpsTimeout).count()));
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::chrono::milliseconds(kHttpsTimeout).count() / 2));
  set(CURLOPT_USERAGENT, "weir");
  set(CURLOPT_OPENSOCKETFUNCTION, open_socket);
  set(CURLOPT_OPENSOCKETDATA, &transfer);
  set(CURLOPT_WRITEFUNCTION, take_body);
  set(CURLOPT_WRITEDATA, &transfer);
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, look_at_stop);
  set(CURLOPT_XFERINFODATA, &transfer);
  if (!request.form.empty()) {
    set(CURLOPT_POSTFIELDSIZE, static_cast<long>(request.form.size()));
    set(CURLOPT_POSTFIELDS, request.form.c_str());
  } else if (!request.body.empty()) {
    set(CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body.size()));
    set(CURLOPT_POSTFIELDS, request.body.c_str());
  }
  if (!request.user.empty()) {
    set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
    set(CURLOPT_USERNAME, request.user.c_str());
    set(CURLOPT_PASSWORD, request.password.c_str());
  }
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(nullptr, curl_slist_free_all);
  bool is_whole = true;
  const auto add_header = [&](const std::string& line) {
    curl_slist* longer = curl_slist_append(headers.get(), line.c_str());
    is_whole = longer != nullptr && is_whole;
    if (longer == nullptr) return;
    (void)headers.release();
    headers.reset(longer);
  };
  add_header("Accept: " + request.accept);
  if (!request.content_type.empty()) add_header("Content-Type: " + request.content_type);
  for (const std::string& line : request.headers) add_header(line);
  if (!request.body.empty()) add_header("Expect:");  // No round trip before a body this small.
  set(CURLOPT_HTTPHEADER, headers.get());
  if (!is_set || !is_whole) return fail(Error::Kind::kUnavailable, "this libcurl lacks an option that a request needs");
  const CURLcode code = curl_easy_perform(curl);
  if (transfer.is_too_large)
    return fail(Error::Kind::kUnavailable, "its answer is larger than " + std::to_string(request.size_max) + " bytes");
  if (code != CURLE_OK && !transfer.inside.empty()) {
    return fail(Error::Kind::kUnavailable, "its name leads to " + transfer.inside +
                                               ", an address of this host or its link alone, which is not asked; if that is right, write the address itself instead of the name");
  }
  if (code != CURLE_OK) return fail(Error::Kind::kUnavailable, reason(code, curl, request));
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  transfer.answer.status = static_cast<int>(status);
  curl_header* header = nullptr;
  if (curl_easy_header(curl, "Cache-Control", 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
    transfer.answer.cache_control = header->value;
  if (curl_easy_header(curl, "Content-Type", 0, CURLH_HEADER, -1, &header) == CURLHE_OK) transfer.answer.content_type = header->value;
  curl_off_t retry_after = 0;
  if (curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after) == CURLE_OK && retry_after > 0) transfer.answer.retry_after = std::chrono::seconds(retry_after);
  return std::move(transfer.answer);
}

}  // namespace weir::kernel
