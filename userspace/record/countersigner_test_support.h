// Somebody else who signs: a witness that follows C2SP tlog-witness, and a time stamp authority of OpenSSL's, both in memory.
#pragma once
#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ts.h>
#include <openssl/x509v3.h>

#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "record/note_values.h"
#include "record/http_post.h"
#include "record/merkle.h"
#include "record/record_test_support.h"
#include "record/witness.h"

namespace weir::record::test {

// Signs only what goes on from what it signed before.
class FakeWitness {
 public:
  explicit FakeWitness(const std::string& key_path, std::string name = "witness.example/w1") : name_(std::move(name)), key_(SigningKey::generate(key_path).value()) {}

  [[nodiscard]] NoteVerifier verifier() const { return note_verifier(name_, NoteAlgorithm::kCosignature, key_.verifying()); }
  // Over any text; a real one would not.
  [[nodiscard]] NoteSignature cosign(const std::string& text) const {
    const std::string message = "cosignature/v1\ntime " + std::to_string(at_s) + "\n" + text;
    const Signature signature = key_.sign(as_bytes(message)).value();
    NoteSignature line{.name = name_, .key_id = verifier().key_id, .bytes = std::vector<std::byte>(8)};
    store_be(MutableBytes(line.bytes), 0, at_s);
    line.bytes.insert(line.bytes.end(), signature.begin(), signature.end());
    return line;
  }
  Result<PostAnswer> post(const PostRequest& request) {
    ++asked;
    if (next) return *std::exchange(next, std::nullopt);
    std::string_view rest = request.body;
    const auto take = [&] {
      const std::size_t end = rest.find('\n');
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
      return line;
    };
    const std::string_view first = take();
    const auto old_size = first.starts_with("old ") ? plain_decimal(first.substr(4)) : std::nullopt;
    if (!old_size) return PostAnswer{.status = 400, .content_type = {}, .body = {}};
    std::vector<Digest> proof;
    for (std::string_view line = take(); !line.empty(); line = take()) {
      const auto hash = digest_from_base64(line);
      if (!hash) return PostAnswer{.status = 400, .content_type = {}, .body = {}};
      proof.push_back(*hash);
    }
    const Result<Note> note = parse_note(rest);
    const Result<Checkpoint> checkpoint = note ? checkpoint_from_text(note->text) : tl::unexpected(note.error());
    if (!checkpoint || *old_size > checkpoint->size) return PostAnswer{.status = 400, .content_type = {}, .body = {}};
    if (*old_size != size) return PostAnswer{.status = 409, .content_type = std::string(kSizeType), .body = std::to_string(size) + "\n"};
    if (size == checkpoint->size && root != checkpoint->root) return PostAnswer{.status = 409, .content_type = {}, .body = {}};
    if (size != 0 && !is_consistent(size, root, checkpoint->size, checkpoint->root, proof)) return PostAnswer{.status = 422, .content_type = {}, .body = {}};
    size = checkpoint->size;
    root = checkpoint->root;
    return PostAnswer{.status = 200, .content_type = {}, .body = to_line(cosign(note->text))};
  }

  std::optional<Result<PostAnswer>> next;   // In place of the next answer.
  uint64_t asked = 0, size = 0, at_s = 1'790'000'100;
  Digest root{};

 private:
  std::string name_;
  SigningKey key_;
};

using X509Pointer = std::unique_ptr<X509, decltype(&X509_free)>;
using KeyPointer = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

// A CA of its own, and a certificate under it that is for time stamping alone.
class FakeAuthority {
 public:
  explicit FakeAuthority(const std::string& folder)
      : ca_file(folder + "/tsa-ca.crt"), ca_key_(make_key()), key_(make_key()), ca_(certificate("plainly fake CA", ca_key_.get(), nullptr, ca_key_.get(), "critical,CA:TRUE", nullptr)),
        certificate_(certificate("plainly fake TSA", key_.get(), ca_.get(), ca_key_.get(), "critical,CA:FALSE", "critical,timeStamping")) {
    std::unique_ptr<FILE, int (*)(FILE*)> file(fopen(ca_file.c_str(), "w"), fclose);
    EXPECT_EQ(PEM_write_X509(file.get(), ca_.get()), 1);
  }
  // The answer to a request, DER.  `status` above 1: a refusal.
  std::string answer(const std::string& request) {
    std::unique_ptr<TS_RESP_CTX, decltype(&TS_RESP_CTX_free)> context(TS_RESP_CTX_new(), TS_RESP_CTX_free);
    TS_RESP_CTX_set_signer_cert(context.get(), certificate_.get());
    TS_RESP_CTX_set_signer_key(context.get(), key_.get());
    TS_RESP_CTX_set_signer_digest(context.get(), EVP_sha256());
    std::unique_ptr<ASN1_OBJECT, decltype(&ASN1_OBJECT_free)> policy(OBJ_txt2obj("1.2.3.4.1", 1), ASN1_OBJECT_free);
    TS_RESP_CTX_set_def_policy(context.get(), policy.get());
    TS_RESP_CTX_add_md(context.get(), EVP_sha256());
    TS_RESP_CTX_set_serial_cb(context.get(), [](TS_RESP_CTX*, void*) {
      ASN1_INTEGER* serial = ASN1_INTEGER_new();
      ASN1_INTEGER_set(serial, 7);
      return serial;
    }, nullptr);
    TS_RESP_CTX_set_time_cb(context.get(), [](TS_RESP_CTX*, void* user, long* seconds, long* microseconds) {
      *seconds = static_cast<long>(*static_cast<int64_t*>(user));
      *microseconds = 0;
      return 1;
    }, &at_s);
    std::unique_ptr<BIO, decltype(&BIO_free)> in(BIO_new_mem_buf(request.data(), static_cast<int>(request.size())), BIO_free);
    std::unique_ptr<TS_RESP, decltype(&TS_RESP_free)> response(TS_RESP_create_response(context.get(), in.get()), TS_RESP_free);
    unsigned char* der = nullptr;
    const int size = i2d_TS_RESP(response.get(), &der);
    EXPECT_GT(size, 0);
    std::string bytes(reinterpret_cast<const char*>(der), size > 0 ? static_cast<std::size_t>(size) : 0);
    OPENSSL_free(der);
    return bytes;
  }
  Result<PostAnswer> post(const PostRequest& request) {
    ++asked;
    if (next) return *std::exchange(next, std::nullopt);
    return PostAnswer{.status = 200, .content_type = "application/timestamp-reply", .body = answer(request.body)};
  }

  std::string ca_file;
  int64_t at_s = std::time(nullptr);
  uint64_t asked = 0;
  std::optional<Result<PostAnswer>> next;

 private:
  static KeyPointer make_key() { return {EVP_EC_gen("P-256"), EVP_PKEY_free}; }
  static X509Pointer certificate(const char* name, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key, const char* basic, const char* usage) {
    X509Pointer made(X509_new(), X509_free);
    X509_set_version(made.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), issuer == nullptr ? 1 : 2);
    ASN1_TIME_set(X509_getm_notBefore(made.get()), 1'600'000'000);
    ASN1_TIME_set(X509_getm_notAfter(made.get()), 4'000'000'000);
    X509_set_pubkey(made.get(), key);
    X509_NAME* subject = X509_get_subject_name(made.get());
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
    X509_set_issuer_name(made.get(), issuer == nullptr ? subject : X509_get_subject_name(issuer));
    const auto extend = [&](int nid, const char* value) {
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
      X509_add_ext(made.get(), extension, -1);
      X509_EXTENSION_free(extension);
    };
    extend(NID_basic_constraints, basic);
    if (usage != nullptr) extend(NID_ext_key_usage, usage);
    EXPECT_GT(X509_sign(made.get(), issuer_key, EVP_sha256()), 0);
    return made;
  }
  KeyPointer ca_key_, key_;
  X509Pointer ca_, certificate_;
};

}  // namespace weir::record::test
