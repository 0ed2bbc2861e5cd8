#include "transport/ssh/certificate.h"

#include <algorithm>
#include <array>

#include "core/glob.h"

namespace weir::ssh {
namespace {

constexpr std::size_t kNonceSize = 32, kBlobSizeMax = 64 << 10, kOptionsMax = 64;

tl::unexpected<Error> bad(const char* reason) { return fail(Error::Kind::kInvalid, reason); }

// Options are pairs of strings, and the second holds a string again unless it is empty.
bool read_options(Bytes bytes, CertificateOptions& options) {
  WireReader reader(bytes);
  while (!reader.at_end()) {
    const std::string_view name = reader.text();
    const Bytes data = reader.string();
    if (reader.failed() || name.empty() || options.size() == kOptionsMax) return false;
    std::string value;
    if (!data.empty()) {
      WireReader inner(data);
      value = inner.text();
      if (!inner.done()) return false;
    }
    // "Ordered lexically"; at least never twice, or two readers may take different ones.
    const auto same = std::find_if(options.begin(), options.end(), [&](const auto& o) { return o.first == name; });
    if (same != options.end()) return false;
    options.emplace_back(name, std::move(value));
  }
  return true;
}

Buffer options_of(CertificateOptions options) {
  std::sort(options.begin(), options.end());
  Buffer out;
  for (const auto& [name, value] : options) {
    Buffer data;
    if (!value.empty()) WireWriter(data).string(value);
    WireWriter(out).string(name).string(data);
  }
  return out;
}

const SignatureAlgorithm* signature_of(Bytes signature, KeyType type) {
  WireReader reader(signature);
  const std::string_view name = reader.text();
  for (const SignatureAlgorithm& algorithm : signature_algorithms()) {
    if (!algorithm.is_certificate && algorithm.type == type && algorithm.signature == name) return &algorithm;
  }
  return nullptr;
}

bool source_matches(std::string_view list, const Address& source) {
  while (!list.empty()) {
    const auto prefix = Prefix::parse(take_name(list));
    if (prefix && prefix->contains(source)) return true;
  }
  return false;
}

}  // namespace

Result<Certificate> Certificate::parse(Bytes blob) {
  if (blob.size() > kBlobSizeMax) return bad("a certificate that is too large");
  WireReader reader(blob);
  const std::string_view type = reader.text();
  const auto algorithms = signature_algorithms();
  const auto algorithm = std::find_if(algorithms.begin(), algorithms.end(), [&](const auto& a) { return a.is_certificate && a.blob_type == type; });
  if (algorithm == algorithms.end()) return bad("a certificate of a type that is not accepted");
  reader.string();  // The nonce.
  auto key = PublicKey::parse_fields(algorithm->type, reader);
  if (!key) return tl::unexpected<Error>(key.error());
  const uint64_t serial = reader.u64();
  const uint32_t use = reader.u32();
  const std::string_view key_id = reader.text();
  const Bytes principals = reader.string();
  const uint64_t valid_after = reader.u64(), valid_before = reader.u64();
  const Bytes critical = reader.string(), extensions = reader.string();
  reader.string();  // Reserved.
  const Bytes authority_blob = reader.string();
  if (reader.failed()) return bad("a certificate that ends too early");
  // What is signed is all but the signature: from the front to here.
  WireReader tail(reader.rest());
  const Bytes signature = tail.string();
  if (!tail.done()) return bad("a certificate whose end cannot be read");
  const Bytes signed_part = blob.first(blob.size() - 4 - signature.size());
  auto authority = PublicKey::parse(authority_blob);
  if (!authority) return bad("a certificate of a CA whose key is not accepted");
  const SignatureAlgorithm* const signed_by = signature_of(signature, authority->type());
  if (signed_by == nullptr || !authority->verify(*signed_by, signature, signed_part)) return bad("a certificate whose CA did not sign it");
  if (use != static_cast<uint32_t>(CertificateUse::kUser) && use != static_cast<uint32_t>(CertificateUse::kHost)) return bad("a certificate for neither user nor host");

  Certificate made{Buffer(blob.begin(), blob.end()), std::move(*key), std::move(*authority), static_cast<CertificateUse>(use), serial, std::string(key_id), {}, valid_after, valid_before, {}, {}};
  WireReader names(principals);
  while (!names.at_end()) {
    const std::string_view name = names.text();
    if (names.failed() || made.principals.size() == kPrincipalsMax) return bad("a certificate whose principals cannot be read");
    made.principals.emplace_back(name);
  }
  if (!read_options(critical, made.critical) || !read_options(extensions, made.extensions)) return bad("a certificate whose options cannot be read");
  return made;
}

const std::string* Certificate::critical_option(std::string_view name) const {
  const auto found = std::find_if(critical.begin(), critical.end(), [&](const auto& o) { return o.first == name; });
  return found == critical.end() ? nullptr : &found->second;
}

Result<void> check_certificate(const Certificate& certificate, const CertificateQuestion& question) {
  const auto denied = [](std::string reason) { return fail(Error::Kind::kDenied, std::move(reason)); };
  if (certificate.use != question.use) return denied(question.use == CertificateUse::kUser ? "the certificate is for a host" : "the certificate is for a user");
  if (std::find(question.authorities.begin(), question.authorities.end(), certificate.authority) == question.authorities.end())
    return denied("the certificate is of a CA that is not trusted here: " + certificate.authority.fingerprint());
  const auto now = static_cast<uint64_t>(std::max<int64_t>(0, question.now.time_since_epoch().count()));
  if (now < certificate.valid_after) return denied("the certificate is not valid yet");
  if (now >= certificate.valid_before) return denied("the certificate has expired");
  if (certificate.principals.empty()) return denied("the certificate names no principals: it would be good for everybody");
  const bool is_host = question.use == CertificateUse::kHost;
  const auto names = [&](const std::string& p) { return is_host ? glob_matches(p, question.principal) : p == question.principal; };
  if (question.principal.empty() || std::none_of(certificate.principals.begin(), certificate.principals.end(), names)) return denied("the name is not among the certificate's principals");
  for (const auto& [name, value] : certificate.critical) {
    if (is_host || (name != "force-command" && name != "source-address")) return denied("the certificate has a critical option that is not understood");
    if (name == "source-address" && (question.source == nullptr || !source_matches(value, *question.source))) return denied("the certificate is for another source address");
  }
  return {};
}

Result<Buffer> mint_certificate(const PrivateKey& authority, const CertificateRequest& request, RandomSource& random) {
  if (request.principals.empty() || std::any_of(request.principals.begin(), request.principals.end(), [](const auto& p) { return p.empty(); }))
    return bad("a certificate must name its principals: without them it is good for everybody");
  if (request.principals.size() > kPrincipalsMax) return bad("a certificate cannot name more than 256 principals");
  if (request.until <= request.from || request.from.time_since_epoch().count() < 0) return bad("a certificate must be valid for some time");
  const PublicKey& key = *request.key;
  const auto algorithms = signature_algorithms();
  const auto type = std::find_if(algorithms.begin(), algorithms.end(), [&](const auto& a) { return a.is_certificate && a.type == key.type(); });
  const auto signer = std::find_if(algorithms.begin(), algorithms.end(), [&](const auto& a) { return !a.is_certificate && a.type == authority.public_key().type(); });
  std::array<std::byte, kNonceSize> nonce{};
  random.fill(nonce);
  Buffer principals;
  for (const std::string& name : request.principals) WireWriter(principals).string(name);
  Buffer blob;
  WireWriter out(blob);
  // The key's fields are its blob behind the type.
  const Bytes fields = key.blob().subspan(4 + plain_blob_type(key.type()).size());
  out.string(type->blob_type).string(nonce).raw(fields).u64(request.serial).u32(static_cast<uint32_t>(request.use)).string(request.key_id).string(principals);
  out.u64(static_cast<uint64_t>(request.from.time_since_epoch().count())).u64(static_cast<uint64_t>(request.until.time_since_epoch().count()));
  out.string(options_of(request.critical)).string(options_of(request.extensions)).string(Bytes{}).string(authority.public_key().blob());
  auto signature = authority.sign(*signer, blob);
  if (!signature) return signature;
  out.string(*signature);
  if (blob.size() > kBlobSizeMax) return bad("a certificate that is too large");
  return blob;
}

}  // namespace weir::ssh
