#include "signer/client.h"

#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "record/manifest.h"
#include "signer/channel.h"

namespace weir::signer {
namespace {

constexpr std::size_t kHelloMax = 64u << 10;
// A signer that opens no more for now is asked again: what reads many archives waits.
constexpr std::chrono::milliseconds kPause{50};
constexpr int kPausesMax = 600;

class RemoteLog final : public record::LogSigner {
 public:
  explicit RemoteLog(std::shared_ptr<Client> client) : client_(std::move(client)) {}
  const record::VerifyingKey& verifying() const override { return client_->verifying(); }
  Result<record::Signature> sign_seal(std::string_view manifest) override { return signature(SignSeal{std::string(manifest)}); }
  Result<record::Signature> sign_checkpoint(const record::Checkpoint& checkpoint, const Consistency& consistency) override {
    Result<std::vector<record::Digest>> proof = consistency(client_->signed_size());
    if (!proof) return tl::unexpected(proof.error());
    Result<record::Signature> made = signature(SignCheckpoint{.text = record::to_text(checkpoint), .proof = std::move(*proof)});
    if (made) client_->set_signed_size(checkpoint.size);
    return made;
  }

 private:
  Result<record::Signature> signature(const Request& request) {
    const Result<Message> answer = client_->ask(request);
    if (!answer) return tl::unexpected(answer.error());
    return read_signature(answer->bytes());
  }
  const std::shared_ptr<Client> client_;
};

class RemoteKeys final : public record::KeyWrapper, public record::KeyOpener {
 public:
  explicit RemoteKeys(std::shared_ptr<Client> client) : client_(std::move(client)) {}
  Result<nlohmann::json> wrap(const record::SecretKey& key, const record::WrapContext& context) const override {
    const Result<Message> answer = client_->ask(Wrap{context, std::move(*record::SecretKey::from(key.bytes()))});
    if (!answer) return tl::unexpected(answer.error());
    const Result<std::string> text = read_text_answer(answer->bytes(), kWrapMax);
    if (!text) return tl::unexpected(text.error());
    nlohmann::json wrap = record::parse_object(*text);
    if (wrap.empty()) return fail(Error::Kind::kInvalid, "the signer's wrap cannot be read");
    return wrap;
  }
  std::optional<record::SecretKey> open(const nlohmann::json& wrap, const record::WrapContext& context) const override {
    // What is for others need not be asked about.
    if (text_at(wrap, "for") != "gateway") return std::nullopt;
    std::string text = record::dump(wrap);
    if (text.size() > kWrapMax) return std::nullopt;
    return key(Open{context, std::move(text)});
  }
  bool is_away() const override { return client_->is_away(); }
  std::string names() const override { return client_->hello().key_names; }
  std::string first_id() const override { return client_->hello().first_key; }
  std::optional<record::SecretKey> derive(std::string_view id, Bytes salt, std::string_view info) const override {
    return key(Derive{std::string(id), {salt.begin(), salt.end()}, std::string(info)});
  }

 private:
  std::optional<record::SecretKey> key(const Request& request) const {
    for (int pause = 0; pause < kPausesMax; ++pause) {
      const Result<Message> answer = client_->ask(request);
      if (!answer) return std::nullopt;
      Result<std::optional<record::SecretKey>> key = read_key(answer->bytes());
      if (key) return std::move(*key);
      if (key.error().kind != Error::Kind::kUnavailable) return std::nullopt;
      std::this_thread::sleep_for(kPause);
    }
    return std::nullopt;
  }
  const std::shared_ptr<Client> client_;
};

class RemoteCa final : public transport::LeafSigner {
 public:
  explicit RemoteCa(std::shared_ptr<Client> client) : client_(std::move(client)) {}
  Result<transport::X509Ptr> sign(const transport::LeafNames& names, EVP_PKEY* key, std::chrono::sys_seconds) override {
    unsigned char* der = nullptr;
    const int size = i2d_PUBKEY(key, &der);
    if (size <= 0) return fail(Error::Kind::kSystem, "a public key could not be written");
    const Bytes bytes = std::as_bytes(std::span(der, static_cast<std::size_t>(size)));
    SignLeaf request{.dns = names.dns, .addresses = names.addresses, .public_key = {bytes.begin(), bytes.end()}};
    OPENSSL_free(der);
    const Result<Message> answer = client_->ask(request);
    if (!answer) return tl::unexpected<Error>(answer.error());
    const Result<std::string> text = read_text_answer(answer->bytes(), kCertificateMax);
    if (!text) return tl::unexpected<Error>(text.error());
    const auto* at = reinterpret_cast<const unsigned char*>(text->data());
    transport::X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(text->size())));
    if (!certificate) return fail(Error::Kind::kInvalid, "the signer's certificate cannot be read: " + transport::take_openssl_error());
    return certificate;
  }

 private:
  const std::shared_ptr<Client> client_;
};

}  // namespace

Result<std::shared_ptr<Client>> Client::open(int socket, const Setup& setup) {
  const auto give_up = [socket](const Error& error) {
    ::close(socket);
    return tl::unexpected<Error>(Error{error.kind, "signer: " + error.message, error.code});
  };
  const timeval patience{.tv_sec = kPatience.count(), .tv_usec = 0};
  setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);   // Receiving has a bound of its own.
  if (Result<void> sent = send_frame(socket, as_bytes(to_json(setup))); !sent) return give_up(sent.error());
  const Result<Message> answer = receive_frame(socket, kHelloMax, kPatience);
  if (!answer) return give_up(answer.error());
  Result<Hello> hello = hello_from_json(as_text(answer->bytes()));
  if (!hello) return give_up(hello.error());
  Result<record::VerifyingKey> verifying = record::VerifyingKey::from_pem(hello->public_pem);
  if (!verifying) return give_up(verifying.error());
  return std::shared_ptr<Client>(new Client(socket, std::move(*hello), std::move(*verifying)));
}

Client::~Client() { ::close(socket_); }

void Client::close() {
  is_away_ = true;
  ::shutdown(socket_, SHUT_RDWR);
}

Result<Message> Client::ask(const Request& request) {
  const Message message = encode(request);
  const std::lock_guard lock(mutex_);
  if (is_away_) return fail(Error::Kind::kUnavailable, "the signer is away");
  const Result<void> sent = send_frame(socket_, message.bytes());
  Result<Message> answer = sent ? receive_frame(socket_, kFrameMax, kPatience) : tl::unexpected(sent.error());
  if (answer) return answer;
  if (sent || sent.error().kind != Error::Kind::kInvalid) is_away_ = true;   // The stream is of no use any more.
  return fail(Error::Kind::kUnavailable, "the signer is away: " + answer.error().message);
}

bool Client::is_away() const {
  if (is_away_) return true;
  pollfd state{.fd = socket_, .events = POLLRDHUP, .revents = 0};
  return ::poll(&state, 1, 0) > 0 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

Result<std::string> Client::adopt_head(std::string note) {
  const Result<Message> answer = ask(AdoptHead{std::move(note)});
  if (!answer) return tl::unexpected(answer.error());
  Result<std::string> newest = read_text_answer(answer->bytes(), kNoteMax);
  if (!newest || newest->empty()) return newest;
  const Result<record::Note> read = record::parse_note(*newest);
  const Result<record::Checkpoint> checkpoint = read ? record::checkpoint_from_text(read->text) : tl::unexpected(read.error());
  if (!checkpoint) return tl::unexpected(checkpoint.error());
  signed_size_ = checkpoint->size;
  return newest;
}

record::LogKey Client::log_key() { return record::LogKey(std::make_shared<RemoteLog>(shared_from_this())); }

Result<record::KeyRing> Client::ring(const std::vector<std::string>& auditors) {
  record::KeyRing ring;
  if (hello_.first_key.empty()) return ring;
  const auto own = std::make_shared<const RemoteKeys>(shared_from_this());
  ring.wrappers.push_back(own);
  ring.openers.push_back(own);
  for (const std::string& path : auditors) {
    const auto auditor = record::AuditorKey::read(path);
    if (!auditor) return tl::unexpected(auditor.error());
    ring.wrappers.push_back(*auditor);
  }
  return ring;
}

std::shared_ptr<transport::LeafSigner> Client::leaf_signer() { return std::make_shared<RemoteCa>(shared_from_this()); }

Result<Counts> Client::counts() {
  const Result<Message> answer = ask(AskCounts{});
  if (!answer) return tl::unexpected(answer.error());
  return read_counts(answer->bytes());
}

}  // namespace weir::signer
