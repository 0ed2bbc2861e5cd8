#include "transport/certificate.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <ctime>

#include "transport/secret_file.h"

namespace weir::transport {
namespace {

constexpr std::size_t kCertificateFileMax = 1 << 20;
constexpr int kNamesShown = 3;

std::string name_text(const X509_NAME* name) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  if (!out || X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_ONELINE & ~XN_FLAG_SPC_EQ) < 0) return "?";
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return size > 0 ? printable({data, static_cast<std::size_t>(size)}, 200) : "(empty)";
}

std::string alternative_name_text(const GENERAL_NAME* name) {
  if (name->type == GEN_DNS) {
    const ASN1_STRING* text = name->d.dNSName;
    return printable(
        {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)), static_cast<std::size_t>(ASN1_STRING_length(text))});
  }
  if (name->type == GEN_IPADD) {
    const ASN1_STRING* address = name->d.iPAddress;
    const int size = ASN1_STRING_length(address);
    char text[INET6_ADDRSTRLEN] = {};
    if (size == 4 || size == 16) inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text, sizeof text);
    return text;
  }
  return {};
}

std::chrono::sys_seconds time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return std::chrono::sys_seconds(std::chrono::seconds(timegm(&parts)));
}

// The default callback would ask on the terminal.
int refuse_passphrase(char*, int, int, void*) { return -1; }

}  // namespace

std::string take_openssl_error() {
  const unsigned long code = ERR_peek_error();
  const char* reason = ERR_reason_error_string(code);
  std::string text = code == 0 ? "no reason given" : reason != nullptr ? reason : "OpenSSL error " + std::to_string(code);
  ERR_clear_error();
  return text;
}

Result<std::vector<X509Ptr>> read_certificates(const std::string& path) {
  const auto text = read_public_file(path, kCertificateFileMax);
  if (!text) return tl::unexpected<Error>(text.error());
  const BioPtr bio(BIO_new_mem_buf(text->data(), static_cast<int>(text->size())));
  std::vector<X509Ptr> certificates;
  while (bio) {
    X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, refuse_passphrase, nullptr));
    if (!certificate) break;
    certificates.push_back(std::move(certificate));
  }
  const unsigned long last = ERR_peek_last_error();
  const bool is_end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
  const std::string reason = take_openssl_error();
  if (certificates.empty() && is_end) return fail(Error::Kind::kInvalid, path + " holds no certificate in PEM form");
  if (!is_end) return fail(Error::Kind::kInvalid, path + " holds a damaged certificate: " + reason);
  return certificates;
}

Result<PkeyPtr> read_private_key(const std::string& path) {
  const auto text = read_secret_file(path);
  if (!text) return tl::unexpected<Error>(text.error());
  const BioPtr bio(BIO_new_mem_buf(text->view().data(), static_cast<int>(text->size())));
  PkeyPtr key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_passphrase, nullptr) : nullptr);
  ERR_clear_error();
  if (key) return key;
  if (text->view().find("ENCRYPTED") != std::string_view::npos) {
    return fail(
        Error::Kind::kInvalid,
        path + " is encrypted, and a gateway that starts alone cannot ask for the passphrase; store it decrypted, mode 0600");
  }
  return fail(Error::Kind::kInvalid, path + " holds no private key in PEM form");
}

std::size_t endpoint_hash(const X509* certificate, std::array<std::byte, 64>& out) {
  int digest_nid = NID_undef;
  if (X509_get_signature_info(const_cast<X509*>(certificate), &digest_nid, nullptr, nullptr, nullptr) != 1) {
    ERR_clear_error();
    return 0;
  }
  if (digest_nid == NID_md5 || digest_nid == NID_sha1) digest_nid = NID_sha256;
  const EVP_MD* digest = EVP_get_digestbynid(digest_nid);
  unsigned size = 0;
  if (digest == nullptr || EVP_MD_get_size(digest) > static_cast<int>(out.size()) ||
      X509_digest(certificate, digest, reinterpret_cast<unsigned char*>(out.data()), &size) != 1) {
    ERR_clear_error();
    return 0;
  }
  return size;
}

std::string names_of(const X509* certificate) {
  using Names = std::unique_ptr<GENERAL_NAMES, FreeWith<GENERAL_NAMES_free>>;
  const Names names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::string text;
  int shown = 0, more = 0;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const std::string name = alternative_name_text(sk_GENERAL_NAME_value(names.get(), i));
    if (name.empty()) continue;
    if (shown == kNamesShown) {
      ++more;
      continue;
    }
    text += (shown++ == 0 ? "" : ", ") + name;
  }
  if (more > 0) text += " and " + std::to_string(more) + " more";
  return text.empty() ? subject_of(certificate) : text;
}

std::string subject_of(const X509* certificate) { return name_text(X509_get_subject_name(certificate)); }
std::string issuer_of(const X509* certificate) { return name_text(X509_get_issuer_name(certificate)); }

std::string fingerprint_of(const X509* certificate) {
  std::array<unsigned char, 32> hash{};
  unsigned size = 0;
  if (X509_digest(certificate, EVP_sha256(), hash.data(), &size) != 1) return {};
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string text;
  for (const unsigned char byte : hash) {
    if (!text.empty()) text += ':';
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

std::chrono::sys_seconds not_before_of(const X509* certificate) { return time_of(X509_get0_notBefore(certificate)); }
std::chrono::sys_seconds not_after_of(const X509* certificate) { return time_of(X509_get0_notAfter(certificate)); }

std::string printable(std::string_view text, std::size_t size_max) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    if (out.size() >= size_max) return out + "...";
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
      continue;
    }
    out += "\\x";
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  using Extension = std::unique_ptr<X509_EXTENSION, FreeWith<X509_EXTENSION_free>>;
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_serial_and_validity(X509* certificate, std::chrono::sys_seconds from, std::chrono::sys_seconds until) {
  std::array<unsigned char, 16> serial{};
  if (RAND_bytes(serial.data(), static_cast<int>(serial.size())) != 1) return false;
  serial[0] = static_cast<unsigned char>((serial[0] & 0x7f) | 0x40);  // Positive, and of one size.
  using Number = std::unique_ptr<BIGNUM, FreeWith<BN_free>>;
  const Number number(BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr &&
         ASN1_TIME_set(X509_getm_notBefore(certificate), from.time_since_epoch().count()) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), until.time_since_epoch().count()) != nullptr;
}

}  // namespace weir::transport
