#include "transport/ssh/auth_server.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "base/check.h"

namespace weir::ssh {
namespace {

constexpr uint8_t kRequest = 50, kFailure = 51, kSuccess = 52, kBanner = 53, kPkOk = 60, kInfoRequest = 60, kPasswordChange = 60, kInfoResponse = 61;
constexpr std::string_view kHostbound = "publickey-hostbound-v00@openssh.com";
constexpr std::size_t kUserSizeMax = 255, kWaitingMax = 64 << 10, kSecretSizeMax = 32 << 10;
constexpr uint32_t kPromptsMax = 100;

void wipe(Buffer& buffer) {
  if (!buffer.empty()) OPENSSL_cleanse(buffer.data(), buffer.size());
  buffer.clear();
}

}  // namespace

AuthServer::~AuthServer() { wipe(waiting_); }

void AuthServer::begin(Bytes session_id, Bytes host_key_blob) {
  session_id_.assign(session_id.begin(), session_id.end());
  host_key_.assign(host_key_blob.begin(), host_key_blob.end());
}

// A client may send on without waiting (RFC 4252 section 5.1); what it sends waits its turn.
void AuthServer::receive(Bytes message) {
  if (state_ == State::kDone || state_ == State::kEnded || message.empty()) return;
  if (state_ != State::kDeciding && !is_in_take_) {
    take(message);
    return go_on();
  }
  if (waiting_.size() + message.size() > kWaitingMax) return end(Disconnect::kProtocolError, "too many requests at once");
  WireWriter(waiting_).string(message);
}

void AuthServer::go_on() {
  while (!waiting_.empty() && state_ != State::kDeciding && state_ != State::kDone && state_ != State::kEnded && !is_in_take_) {
    Buffer all = std::move(waiting_);
    waiting_ = {};
    WireReader reader(all);
    const Bytes message = reader.string();
    const Bytes rest = reader.rest();
    waiting_.assign(rest.begin(), rest.end());
    take(message);
    wipe(all);
  }
}

void AuthServer::take(Bytes message) {
  is_in_take_ = true;
  const auto number = std::to_integer<uint8_t>(message[0]);
  if (state_ == State::kService) {
    WireReader reader(message.subspan(1));
    const std::string_view service = reader.text();
    if (number != number::kServiceRequest || !reader.done() || service != "ssh-userauth") {
      end(Disconnect::kServiceNotAvailable, "ssh-userauth is the service to ask for");
    } else {
      Buffer out;
      WireWriter(out).u8(number::kServiceAccept).string(service);
      state_ = State::kIdle;
      host_.reply(out);
    }
  } else if (number == kRequest) {
    state_ = State::kIdle;  // A new request ends a keyboard-interactive that waits for answers (RFC 4256 section 3.1).
    on_request(message);
  } else if (number == kInfoResponse && state_ == State::kAsking) {
    on_answers(message);
  } else {
    end(Disconnect::kProtocolError, "a message that has no place in a login");
  }
  is_in_take_ = false;
}

void AuthServer::on_request(Bytes message) {
  WireReader reader(message.subspan(1));
  const std::string_view user = reader.text(), service = reader.text(), method = reader.text();
  if (reader.failed() || user.size() > kUserSizeMax) return end(Disconnect::kProtocolError, "a login request that cannot be read");
  if (service != "ssh-connection") return end(Disconnect::kServiceNotAvailable, "ssh-connection is the service to log in for");
  if (has_user_ && user != user_) return end(Disconnect::kProtocolError, "a change of the user name is not allowed");
  user_ = user;
  has_user_ = true;
  AuthAttempt attempt;
  attempt.user = user_;
  if (method == "none") {
    attempt.kind = AuthAttempt::Kind::kNone;
    return reader.at_end() ? decide(attempt) : end(Disconnect::kProtocolError, "a login request that cannot be read");
  }
  if (!has_name(settings_.methods, method == kHostbound ? "publickey" : method)) return refuse();
  if (method == "publickey" || method == kHostbound) return on_key(reader, method, attempt);
  if (method == "password") return on_password(reader, attempt);
  if (method == "keyboard-interactive") {
    reader.string();  // Language.
    reader.string();  // Submethods: a hint.
    attempt.kind = AuthAttempt::Kind::kInteractive;
    return reader.done() ? decide(attempt) : end(Disconnect::kProtocolError, "a login request that cannot be read");
  }
  refuse();  // Hostbased among them: it is signed over the session, and ours is not the target's.
}

void AuthServer::on_key(WireReader& reader, std::string_view method, AuthAttempt& attempt) {
  const bool is_signed = reader.boolean();
  const std::string_view name = reader.text();
  const Bytes blob = reader.string();
  attempt.is_hostbound = method == kHostbound;
  const Bytes host_key = attempt.is_hostbound ? reader.string() : Bytes{};
  const Bytes signature = is_signed ? reader.string() : Bytes{};
  if (!reader.done()) return end(Disconnect::kProtocolError, "a login request that cannot be read");
  attempt.algorithm = find_signature_algorithm(name);
  WireReader type(blob);
  if (attempt.algorithm == nullptr || type.text() != attempt.algorithm->blob_type || type.failed()) return refuse();
  // Another host key: the client was not talking to us when it signed (OpenSSH PROTOCOL section 3.1).
  if (attempt.is_hostbound && !std::equal(host_key.begin(), host_key.end(), host_key_.begin(), host_key_.end())) return refuse();
  if (attempt.algorithm->is_certificate) {
    auto certificate = Certificate::parse(blob);
    if (!certificate) return refuse();
    attempt.key = certificate->key;
    attempt.certificate = std::move(*certificate);
  } else {
    auto key = PublicKey::parse(blob);
    if (!key) return refuse();
    attempt.key = std::move(*key);
  }
  attempt.kind = is_signed ? AuthAttempt::Kind::kKeyProven : AuthAttempt::Kind::kKeyOffered;
  offered_algorithm_.assign(as_bytes(name).begin(), as_bytes(name).end());
  offered_blob_.assign(blob.begin(), blob.end());
  if (is_signed) {
    Buffer said;  // RFC 4252 section 7
    WireWriter out(said);
    out.string(session_id_).u8(kRequest).string(user_).string("ssh-connection").string(method).boolean(true).string(name).string(blob);
    if (attempt.is_hostbound) out.string(host_key);
    if (session_id_.empty() || !attempt.key->verify(*attempt.algorithm, signature, said)) return refuse();
  }
  decide(attempt);
}

void AuthServer::on_password(WireReader& reader, AuthAttempt& attempt) {
  attempt.kind = AuthAttempt::Kind::kPassword;
  attempt.has_new_password = reader.boolean();
  const Bytes password = reader.string();
  const Bytes new_password = attempt.has_new_password ? reader.string() : Bytes{};
  if (!reader.done() || password.size() > kSecretSizeMax || new_password.size() > kSecretSizeMax) return end(Disconnect::kProtocolError, "a login request that cannot be read");
  attempt.password = Secret(as_text(password));
  attempt.new_password = Secret(as_text(new_password));
  decide(attempt);
}

void AuthServer::on_answers(Bytes message) {
  WireReader reader(message.subspan(1));
  const uint32_t count = reader.u32();
  if (reader.failed() || count != asked_) return end(Disconnect::kProtocolError, "another number of answers than of questions");
  AuthAttempt attempt;
  attempt.kind = AuthAttempt::Kind::kInteractiveAnswers;
  attempt.user = user_;
  for (uint32_t i = 0; i < count; ++i) {
    const Bytes answer = reader.string();
    if (reader.failed() || answer.size() > kSecretSizeMax) return end(Disconnect::kProtocolError, "answers that cannot be read");
    attempt.answers.emplace_back(as_text(answer));
  }
  if (!reader.done()) return end(Disconnect::kProtocolError, "answers that cannot be read");
  decide(attempt);
}

void AuthServer::decide(AuthAttempt& attempt) {
  state_ = State::kDeciding;
  kind_ = attempt.kind;
  host_.decide(attempt);
}

void AuthServer::accept() {
  WEIR_CHECK(state_ == State::kDeciding && kind_ != AuthAttempt::Kind::kKeyOffered && kind_ != AuthAttempt::Kind::kInteractive);
  state_ = State::kDone;
  wipe(waiting_);  // RFC 4252 section 5.1: what was asked for before is not answered any more.
  constexpr std::byte kMessage{kSuccess};
  host_.reply({&kMessage, 1});
  host_.authenticated();
}

void AuthServer::accept_partly(std::string_view methods_left) {
  WEIR_CHECK(state_ == State::kDeciding && kind_ != AuthAttempt::Kind::kKeyOffered);
  send_failure(methods_left, true);
  go_on();
}

void AuthServer::refuse() {
  if (state_ == State::kDone || state_ == State::kEnded) return;
  const bool is_first_none = state_ == State::kDeciding && kind_ == AuthAttempt::Kind::kNone && !had_none_;
  had_none_ = had_none_ || is_first_none;
  if (!is_first_none && ++refused_ >= settings_.attempts_max) return end(Disconnect::kNoMoreAuthMethods, "too many attempts to log in");
  send_failure(settings_.methods, false);
  go_on();
}

void AuthServer::allow_key() {
  WEIR_CHECK(state_ == State::kDeciding && kind_ == AuthAttempt::Kind::kKeyOffered);
  Buffer out;
  WireWriter(out).u8(kPkOk).string(offered_algorithm_).string(offered_blob_);
  state_ = State::kIdle;
  host_.reply(out);
  go_on();
}

void AuthServer::ask(std::string_view name, std::string_view instruction, std::span<const InteractivePrompt> prompts) {
  WEIR_CHECK(state_ == State::kDeciding && (kind_ == AuthAttempt::Kind::kInteractive || kind_ == AuthAttempt::Kind::kInteractiveAnswers));
  WEIR_CHECK(prompts.size() <= kPromptsMax);
  asked_ = static_cast<uint32_t>(prompts.size());
  Buffer out;
  WireWriter writer(out);
  writer.u8(kInfoRequest).string(name).string(instruction).string("").u32(asked_);
  for (const InteractivePrompt& prompt : prompts) writer.string(prompt.text).boolean(prompt.is_echoed);
  state_ = State::kAsking;
  host_.reply(out);
  go_on();
}

void AuthServer::ask_new_password(std::string_view prompt) {
  WEIR_CHECK(state_ == State::kDeciding && kind_ == AuthAttempt::Kind::kPassword);
  Buffer out;
  WireWriter(out).u8(kPasswordChange).string(prompt).string("");
  state_ = State::kIdle;
  host_.reply(out);
  go_on();
}

void AuthServer::banner(std::string_view text) {
  if (state_ == State::kService || state_ == State::kDone || state_ == State::kEnded) return;
  Buffer out;
  WireWriter(out).u8(kBanner).string(text).string("");
  host_.reply(out);
}

void AuthServer::send_failure(std::string_view methods, bool is_partial) {
  Buffer out;
  WireWriter(out).u8(kFailure).string(methods).boolean(is_partial);
  state_ = State::kIdle;
  host_.reply(out);
}

void AuthServer::end(Disconnect code, std::string_view reason) {
  state_ = State::kEnded;
  wipe(waiting_);
  host_.end(code, reason);
}

}  // namespace weir::ssh
