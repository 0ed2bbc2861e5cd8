// What the transport tests share: a folder that goes away, certificates made on the spot, a sink that keeps all it is told,
// and a plain OpenSSL peer that can do what Weir's own side never would.
#pragma once
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "transport/ca.h"
#include "transport/certificate.h"
#include "transport/leaf_mint.h"
#include "transport/tls.h"
#include "transport/tls_contexts.h"

namespace weir::transport::testing {

using std::chrono::sys_seconds;
inline sys_seconds real_now() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}  // OpenSSL verifies by it.

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-transport-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    std::ofstream(path_ + "/" + name) << text;
    chmod((path_ + "/" + name).c_str(), mode);
    return path_ + "/" + name;
  }

 private:
  std::string path_;
};

inline std::string pem_text(const std::function<int(BIO*)>& write) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  write(bio.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}
inline std::string certificate_pem(X509* x) {
  return pem_text([&](BIO* b) { return PEM_write_bio_X509(b, x); });
}
inline std::string key_pem(EVP_PKEY* k) {
  return pem_text([&](BIO* b) { return PEM_write_bio_PrivateKey(b, k, nullptr, nullptr, 0, nullptr, nullptr); });
}

struct Pair {
  X509Ptr certificate;
  PkeyPtr key;
};
struct PairRequest {
  std::string common_name = "server", names = {};  // "DNS:a,IP:1.2.3.4"
  PkeyPtr key = {};                                // Null: P-256.
  const Pair* issuer = nullptr;                    // Null: signs itself.
  const EVP_MD* digest = EVP_sha256();             // Null for Ed25519.
  sys_seconds from = real_now() - std::chrono::hours(1), until = real_now() + std::chrono::hours(24);
  bool is_ca = false;
};
inline Pair make_pair(PairRequest request) {
  Pair pair{X509Ptr(X509_new()), request.key ? std::move(request.key) : PkeyPtr(EVP_EC_gen("P-256"))};
  X509* x = pair.certificate.get();
  X509_set_version(x, X509_VERSION_3);
  EXPECT_TRUE(set_serial_and_validity(x, request.from, request.until));
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(request.common_name.c_str()), -1, -1, 0);
  X509* issuer = request.issuer != nullptr ? request.issuer->certificate.get() : x;
  X509_set_issuer_name(x, X509_get_subject_name(issuer));
  X509_set_pubkey(x, pair.key.get());
  EXPECT_TRUE(!request.is_ca || add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE"));
  EXPECT_TRUE(request.names.empty() || add_extension(x, issuer, NID_subject_alt_name, request.names));
  EXPECT_GT(X509_sign(x, request.issuer != nullptr ? request.issuer->key.get() : pair.key.get(), request.digest), 0);
  return pair;
}

class Sink : public TransportSink {
 public:
  void plain(Bytes bytes) override {
    plain_text += as_text(bytes);
    if (on_plain) on_plain(bytes);
  }
  void wire(Bytes bytes) override {
    wire_text += as_text(bytes);
    ++wire_calls;
  }
  std::string take_wire() { return std::exchange(wire_text, {}); }
  std::string plain_text, wire_text;
  int wire_calls = 0;
  std::function<void(Bytes)> on_plain;
};

// OpenSSL as anybody uses it, over memory BIOs.
class Peer {
 public:
  Peer(TlsRole role, const std::function<void(SSL_CTX*)>& set_up = {})
      : context_(SSL_CTX_new(role == TlsRole::kServer ? TLS_server_method() : TLS_client_method())) {
    if (set_up) set_up(context_.get());
    ssl_.reset(SSL_new(context_.get()));
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_.get(), in_, out_);
    role == TlsRole::kServer ? SSL_set_accept_state(ssl_.get()) : SSL_set_connect_state(ssl_.get());
  }
  // Takes wire bytes, goes on with the handshake or reads; what it read is added to `plain`.
  void take(const std::string& wire) {
    if (!wire.empty()) BIO_write(in_, wire.data(), static_cast<int>(wire.size()));
    step();
  }
  void step() {
    ERR_clear_error();
    if (!SSL_is_init_finished(ssl_.get()) && SSL_do_handshake(ssl_.get()) != 1) return;
    char buffer[20000];
    int size = 0;
    while ((size = SSL_read(ssl_.get(), buffer, sizeof buffer)) > 0) plain.append(buffer, static_cast<std::size_t>(size));
  }
  void say(const std::string& text) {
    EXPECT_EQ(SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())), static_cast<int>(text.size()));
  }
  std::string take_wire() {
    char* data = nullptr;
    const long size = BIO_get_mem_data(out_, &data);
    std::string wire(data, static_cast<std::size_t>(size));
    static_cast<void>(BIO_reset(out_));
    return wire;
  }
  [[nodiscard]] bool is_ready() const { return SSL_is_init_finished(ssl_.get()) == 1; }
  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }
  std::string plain;

 private:
  SslContextPtr context_;
  SslPtr ssl_;
  BIO* in_ = nullptr;  // Owned by ssl_.
  BIO* out_ = nullptr;
};

// A CA, a target with a certificate of it, and the configuration of both legs.
struct Lab {
  Folder folder;
  Pair ca = make_pair({.common_name = "Target CA", .is_ca = true});
  Config config;
  std::unique_ptr<LeafMint> mint;
  std::shared_ptr<const TlsContexts> contexts;

  Lab() {
    config.tls = {folder / "ca.crt", folder / "ca.key", "1.2"};
    EXPECT_TRUE(init_ca({.certificate_file = config.tls.ca_certificate_file, .key_file = config.tls.ca_key_file}, real_now()));
    folder.write("target-ca.crt", certificate_pem(ca.certificate.get()), 0644);
    TargetConfig target;
    target.name = "orders-db";
    target.protocol = "postgres";
    target.addresses = {*Prefix::parse("198.18.2.2"), *Prefix::parse("fd57:2::2")};
    target.tls.ca_file = folder / "target-ca.crt";
    target.tls.server_name = "orders-db.lab.example";
    config.targets.push_back(target);
  }
  TargetTlsConfig& tls() { return config.targets.front().tls; }
  const TargetTls& make() {
    mint = *LeafMint::load(config.tls, real_now());
    auto made = TlsContexts::make(config, mint.get(), real_now());
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    contexts = *made;
    return *contexts->find("orders-db");
  }
  TransportPtr client_leg() { return *make().client_leg(); }
  TransportPtr target_leg(const std::string& dialled = "198.18.2.2") { return *make().target_leg(*Address::parse(dialled)); }
  Pair target_pair(const std::string& names = "DNS:orders-db.lab.example") {
    return make_pair({.common_name = "target", .names = names, .issuer = &ca});
  }
};

// Hands bytes to and fro until both are silent.  `cut`: sizes of the pieces; 0: whole.
inline void converse(Transport& transport, Sink& sink, Peer& peer, std::size_t cut = 0) {
  for (int round = 0; round < 20; ++round) {
    peer.take(sink.take_wire());
    const std::string wire = peer.take_wire();
    const std::size_t piece = cut == 0 ? wire.size() : cut;
    for (std::size_t at = 0; at < wire.size(); at += piece)
      transport.receive(as_bytes(std::string_view(wire).substr(at, piece)), sink);
    if (wire.empty() && sink.wire_text.empty()) return;
  }
  FAIL() << "the two never fall silent";
}
inline void shows(SSL_CTX* context, const Pair& pair) {
  SSL_CTX_use_certificate(context, pair.certificate.get());
  SSL_CTX_use_PrivateKey(context, pair.key.get());
}
inline void send_text(Transport& transport, Sink& sink, std::string_view text) {
  const Bytes bytes = as_bytes(text);
  transport.send({&bytes, 1}, sink);
}

}  // namespace weir::transport::testing
