#include "transport/ssh/auth_client.h"

#include <openssl/crypto.h>

#include "base/check.h"

namespace weir::ssh {
namespace {

constexpr uint8_t kRequest = 50, kFailure = 51, kSuccess = 52, kBanner = 53, kSixty = 60, kInfoResponse = 61;
constexpr uint32_t kPromptsMax = 100;
constexpr std::string_view kHostbound = "publickey-hostbound-v00@openssh.com";

}  // namespace

void AuthClient::begin(std::string_view user, Bytes session_id, Bytes host_key_blob) {
  user_ = user;
  session_id_.assign(session_id.begin(), session_id.end());
  host_key_.assign(host_key_blob.begin(), host_key_blob.end());
  Buffer out;
  WireWriter(out).u8(number::kServiceRequest).string("ssh-userauth");
  send(out, Outstanding::kService);
}

void AuthClient::set_peer(std::string_view signature_algorithms, bool has_hostbound) {
  signatures_ = signature_algorithms;
  has_hostbound_ = has_hostbound;
}

void AuthClient::send(Buffer& message, Outstanding outstanding) {
  outstanding_ = outstanding;
  awaits_answer_ = false;
  host_.request(message);
  OPENSSL_cleanse(message.data(), message.size());
}

void AuthClient::start_request(WireWriter& out, std::string_view method) const { out.u8(kRequest).string(user_).string("ssh-connection").string(method); }

void AuthClient::try_none() {
  Buffer message;
  WireWriter out(message);
  start_request(out, "none");
  send(message, Outstanding::kNone);
}

Result<void> AuthClient::try_key(const PrivateKey& key, Bytes certificate) {
  const std::string_view type = certificate.empty() ? plain_blob_type(key.public_key().type()) : WireReader(certificate).text();
  const SignatureAlgorithm* algorithm = find_signature_for(type, signatures_);
  // A target that says nothing (RFC 8308) is asked with the first of the type: SHA-2 in any case.
  for (const SignatureAlgorithm& one : signature_algorithms()) {
    if (algorithm == nullptr && one.blob_type == type) algorithm = &one;
  }
  if (algorithm == nullptr || algorithm->type != key.public_key().type()) return fail(Error::Kind::kInvalid, "the certificate is of another key");
  const std::string_view method = has_hostbound_ ? kHostbound : "publickey";
  Buffer message, said;
  WireWriter out(message);
  start_request(out, method);
  out.boolean(true).string(algorithm->name).string(certificate.empty() ? key.public_key().blob() : certificate);
  if (has_hostbound_) out.string(host_key_);
  WireWriter(said).string(session_id_).raw(message);
  const auto signature = key.sign(*algorithm, said);
  if (!signature) return tl::unexpected<Error>(signature.error());
  out.string(*signature);
  send(message, Outstanding::kKey);
  return {};
}

void AuthClient::try_password(const Secret& password) {
  Buffer message;
  message.reserve(128 + user_.size() + password.size());  // Grows no more: nothing of it stays behind.
  WireWriter out(message);
  start_request(out, "password");
  out.boolean(false).string(password.view());
  send(message, Outstanding::kPassword);
}

void AuthClient::change_password(const Secret& old_password, const Secret& new_password) {
  Buffer message;
  message.reserve(128 + user_.size() + old_password.size() + new_password.size());
  WireWriter out(message);
  start_request(out, "password");
  out.boolean(true).string(old_password.view()).string(new_password.view());
  send(message, Outstanding::kPassword);
}

void AuthClient::try_interactive() {
  Buffer message;
  WireWriter out(message);
  start_request(out, "keyboard-interactive");
  out.string("").string("");
  send(message, Outstanding::kInteractive);
}

void AuthClient::answer(std::span<const Secret> answers) {
  WEIR_CHECK(awaits_answer_ && answers.size() == prompts_);
  std::size_t size = 8;
  for (const Secret& one : answers) size += 4 + one.size();
  Buffer message;
  message.reserve(size);
  WireWriter out(message);
  out.u8(kInfoResponse).u32(static_cast<uint32_t>(answers.size()));
  for (const Secret& one : answers) out.string(one.view());
  send(message, Outstanding::kInteractive);
}

void AuthClient::receive(Bytes message) {
  if (is_done_ || message.empty()) return;
  const auto number = std::to_integer<uint8_t>(message[0]);
  WireReader reader(message.subspan(1));
  if (number == number::kServiceAccept && outstanding_ == Outstanding::kService) {
    if (reader.text() != "ssh-userauth" || reader.failed()) return end("the target accepts another service than was asked for");
    outstanding_ = Outstanding::kNothing;
    return host_.ready();
  }
  if (number == kBanner) {
    const std::string_view text = reader.text();
    if (reader.failed()) return end("a banner that cannot be read");
    return host_.banner(text);
  }
  const bool is_asked = outstanding_ != Outstanding::kNothing && outstanding_ != Outstanding::kService && !awaits_answer_;
  if (number == kFailure && is_asked) {
    const std::string_view methods = reader.text();
    const bool is_partial = reader.boolean();
    if (!reader.done() || !is_name_list(methods)) return end("a failure that cannot be read");
    outstanding_ = Outstanding::kNothing;
    return host_.refused(methods, is_partial);
  }
  if (number == kSuccess && is_asked) {
    is_done_ = true;
    return host_.authenticated();
  }
  if (number == kSixty && is_asked) return on_sixty(reader);
  end("message " + std::to_string(number) + " has no place in a login");
}

// PK_OK, PASSWD_CHANGEREQ or INFO_REQUEST: by what was asked.  We never ask for a PK_OK.
void AuthClient::on_sixty(WireReader& reader) {
  if (outstanding_ == Outstanding::kPassword) {
    const std::string_view prompt = reader.text();
    if (reader.failed()) return end("a request that cannot be read");
    outstanding_ = Outstanding::kNothing;
    return host_.asked_new_password(prompt);
  }
  if (outstanding_ != Outstanding::kInteractive) return end("message 60 has no place in a login");
  const std::string_view name = reader.text(), instruction = reader.text();
  reader.string();  // Language.
  const uint32_t count = reader.u32();
  if (reader.failed() || count > kPromptsMax) return end("a request that cannot be read");
  std::vector<InteractivePrompt> prompts;
  for (uint32_t i = 0; i < count; ++i) {
    InteractivePrompt prompt;
    prompt.text = reader.text();
    prompt.is_echoed = reader.boolean();
    prompts.push_back(std::move(prompt));
  }
  if (!reader.done()) return end("a request that cannot be read");
  prompts_ = count;
  awaits_answer_ = true;
  host_.asked(name, instruction, prompts);
}

void AuthClient::end(std::string_view reason) {
  is_done_ = true;
  host_.end(Disconnect::kProtocolError, reason);
}

}  // namespace weir::ssh
