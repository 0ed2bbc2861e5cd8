#include "transport/tls.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>

#include <algorithm>

#include "base/check.h"
#include "transport/certificate.h"
#include "transport/peer_certificate.h"
#include "transport/tls_fault.h"

namespace weir::transport {
namespace {

constexpr std::size_t kRecordMax = SSL3_RT_MAX_PLAIN_LENGTH;  // 16 KiB of plaintext.

// AEAD with forward secrecy only.  AES-128 first: it is the quicker one on a core with AES instructions, and what it
// protects ends with the session's keys.
constexpr char kSuites13[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr char kSuites12[] = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL:!eNULL:!PSK";

// SSL_get_error reads this thread's error queue: what another user of OpenSSL left there would be taken for ours.
void forget_old_errors() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

// Empties this thread's queue.  The first of TLS itself says the most: what a cipher reports below it says only that it failed.
unsigned long take_cause() {
  unsigned long cause = 0;
  while (const unsigned long code = ERR_get_error()) {
    if (cause == 0 || (ERR_GET_LIB(cause) != ERR_LIB_SSL && ERR_GET_LIB(code) == ERR_LIB_SSL)) cause = code;
  }
  return cause;
}

}  // namespace

// What OpenSSL calls back.  C frames lie between: nothing here may throw.
struct TlsCallbacks {
  static int read(BIO* bio, char* out, std::size_t size, std::size_t* got) {
    BIO_clear_retry_flags(bio);
    auto* transport = static_cast<TlsTransport*>(BIO_get_data(bio));
    const std::size_t taken = std::min(size, transport->incoming_.size());
    *got = taken;
    if (taken == 0) {
      BIO_set_retry_read(bio);
      return 0;
    }
    std::memcpy(out, transport->incoming_.data(), taken);
    transport->incoming_ = transport->incoming_.subspan(taken);
    return 1;
  }
  static int write(BIO* bio, const char* data, std::size_t size, std::size_t* written) {
    BIO_clear_retry_flags(bio);
    auto* transport = static_cast<TlsTransport*>(BIO_get_data(bio));
    WEIR_CHECK(transport->sink_ != nullptr);  // OpenSSL writes only within a call of ours.
    transport->account_.wire_out += size;
    transport->sink_->wire(std::as_bytes(std::span(data, size)));
    *written = size;
    return 1;
  }
  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }
  static int create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
  }
  // Notes what is wrong with the certificate while it is at hand: after a refusal OpenSSL does not keep it.
  static int verify(int is_good, X509_STORE_CTX* store) {
    if (is_good == 1) return 1;
    auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    auto* transport = static_cast<TlsTransport*>(SSL_get_app_data(ssl));
    const TlsLeg& leg = *transport->leg_;
    if (transport->refused_certificate_.empty()) {
      std::string expected = leg.expected_names.empty() ? "" : leg.expected_names.front();
      if (expected.empty()) {
        char* address = X509_VERIFY_PARAM_get1_ip_asc(SSL_get0_param(ssl));
        expected = address != nullptr ? address : "its address";
        OPENSSL_free(address);
      }
      transport->refused_certificate_ =
          explain_certificate(leg, X509_STORE_CTX_get_current_cert(store), X509_STORE_CTX_get_error(store), expected);
    }
    return 0;
  }
};

// Lends the span and the sink for one call; puts back what an outer call had, since plain() may lead to send().
class TlsTransport::Turn {
 public:
  Turn(TlsTransport& transport, TransportSink& sink) : transport_(transport), outer_(std::exchange(transport.sink_, &sink)) {
    forget_old_errors();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() { transport_.sink_ = outer_; }

 private:
  TlsTransport& transport_;
  TransportSink* outer_;
};

Result<SslContextPtr> make_tls_context(TlsRole role, const std::string& minimum) {
  const int version = minimum == "1.2" ? TLS1_2_VERSION : minimum == "1.3" ? TLS1_3_VERSION : 0;
  if (version == 0)
    return fail(Error::Kind::kInvalid, "tls.minimum is \"" + printable(minimum) + "\"; it may be \"1.2\" or \"1.3\"");
  SslContextPtr context(SSL_CTX_new(role == TlsRole::kServer ? TLS_server_method() : TLS_client_method()));
  if (!context) return fail(Error::Kind::kSystem, "cannot make a TLS context: " + take_openssl_error());
  SSL_CTX* c = context.get();
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // A record buffer is 17 KiB a direction: an idle session must not hold them.
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  if (SSL_CTX_set_min_proto_version(c, version) != 1 || SSL_CTX_set_ciphersuites(c, kSuites13) != 1 ||
      SSL_CTX_set_cipher_list(c, kSuites12) != 1 || SSL_CTX_set_num_tickets(c, 0) != 1 ||
      SSL_CTX_set_max_early_data(c, 0) != 1) {
    return fail(Error::Kind::kSystem, "cannot set up TLS: " + take_openssl_error());
  }
  if (role == TlsRole::kServer) SSL_CTX_set_dh_auto(c, 1);
  return context;
}

BioMethodPtr make_tls_io_method() {
  BioMethodPtr method(BIO_meth_new(BIO_TYPE_SOURCE_SINK, "weir span"));
  if (!method || BIO_meth_set_read_ex(method.get(), TlsCallbacks::read) != 1 ||
      BIO_meth_set_write_ex(method.get(), TlsCallbacks::write) != 1 ||
      BIO_meth_set_ctrl(method.get(), TlsCallbacks::control) != 1 ||
      BIO_meth_set_create(method.get(), TlsCallbacks::create) != 1) {
    return nullptr;
  }
  return method;
}

TlsTransport::TlsTransport(std::shared_ptr<const TlsLeg> leg, SslPtr ssl) : leg_(std::move(leg)), ssl_(std::move(ssl)), overwrites_plaintext_(leg_->overwrites_plaintext) {}

TlsTransport::~TlsTransport() {
  // Freeing the SSL writes nothing, but it must not find a BIO that leads here.
  SSL_set_app_data(ssl_.get(), nullptr);
}

Result<TransportPtr> TlsTransport::make(std::shared_ptr<const TlsLeg> leg, const Address& dialled) {
  forget_old_errors();
  SslPtr ssl(SSL_new(leg->context.get()));
  BioPtr bio(BIO_new(leg->io_method.get()));
  if (!ssl || !bio) return fail(Error::Kind::kSystem, "cannot begin TLS: " + take_openssl_error());
  SSL* s = ssl.get();
  if (leg->role == TlsRole::kServer) {
    SSL_set_accept_state(s);
    if (leg->asks_certificate) {
      SSL_set_verify(s, SSL_VERIFY_PEER | (leg->needs_certificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), TlsCallbacks::verify);
    }
  } else {
    SSL_set_connect_state(s);
    bool is_set = true;
    if (!leg->expected_names.empty() && !Address::parse(leg->expected_names.front())) {
      // The macro SSL_set_tlsext_host_name, spelt without its C cast.  OpenSSL copies the name.
      is_set = SSL_ctrl(s, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                        const_cast<char*>(leg->expected_names.front().c_str())) == 1;
    }
    if (leg->verify == VerifyMode::kVerifyFull) {
      SSL_set_verify(s, SSL_VERIFY_PEER, TlsCallbacks::verify);
      if (leg->expected_names.empty()) {
        is_set = is_set && X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s), dialled.text().c_str()) == 1;
      }
    } else if (leg->verify == VerifyMode::kVerifyCa) {
      SSL_set_verify(s, SSL_VERIFY_PEER, TlsCallbacks::verify);
    }
    if (!is_set) return fail(Error::Kind::kSystem, "cannot set the target's name for TLS: " + take_openssl_error());
  }
  auto transport = std::unique_ptr<TlsTransport>(new TlsTransport(std::move(leg), std::move(ssl)));
  BIO_set_data(bio.get(), transport.get());
  SSL_set_app_data(s, transport.get());
  SSL_set_bio(s, bio.get(), bio.get());  // Takes the one reference for both.
  static_cast<void>(bio.release());
  return TransportPtr(std::move(transport));
}

void TlsTransport::start(TransportSink& sink) {
  if (leg_->role == TlsRole::kServer || state_ != State::kHandshake) return;
  const Turn turn(*this, sink);
  handshake();
}

void TlsTransport::receive(Bytes wire, TransportSink& sink) {
  account_.wire_in += wire.size();
  if (state_ == State::kPeerClosed || state_ == State::kFault) return;
  const Turn turn(*this, sink);
  incoming_ = wire;
  if (state_ == State::kHandshake) handshake();
  if (state_ == State::kReady && !incoming_.empty()) read_records();
  incoming_ = {};
}

void TlsTransport::handshake() {
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) return on_ready();
  if (SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ) become_faulty();
}

void TlsTransport::on_ready() {
  state_ = State::kReady;
  X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  if (leg_->role == TlsRole::kServer) {
    if (certificate != nullptr && leg_->asks_certificate) {
      peer_certificate_ = std::make_unique<PeerCertificate>(describe_peer(certificate, SSL_get0_verified_chain(ssl_.get())));
    }
    return;
  }
  if (certificate != nullptr) peer_hash_size_ = static_cast<uint8_t>(endpoint_hash(certificate, peer_hash_));
}

void TlsTransport::end_secret() {
  overwrites_plaintext_ = false;
  SSL_clear_options(ssl_.get(), SSL_OP_CLEANSE_PLAINTEXT);
}

void TlsTransport::read_records() {
  // A whole record at a time, on the stack: zeroing it, or a heap block a session, would cost more than the copy.
  std::array<std::byte, kRecordMax> plain;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  while (state_ == State::kReady) {
    std::size_t size = 0;
    const int result = SSL_read_ex(ssl_.get(), plain.data(), plain.size(), &size);
    if (result != 1) {
      const int error = SSL_get_error(ssl_.get(), result);
      if (error == SSL_ERROR_WANT_READ) return;
      if (error == SSL_ERROR_ZERO_RETURN) {
        state_ = State::kPeerClosed;
        return;
      }
      return become_faulty();
    }
    account_.plain_in += size;
    sink_->plain(Bytes(plain).first(size));
    if (overwrites_plaintext_) OPENSSL_cleanse(plain.data(), size);
    // One more call would only say "want read", at the price of a record buffer taken and given back.
    if (incoming_.empty() && SSL_pending(ssl_.get()) == 0) return;
  }
}

void TlsTransport::send(std::span<const Bytes> plain, TransportSink& sink) {
  if (state_ == State::kHandshake || state_ == State::kFault || is_close_sent_) return;
  const Turn turn(*this, sink);
  if (plain.size() == 1) return write_record(plain.front());
  // Several small pieces become one record: a record a piece would cost 22 bytes and an encryption each.
  std::array<std::byte, kRecordMax> gathered;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  std::size_t size = 0;
  for (Bytes piece : plain) {
    while (!piece.empty()) {
      if (size == 0 && piece.size() >= kRecordMax) {
        const std::size_t whole = piece.size() - piece.size() % kRecordMax;
        write_record(piece.first(whole));
        piece = piece.subspan(whole);
        continue;
      }
      const std::size_t part = std::min(piece.size(), kRecordMax - size);
      std::memcpy(gathered.data() + size, piece.data(), part);
      size += part;
      piece = piece.subspan(part);
      if (size < kRecordMax) continue;
      write_record(gathered);
      size = 0;
    }
  }
  write_record(Bytes(gathered).first(size));
}

// Cut into records of 16 KiB by OpenSSL.
void TlsTransport::write_record(Bytes plain) {
  if (plain.empty() || state_ == State::kFault) return;
  std::size_t written = 0;
  const int result = SSL_write_ex(ssl_.get(), plain.data(), plain.size(), &written);
  account_.plain_out += written;
  if (result != 1) become_faulty();
}

void TlsTransport::close(TransportSink& sink) {
  if (is_close_sent_ || state_ == State::kHandshake || state_ == State::kFault) return;
  const Turn turn(*this, sink);
  is_close_sent_ = true;
  if (SSL_shutdown(ssl_.get()) < 0) ERR_clear_error();  // "Not yet closed by the peer" is no fault.
}

void TlsTransport::become_faulty() {
  const bool was_ready = state_ != State::kHandshake;
  const unsigned long code = take_cause();
  state_ = State::kFault;
  lacks_certificate_ = ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
  fault_ = !refused_certificate_.empty() ? refused_certificate_ : explain_fault(*leg_, code, was_ready);
}

std::string TlsTransport::describe() const {
  if (state_ == State::kHandshake) return "TLS handshake";
  const char* suite = SSL_get_cipher_name(ssl_.get());
  std::string text = std::string(SSL_get_version(ssl_.get())) + " " + (suite != nullptr ? suite : "?");
  if (leg_->role == TlsRole::kServer)
    return text + (leg_->is_own_pair ? ", the target's own certificate" : ", minted certificate") +
           (peer_certificate_ ? ", the client's certificate " + peer_certificate_->fingerprint : "");
  switch (leg_->verify) {
    case VerifyMode::kVerifyFull: {
      const char* name = SSL_get0_peername(ssl_.get());
      return text + ", verified " +
             (name != nullptr                ? printable(name)
              : leg_->expected_names.empty() ? "its address"
                                             : leg_->expected_names.front());
    }
    case VerifyMode::kVerifyCa:
      return text + ", signed by " + leg_->trust + ", name not verified";
    case VerifyMode::kRequire:
      return text + ", certificate not verified";
    case VerifyMode::kNone:
      break;
  }
  return text;
}

}  // namespace weir::transport
