#include "transport/ca.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <span>

#include "transport/certificate.h"
#include "transport/secret_file.h"

namespace weir::transport {
namespace {

constexpr std::chrono::seconds kBackdated{300};

std::string pem_of(const X509* certificate) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  if (!out || PEM_write_bio_X509(out.get(), certificate) != 1) return {};
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

SecretString pem_of(EVP_PKEY* key) {
  const BioPtr out(BIO_new(BIO_s_secmem()));  // Wiped when freed.
  if (!out || PEM_write_bio_PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) return {};
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return SecretString({data, static_cast<std::size_t>(size)});
}

// "198.18.0.0/255.254.0.0": a prefix as OpenSSL's name constraints want it.
std::string masked_text(const Prefix& prefix) {
  Address mask;
  for (unsigned bit = 0; bit < prefix.bits; ++bit) {
    mask.bytes[bit / 8] = static_cast<uint8_t>(mask.bytes[bit / 8] | (0x80u >> (bit % 8)));
  }
  if (!prefix.address.is_v4()) return prefix.address.text() + "/" + mask.text();
  std::string text = prefix.address.text();
  for (int i = 12; i < 16; ++i) text += (i == 12 ? "/" : ".") + std::to_string(mask.bytes[static_cast<std::size_t>(i)]);
  return text;
}

Result<std::string> constraints_text(const CaRequest& request) {
  std::string text;
  for (const std::string& name : request.permitted_names) {
    if (name.empty() || name.find_first_of(",;:\r\n\\\" ") != std::string::npos) {
      return fail(Error::Kind::kInvalid, "\"" + printable(name) + "\" is not a domain name");
    }
    text += ",permitted;DNS:" + name;
  }
  for (const Prefix& prefix : request.permitted_addresses) {
    if (prefix.address.is_v4() && prefix.bits < 96)
      return fail(Error::Kind::kInvalid, prefix.text() + " is not an IPv4 prefix");
    text += ",permitted;IP:" + masked_text(prefix);
  }
  return text.empty() ? text : "critical" + text;
}

// A constraint on one kind of name leaves the other kinds free, so the kind that was not given is closed.
std::string closed_kinds(const CaRequest& request) {
  if (request.permitted_names.empty() == request.permitted_addresses.empty()) return {};
  if (request.permitted_addresses.empty()) return ",excluded;IP:0.0.0.0/0.0.0.0,excluded;IP:::/::";
  return ",permitted;DNS:invalid";  // RFC 6761: no host ever has a name below it.
}

Result<void> write_new_file(const std::string& path, Bytes content, mode_t mode) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0 && errno == EEXIST)
    return fail(Error::Kind::kInvalid, path + " is there already and is not overwritten; move it away first");
  if (fd < 0) return fail(Error::Kind::kSystem, path + ": " + std::strerror(errno), errno);
  bool is_written = ::fchmod(fd, mode) == 0;  // Whatever the umask.
  for (std::size_t done = 0; is_written && done < content.size();) {
    const ssize_t size = ::write(fd, content.data() + done, content.size() - done);
    if (size < 0 && errno == EINTR) continue;
    is_written = size > 0;
    if (is_written) done += static_cast<std::size_t>(size);
  }
  is_written = is_written && ::fsync(fd) == 0;
  const int code = errno;
  ::close(fd);
  if (is_written) return {};
  ::unlink(path.c_str());
  return fail(Error::Kind::kSystem, path + ": " + std::strerror(code), code);
}

// A subtree's address and mask, 4 + 4 or 16 + 16 bytes.
std::string prefix_text(const ASN1_STRING* subtree) {
  const int size = ASN1_STRING_length(subtree);
  if (size != 8 && size != 32) return "?";
  const Bytes bytes = std::as_bytes(std::span(ASN1_STRING_get0_data(subtree), static_cast<std::size_t>(size)));
  const std::size_t half = bytes.size() / 2;
  Prefix prefix;
  if (half == 4) prefix.address.bytes[10] = prefix.address.bytes[11] = 0xff;
  std::memcpy(prefix.address.bytes.data() + 16 - half, bytes.data(), half);
  int bits = half == 4 ? 96 : 0;
  for (const std::byte part : bytes.subspan(half)) bits += std::popcount(std::to_integer<uint8_t>(part));
  prefix.bits = static_cast<uint8_t>(bits);
  return prefix.text();
}

std::vector<std::string> permitted_of(const X509* certificate) {
  using Constraints = std::unique_ptr<NAME_CONSTRAINTS, FreeWith<NAME_CONSTRAINTS_free>>;
  const Constraints constraints(
      static_cast<NAME_CONSTRAINTS*>(X509_get_ext_d2i(certificate, NID_name_constraints, nullptr, nullptr)));
  std::vector<std::string> permitted;
  for (int i = 0; constraints && i < sk_GENERAL_SUBTREE_num(constraints->permittedSubtrees); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_SUBTREE_value(constraints->permittedSubtrees, i)->base;
    if (name->type == GEN_DNS) {
      permitted.push_back("DNS:" + printable({reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                                              static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName))}));
    } else if (name->type == GEN_IPADD) {
      permitted.push_back("IP:" + prefix_text(name->d.iPAddress));
    }
  }
  return permitted;
}

CaDescription describe(const std::string& file, const X509* certificate) {
  return {file,
          subject_of(certificate),
          fingerprint_of(certificate),
          not_before_of(certificate),
          not_after_of(certificate),
          permitted_of(certificate),
          pem_of(certificate)};
}

Result<X509Ptr> make_ca(const CaRequest& request, EVP_PKEY* key, std::chrono::sys_seconds now) {
  auto constraints = constraints_text(request);
  if (!constraints) return tl::unexpected<Error>(constraints.error());
  if (!constraints->empty()) *constraints += closed_kinds(request);
  X509Ptr certificate(X509_new());
  X509* x = certificate.get();
  const auto* name = reinterpret_cast<const unsigned char*>(request.common_name.c_str());
  const bool is_built = certificate && X509_set_version(x, X509_VERSION_3) == 1 &&
                        set_serial_and_validity(x, now - kBackdated, now + request.validity) &&
                        X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8, name, -1, -1, 0) == 1 &&
                        X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 && X509_set_pubkey(x, key) == 1 &&
                        add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                        add_extension(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") &&
                        add_extension(x, x, NID_subject_key_identifier, "hash") &&
                        (constraints->empty() || add_extension(x, x, NID_name_constraints, *constraints)) &&
                        X509_sign(x, key, EVP_sha256()) > 0;
  if (!is_built) return fail(Error::Kind::kSystem, "cannot make the CA's certificate: " + take_openssl_error());
  return certificate;
}

}  // namespace

Result<CaDescription> init_ca(const CaRequest& request, std::chrono::sys_seconds now) {
  if (request.certificate_file.empty() || request.key_file.empty())
    return fail(Error::Kind::kInvalid, "tls.ca needs certificate_file and key_file");
  if (request.common_name.empty() || request.common_name.size() > 64)
    return fail(Error::Kind::kInvalid, "a CA's name has 1 to 64 bytes");
  if (request.validity.count() < 1 || request.validity.count() > 36'500)
    return fail(Error::Kind::kInvalid, "a CA is valid for 1 to 36500 days");
  for (const std::string& path : {request.certificate_file, request.key_file}) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0)
      return fail(Error::Kind::kInvalid, path + " is there already and is not overwritten; move it away first");
  }
  const PkeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return fail(Error::Kind::kSystem, "cannot make a key: " + take_openssl_error());
  const auto certificate = make_ca(request, key.get(), now);
  if (!certificate) return tl::unexpected<Error>(certificate.error());
  const SecretString key_pem = pem_of(key.get());
  if (key_pem.empty()) return fail(Error::Kind::kSystem, "cannot write the key: " + take_openssl_error());

  if (const auto written = write_new_file(request.key_file, key_pem.bytes(), 0600); !written)
    return tl::unexpected<Error>(written.error());
  CaDescription description = describe(request.certificate_file, certificate->get());
  if (const auto written = write_new_file(request.certificate_file, as_bytes(description.pem), 0644); !written) {
    ::unlink(request.key_file.c_str());  // Half a CA would only stand in the way of the next try.
    return tl::unexpected<Error>(written.error());
  }
  return description;
}

Result<CaDescription> show_ca(const std::string& certificate_file) {
  const auto certificates = read_certificates(certificate_file);
  if (!certificates) return tl::unexpected<Error>(certificates.error());
  return describe(certificate_file, certificates->front().get());
}

std::string text_of(const CaDescription& ca, std::chrono::sys_seconds now) {
  const auto days = std::chrono::duration_cast<std::chrono::days>(ca.not_after - now).count();
  std::string text = "Subject      " + ca.subject + "\nSHA-256      " + ca.fingerprint + "\nValid        " +
                     utc_text(ca.not_before) + " to " + utc_text(ca.not_after) +
                     (days < 0 ? " (expired)" : " (" + std::to_string(days) + " days left)") + "\nMay sign for ";
  for (const std::string& name : ca.permitted) text += (&name == &ca.permitted.front() ? "" : ", ") + name;
  if (ca.permitted.empty()) text += "any name";
  return text + "\nFile         " + ca.certificate_file +
         "\n\nClients that verify the server must trust this certificate:\n  psql, libpq    sslmode=verify-full sslrootcert=" +
         ca.certificate_file + "\n  JDBC           sslmode=verify-full&sslrootcert=" + ca.certificate_file +
         "\n  node pg        ssl: { ca: fs.readFileSync('" + ca.certificate_file +
         "') }\n  Debian         cp it to /usr/local/share/ca-certificates/weir.crt && update-ca-certificates\nA client that "
         "pins the target's own certificate "
         "needs that pair on the gateway instead: tls.certificate_file and tls.key_file of the target.\n\n" +
         ca.pem;
}

}  // namespace weir::transport
