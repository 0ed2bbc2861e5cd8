#include "transport/peer_certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "transport/certificate.h"
#include "transport/secret_file.h"

namespace weir::transport {
namespace {

constexpr std::size_t kNamesMax = 64;
constexpr std::size_t kCrlFileMax = 16u << 20;
constexpr int kDepthMax = 8;

using NamesPtr = std::unique_ptr<GENERAL_NAMES, FreeWith<GENERAL_NAMES_free>>;
using BignumPtr = std::unique_ptr<BIGNUM, FreeWith<BN_free>>;
using CrlPtr = std::unique_ptr<X509_CRL, FreeWith<X509_CRL_free>>;

std::string_view text_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)), static_cast<std::size_t>(ASN1_STRING_length(text))};
}

bool is_plain(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

void add(std::vector<std::string>& names, const ASN1_STRING* text, PeerCertificate& out) {
  const std::string_view name = text_of(text);
  if (is_plain(name) && names.size() < kNamesMax) names.emplace_back(name);
  else out.has_odd_names = true;
}

void read_alternative_names(const X509* certificate, PeerCertificate& out) {
  int critical = 0;
  const NamesPtr names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, nullptr)));
  if (!names) {
    out.has_odd_names = critical != -1;  // There, and twice or unreadable.
    ERR_clear_error();
    return;
  }
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_URI) add(out.uris, name->d.uniformResourceIdentifier, out);
    else if (name->type == GEN_EMAIL) add(out.emails, name->d.rfc822Name, out);
    else if (name->type == GEN_DNS) add(out.dns_names, name->d.dNSName, out);
  }
}

void read_common_name(const X509* certificate, PeerCertificate& out) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return;
  const ASN1_STRING* data = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, data);
  if (size < 0) return ERR_clear_error();
  const std::string_view name(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
  if (is_plain(name)) out.common_name = name;
  OPENSSL_free(utf8);
}

std::string serial_of(const X509* certificate) {
  const BignumPtr number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  char* hex = number ? BN_bn2hex(number.get()) : nullptr;
  const std::string text = hex != nullptr ? hex : "?";
  OPENSSL_free(hex);
  return text;
}

std::string plain_fingerprint(const X509* certificate) {
  std::string hex;
  for (const char c : fingerprint_of(certificate)) {
    if (c != ':') hex += static_cast<char>(c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c);
  }
  return hex;
}

}  // namespace

PeerCertificate describe_peer(X509* certificate, const STACK_OF(X509) * chain) {
  PeerCertificate out;
  read_alternative_names(certificate, out);
  read_common_name(certificate, out);
  out.serial = serial_of(certificate);
  out.fingerprint = plain_fingerprint(certificate);
  out.issuer = issuer_of(certificate);
  out.expires = not_after_of(certificate);
  for (int i = 0; chain != nullptr && i < sk_X509_num(chain); ++i) out.expires = std::min(out.expires, not_after_of(sk_X509_value(chain, i)));
  out.is_ca = X509_check_ca(certificate) != 0;
  const uint32_t flags = X509_get_extension_flags(certificate);
  out.has_key_usage = (flags & EXFLAG_KUSAGE) != 0;
  const uint32_t usage = out.has_key_usage ? X509_get_key_usage(certificate) : 0;
  out.may_sign = (usage & KU_DIGITAL_SIGNATURE) != 0;
  out.may_certify = (usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) != 0;
  return out;
}

Result<void> ask_for_certificates(SSL_CTX* context, const std::string& ca_file, const std::string& crl_file) {
  const auto trusted = read_certificates(ca_file);
  if (!trusted) return tl::unexpected<Error>(trusted.error());
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const X509Ptr& each : *trusted) {
    if (X509_STORE_add_cert(store, each.get()) != 1 || SSL_CTX_add_client_CA(context, each.get()) != 1) return fail(Error::Kind::kInvalid, ca_file + ": " + take_openssl_error());
  }
  // An authority below another one that is not given here is an authority all the same.
  unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;
  if (!crl_file.empty()) {
    const auto text = read_public_file(crl_file, kCrlFileMax);
    if (!text) return tl::unexpected<Error>(text.error());
    const BioPtr bio(BIO_new_mem_buf(text->data(), static_cast<int>(text->size())));
    std::size_t count = 0;
    while (bio) {
      const CrlPtr crl(PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr));
      if (!crl) break;
      if (X509_STORE_add_crl(store, crl.get()) != 1) return fail(Error::Kind::kInvalid, crl_file + ": " + take_openssl_error());
      ++count;
    }
    const unsigned long last = ERR_peek_last_error();
    const bool is_end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    if (count == 0 || !is_end) return fail(Error::Kind::kInvalid, crl_file + " holds no revocation list in PEM form, or a damaged one");
    flags |= X509_V_FLAG_CRL_CHECK;
  }
  X509_VERIFY_PARAM* verify = SSL_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_flags(verify, flags);
  X509_VERIFY_PARAM_set_depth(verify, kDepthMax);
  if (X509_VERIFY_PARAM_set_purpose(verify, X509_PURPOSE_SSL_CLIENT) != 1) return fail(Error::Kind::kSystem, "cannot set the purpose of client certificates: " + take_openssl_error());
  return {};
}

}  // namespace weir::transport
