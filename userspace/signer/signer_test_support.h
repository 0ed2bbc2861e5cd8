// For this folder's tests: keys in a temporary folder, a tree that grows, and requests that the signer must take or refuse.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/x509.h>

#include <filesystem>
#include <string>
#include <vector>

#include "record/evidence_log.h"
#include "record/key_store.h"
#include "record/log_signer.h"
#include "record/manifest.h"
#include "record/merkle.h"
#include "signer/service.h"
#include "transport/ca.h"
#include "transport/certificate.h"

namespace weir::signer::test {

class Folder {
 public:
  Folder() {
    std::string name = testing::TempDir() + "weir-signer-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::chrono::sys_seconds wall_now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

// Leaves of one log; `other` from a place on: another tree.
class Tree {
 public:
  void grow(uint64_t size, const std::string& salt = "") {
    while (leaves_.size() < size) leaves_.push_back(record::leaf_hash(as_bytes("entry " + std::to_string(leaves_.size()) + salt)));
  }
  [[nodiscard]] record::Digest hash(unsigned height, uint64_t index) const {
    if (height == 0) return leaves_[index];
    return record::node_hash(hash(height - 1, 2 * index), hash(height - 1, 2 * index + 1));
  }
  [[nodiscard]] record::Digest root(uint64_t size) const {
    return size == 0 ? record::empty_root() : record::tree_root(size, [this](unsigned height, uint64_t index) -> Result<record::Digest> { return hash(height, index); }).value();
  }
  [[nodiscard]] std::vector<record::Digest> proof(uint64_t from, uint64_t to) const {
    return record::consistency_proof(from, to, [this](unsigned height, uint64_t index) -> Result<record::Digest> { return hash(height, index); }).value();
  }
  [[nodiscard]] SignCheckpoint checkpoint(uint64_t from, uint64_t to, const std::string& origin = "weir.invalid/gw") const {
    return {.text = record::to_text(record::Checkpoint{.origin = origin, .size = to, .root = root(to), .extensions = {}}), .proof = from > to ? std::vector<record::Digest>{} : proof(from, to)};
  }

 private:
  std::vector<record::Digest> leaves_;
};

struct Signer {
  Folder folder;
  record::PosixFiles files;
  std::string origin = "weir.invalid/gw";
  transport::LeafNames names{.dns = {"db.example"}, .addresses = {*Address::parse("198.18.2.2")}};
  std::chrono::steady_clock::time_point now{std::chrono::hours(1)};
  std::vector<std::string> told;
  std::unique_ptr<Service> service;

  Signer() {
    EXPECT_TRUE(record::SigningKey::generate(folder / "log.key"));
    EXPECT_TRUE(record::GatewayKeys::generate(folder / "kek.key"));
    EXPECT_TRUE(transport::init_ca({.certificate_file = folder / "ca.crt", .key_file = folder / "ca.key"}, wall_now()));
    std::filesystem::create_directory(folder / "signer");
    EXPECT_TRUE(start());
  }
  [[nodiscard]] record::SigningKey log_key() const { return record::SigningKey::read(folder / "log.key").value(); }
  [[nodiscard]] TlsConfig ca_files() const { return {folder / "ca.crt", folder / "ca.key", "1.2"}; }
  Result<void> start() {
    service = std::make_unique<Service>(ServiceKeys{log_key(), record::GatewayKeys::read(folder / "kek.key").value(), transport::CaKey::load(ca_files(), wall_now()).value()},
                                        ServiceRules{.gateway = "gw", .origin = origin, .names = names, .folder = folder / "signer"}, files,
                                        ServiceClock{.wall = &wall_now, .steady = [this] { return now; }}, [this](std::string_view text) { told.emplace_back(text); });
    return service->open();
  }
  Message ask(const Request& request) { return service->answer(encode(request).bytes()); }
  Result<record::Signature> sign(const Request& request) { return read_signature(ask(request).bytes()); }
  Result<std::string> adopt(const std::string& note = "") { return read_text_answer(ask(AdoptHead{note}).bytes(), kNoteMax); }
  [[nodiscard]] record::Manifest manifest() const {
    record::Manifest manifest;
    manifest.gateway = "gw";
    manifest.session = 7;
    manifest.seal = 1;
    manifest.key = log_key().id();
    return manifest;
  }
};

inline std::vector<std::byte> public_key(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  const Bytes bytes = std::as_bytes(std::span(der, static_cast<std::size_t>(size)));
  std::vector<std::byte> copy(bytes.begin(), bytes.end());
  OPENSSL_free(der);
  return copy;
}

}  // namespace weir::signer::test
