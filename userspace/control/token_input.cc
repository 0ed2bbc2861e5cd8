#include "control/token_input.h"

#include <iterator>

#include "control/control_client.h"
#include "transport/secret_file.h"

namespace weir::control {
namespace {

constexpr std::size_t kTokenSizeMax = 16u << 10;
constexpr int kTries = 6;
constexpr std::chrono::milliseconds kBetweenTries{1'000};

void trim(std::string& text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
}

}  // namespace

Result<std::string> read_token(VerbCall& call) {
  std::string token;
  if (call.has("token-file") && call.text("token-file") != "-") {
    const auto secret = transport::read_secret_file(call.text("token-file"), kTokenSizeMax);
    if (!secret) return tl::unexpected<Error>(secret.error());
    token = std::string(secret->view());
  } else {
    for (std::istreambuf_iterator<char> it(call.terminal.in), end; it != end && token.size() <= kTokenSizeMax; ++it) token += *it;
  }
  trim(token);
  if (token.empty()) return fail(Error::Kind::kInvalid, "the token is empty: give it on standard input or with --token-file FILE");
  if (token.size() > kTokenSizeMax) return fail(Error::Kind::kInvalid, "the token is longer than 16 KiB");
  return token;
}

Result<nlohmann::json> ask_patiently(VerbCall& call, const std::string& socket, const std::string& verb, const nlohmann::json& arguments) {
  for (int attempt = 1;; ++attempt) {
    auto answer = ask_engine(socket, verb, arguments);
    const bool is_late = !answer && answer.error().kind == Error::Kind::kUnavailable && is_answering(socket);
    if (!is_late || attempt == kTries) return answer;
    call.terminal.wait(kBetweenTries);
  }
}

}  // namespace weir::control
