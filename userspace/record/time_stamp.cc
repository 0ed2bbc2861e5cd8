#include "record/time_stamp.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ts.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>
#include <optional>

#include "record/keys.h"

namespace weir::record {
namespace {

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* object) const noexcept { Free(object); }
};
using Request = std::unique_ptr<TS_REQ, Freer<TS_REQ_free>>;
using Response = std::unique_ptr<TS_RESP, Freer<TS_RESP_free>>;
using Context = std::unique_ptr<TS_VERIFY_CTX, Freer<TS_VERIFY_CTX_free>>;
using Store = std::unique_ptr<X509_STORE, Freer<X509_STORE_free>>;

const unsigned char* raw(Bytes bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

// The last reason on OpenSSL's queue, in its own words; the queue is empty then.
std::string why() {
  unsigned long code = 0;
  for (unsigned long next = ERR_get_error(); next != 0; next = ERR_get_error()) code = next;
  const char* reason = ERR_reason_error_string(code);
  return reason == nullptr ? "unknown reason" : reason;
}

Response parse(Bytes answer) {
  const unsigned char* at = raw(answer);
  Response response(answer.size() > kStampSizeMax ? nullptr : d2i_TS_RESP(nullptr, &at, static_cast<long>(answer.size())));
  if (response && at != raw(answer) + answer.size()) response.reset();  // Something stands behind it.
  return response;
}

Result<Stamp> stamp_of(TS_RESP* response) {
  TS_TST_INFO* info = TS_RESP_get_tst_info(response);
  if (info == nullptr) {
    const ASN1_INTEGER* status = TS_STATUS_INFO_get0_status(TS_RESP_get_status_info(response));
    return fail(Error::Kind::kCorrupt, "the authority gave no stamp, status " + std::to_string(ASN1_INTEGER_get(status)));
  }
  tm parts{};
  if (ASN1_TIME_to_tm(TS_TST_INFO_get_time(info), &parts) != 1) return fail(Error::Kind::kCorrupt, "the stamp's time cannot be read");
  Stamp stamp{.at_s = timegm(&parts), .serial = {}};
  const ASN1_INTEGER* serial = TS_TST_INFO_get_serial(info);
  stamp.serial = hex(Bytes(reinterpret_cast<const std::byte*>(ASN1_STRING_get0_data(serial)), static_cast<std::size_t>(ASN1_STRING_length(serial))));
  return stamp;
}

// `at_s`: as of when certificates are looked at; nullopt: now.
Result<Store> store_of(const std::string& ca_file, std::optional<int64_t> at_s) {
  Store store(X509_STORE_new());
  if (!store || X509_STORE_load_file(store.get(), ca_file.c_str()) != 1) {
    (void)why();
    return fail(Error::Kind::kInvalid, ca_file + ": it cannot be read, or holds no certificate");
  }
  if (at_s) X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store.get()), *at_s);
  return store;
}

Result<Stamp> check(TS_RESP* response, Context context, Store store, unsigned more) {
  TS_VERIFY_CTX_set_store(context.get(), store.release());   // The context's from here on.
  TS_VERIFY_CTX_add_flags(context.get(), static_cast<int>(TS_VFY_VERSION | TS_VFY_SIGNATURE | more));
  ERR_clear_error();
  if (TS_RESP_verify_response(context.get(), response) != 1) return fail(Error::Kind::kCorrupt, "the stamp does not hold: " + why());
  return stamp_of(response);
}

}  // namespace

Result<std::string> stamp_request(std::string_view text) {
  const auto broken = [] { return fail(Error::Kind::kUnavailable, "OpenSSL makes no request for a time stamp: " + why()); };
  const Digest digest = sha256(as_bytes(text));
  std::array<unsigned char, 8> random{};
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) return broken();
  random[0] |= 1;  // No leading zero: encoded as it is.
  const std::unique_ptr<ASN1_INTEGER, Freer<ASN1_INTEGER_free>> nonce(ASN1_INTEGER_new());
  const std::unique_ptr<TS_MSG_IMPRINT, Freer<TS_MSG_IMPRINT_free>> imprint(TS_MSG_IMPRINT_new());
  const std::unique_ptr<X509_ALGOR, Freer<X509_ALGOR_free>> algorithm(X509_ALGOR_new());
  const Request request(TS_REQ_new());
  uint64_t number = 0;
  for (const unsigned char byte : random) number = number << 8 | byte;
  std::string raw_digest(as_text(digest));
  const bool is_made = nonce && imprint && algorithm && request && ASN1_INTEGER_set_uint64(nonce.get(), number) == 1 &&
                       X509_ALGOR_set0(algorithm.get(), OBJ_nid2obj(NID_sha256), V_ASN1_NULL, nullptr) == 1 && TS_MSG_IMPRINT_set_algo(imprint.get(), algorithm.get()) == 1 &&
                       TS_MSG_IMPRINT_set_msg(imprint.get(), reinterpret_cast<unsigned char*>(raw_digest.data()), static_cast<int>(raw_digest.size())) == 1 &&
                       TS_REQ_set_version(request.get(), 1) == 1 && TS_REQ_set_msg_imprint(request.get(), imprint.get()) == 1 && TS_REQ_set_nonce(request.get(), nonce.get()) == 1 &&
                       TS_REQ_set_cert_req(request.get(), 1) == 1;
  if (!is_made) return broken();
  unsigned char* der = nullptr;
  const int size = i2d_TS_REQ(request.get(), &der);
  if (size <= 0) return broken();
  std::string bytes(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return bytes;
}

Result<Stamp> read_stamp(Bytes answer) {
  const Response response = parse(answer);
  if (!response) return fail(Error::Kind::kCorrupt, "it is no answer of RFC 3161");
  return stamp_of(response.get());
}

Result<Stamp> check_stamp_answer(Bytes answer, std::string_view request, const std::string& ca_file) {
  const Response response = parse(answer);
  if (!response) return fail(Error::Kind::kCorrupt, "it is no answer of RFC 3161");
  if (Result<Stamp> granted = stamp_of(response.get()); !granted) return granted;
  const unsigned char* at = raw(as_bytes(request));
  const Request asked(d2i_TS_REQ(nullptr, &at, static_cast<long>(request.size())));
  Context context(asked ? TS_REQ_to_TS_VERIFY_CTX(asked.get(), nullptr) : nullptr);
  if (!context) return fail(Error::Kind::kInvalid, "OpenSSL cannot check a time stamp: " + why());
  Result<Store> store = store_of(ca_file, std::nullopt);
  if (!store) return tl::unexpected(store.error());
  return check(response.get(), std::move(context), std::move(*store), TS_VFY_IMPRINT | TS_VFY_NONCE);
}

Result<Stamp> check_stamp(Bytes answer, std::string_view text, const std::string& ca_file) {
  const Response response = parse(answer);
  if (!response) return fail(Error::Kind::kCorrupt, "it is no answer of RFC 3161");
  const Result<Stamp> stated = stamp_of(response.get());
  if (!stated) return stated;
  Context context(TS_VERIFY_CTX_new());
  BIO* data = BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
  if (!context || data == nullptr) {
    BIO_free(data);
    return fail(Error::Kind::kInvalid, "OpenSSL cannot check a time stamp: " + why());
  }
  TS_VERIFY_CTX_set_data(context.get(), data);               // The context's from here on.
  Result<Store> store = store_of(ca_file, stated->at_s);
  if (!store) return tl::unexpected(store.error());
  return check(response.get(), std::move(context), std::move(*store), TS_VFY_DATA);
}

}  // namespace weir::record
