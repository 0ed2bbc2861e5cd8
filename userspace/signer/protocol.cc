#include "signer/protocol.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "base/check.h"

namespace weir::signer {
namespace {

enum class Kind : uint8_t { kSignSeal = 1, kAdoptHead, kSignCheckpoint, kWrap, kOpen, kDerive, kSignLeaf, kAskCounts };

// Sizes first, so that the bytes never move: they may hold a key.
class Writer {
 public:
  explicit Writer(std::size_t size) { bytes_.reserve(size); }
  void u8(uint8_t value) { put(value); }
  void u32(uint32_t value) { put(value); }
  void u64(uint64_t value) { put(value); }
  void raw(Bytes bytes) {
    WEIR_CHECK(bytes_.size() + bytes.size() <= bytes_.capacity());
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void text(Bytes bytes) {
    u32(static_cast<uint32_t>(bytes.size()));
    raw(bytes);
  }
  void text(std::string_view bytes) { text(as_bytes(bytes)); }
  Message take() { return Message(std::move(bytes_)); }

 private:
  template <class T>
  void put(T value) {
    std::array<std::byte, sizeof(T)> bytes{};
    store_be(MutableBytes(bytes), 0, value);
    raw(bytes);
  }
  std::vector<std::byte> bytes_;
};

// What does not fit, or is longer than its bound, fails the whole message.
class Reader {
 public:
  explicit Reader(Bytes bytes) : reader_(bytes) {}
  uint8_t u8() { return reader_.u8(); }
  uint32_t u32() { return reader_.u32be(); }
  uint64_t u64() { return reader_.u64be(); }
  Bytes raw(std::size_t size) { return reader_.take(size); }
  Bytes bytes(std::size_t size_max) { return reader_.take(bounded(size_max)); }
  std::string text(std::size_t size_max) { return std::string(as_text(bytes(size_max))); }
  std::size_t count(std::size_t count_max) { return bounded(count_max); }
  record::Digest digest() {
    record::Digest digest{};
    const Bytes read = raw(digest.size());
    if (read.size() == digest.size()) std::copy(read.begin(), read.end(), digest.begin());
    return digest;
  }
  void refuse() { is_wrong_ = true; }
  [[nodiscard]] bool is_whole() const { return !is_wrong_ && !reader_.failed() && reader_.at_end(); }

 private:
  std::size_t bounded(std::size_t max) {
    const std::size_t size = u32();
    if (size <= max) return size;
    is_wrong_ = true;
    return 0;
  }
  ByteReader reader_;
  bool is_wrong_ = false;
};

constexpr std::size_t kContextSize = 8 + 4 + 32;

void write(Writer& writer, const record::WrapContext& context) {
  writer.u64(context.session);
  writer.u32(context.part);
  writer.raw(context.commitment);
}

record::WrapContext read_context(Reader& reader) {
  record::WrapContext context;
  context.session = reader.u64();
  context.part = reader.u32();
  context.commitment = reader.digest();
  return context;
}

Message encode_one(const SignSeal& request) {
  Writer writer(5 + request.manifest.size());
  writer.u8(static_cast<uint8_t>(Kind::kSignSeal));
  writer.text(request.manifest);
  return writer.take();
}

Message encode_one(const AdoptHead& request) {
  Writer writer(5 + request.note.size());
  writer.u8(static_cast<uint8_t>(Kind::kAdoptHead));
  writer.text(request.note);
  return writer.take();
}

Message encode_one(const SignCheckpoint& request) {
  Writer writer(9 + request.text.size() + request.proof.size() * sizeof(record::Digest));
  writer.u8(static_cast<uint8_t>(Kind::kSignCheckpoint));
  writer.text(request.text);
  writer.u32(static_cast<uint32_t>(request.proof.size()));
  for (const record::Digest& digest : request.proof) writer.raw(digest);
  return writer.take();
}

Message encode_one(const Wrap& request) {
  Writer writer(1 + kContextSize + record::SecretKey::kSize);
  writer.u8(static_cast<uint8_t>(Kind::kWrap));
  write(writer, request.context);
  writer.raw(request.key.bytes());
  return writer.take();
}

Message encode_one(const Open& request) {
  Writer writer(5 + kContextSize + request.wrap.size());
  writer.u8(static_cast<uint8_t>(Kind::kOpen));
  write(writer, request.context);
  writer.text(request.wrap);
  return writer.take();
}

Message encode_one(const Derive& request) {
  Writer writer(13 + request.id.size() + request.salt.size() + request.info.size());
  writer.u8(static_cast<uint8_t>(Kind::kDerive));
  writer.text(request.id);
  writer.text(Bytes(request.salt));
  writer.text(request.info);
  return writer.take();
}

Message encode_one(const SignLeaf& request) {
  std::size_t size = 13 + request.addresses.size() * 16 + request.public_key.size();
  for (const std::string& name : request.dns) size += 4 + name.size();
  Writer writer(size);
  writer.u8(static_cast<uint8_t>(Kind::kSignLeaf));
  writer.u32(static_cast<uint32_t>(request.dns.size()));
  for (const std::string& name : request.dns) writer.text(name);
  writer.u32(static_cast<uint32_t>(request.addresses.size()));
  for (const Address& address : request.addresses) writer.raw(std::as_bytes(std::span(address.bytes)));
  writer.text(Bytes(request.public_key));
  return writer.take();
}

Message encode_one(const AskCounts&) {
  Writer writer(1);
  writer.u8(static_cast<uint8_t>(Kind::kAskCounts));
  return writer.take();
}

std::optional<Request> read_request(Reader& reader) {
  switch (static_cast<Kind>(reader.u8())) {
    case Kind::kSignSeal: return SignSeal{reader.text(kManifestMax)};
    case Kind::kAdoptHead: return AdoptHead{reader.text(kNoteMax)};
    case Kind::kSignCheckpoint: {
      SignCheckpoint request{.text = reader.text(kNoteMax), .proof = {}};
      for (std::size_t left = reader.count(kProofMax); left > 0; --left) request.proof.push_back(reader.digest());
      return request;
    }
    case Kind::kWrap: {
      const record::WrapContext context = read_context(reader);
      auto key = record::SecretKey::from(reader.raw(record::SecretKey::kSize));
      if (!key) return std::nullopt;
      return Wrap{context, std::move(*key)};
    }
    case Kind::kOpen: {
      const record::WrapContext context = read_context(reader);
      return Open{context, reader.text(kWrapMax)};
    }
    case Kind::kDerive: {
      Derive request{.id = reader.text(kIdMax), .salt = {}, .info = {}};
      const Bytes salt = reader.bytes(kIdMax);
      request.salt.assign(salt.begin(), salt.end());
      request.info = reader.text(kIdMax);
      return request;
    }
    case Kind::kSignLeaf: {
      SignLeaf request;
      for (std::size_t left = reader.count(kNamesMax); left > 0; --left) request.dns.push_back(reader.text(kNameMax));
      for (std::size_t left = reader.count(kNamesMax); left > 0; --left) {
        const Bytes bytes = reader.raw(16);
        Address address;
        for (std::size_t at = 0; at < bytes.size(); ++at) address.bytes[at] = std::to_integer<uint8_t>(bytes[at]);
        request.addresses.push_back(address);
      }
      const Bytes key = reader.bytes(kPublicKeyMax);
      request.public_key.assign(key.begin(), key.end());
      return request;
    }
    case Kind::kAskCounts: return AskCounts{};
  }
  return std::nullopt;
}

tl::unexpected<Error> no_answer() { return fail(Error::Kind::kInvalid, "the signer's answer cannot be read"); }

// nullopt: the answer is a good one, and the reader stands behind its status.
std::optional<Error> error_in(Reader& reader) {
  const uint8_t status = reader.u8();
  if (status == 0) return std::nullopt;
  const std::string message = reader.text(kMessageMax);
  if (!reader.is_whole() || status > 1 + static_cast<uint8_t>(Error::Kind::kSystem)) return no_answer().value();
  return Error{.kind = static_cast<Error::Kind>(status - 1), .message = message};
}

}  // namespace

Message& Message::operator=(Message&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

Message::~Message() {
  if (!bytes_.empty()) OPENSSL_cleanse(bytes_.data(), bytes_.size());
}

Message encode(const Request& request) {
  return std::visit([](const auto& one) { return encode_one(one); }, request);
}

Result<Request> decode_request(Bytes bytes) {
  Reader reader(bytes);
  std::optional<Request> request = read_request(reader);
  if (!request || !reader.is_whole()) return fail(Error::Kind::kInvalid, "no request of version " + std::to_string(kVersion));
  return std::move(*request);
}

Message answer_error(const Error& error) {
  const std::string_view message = std::string_view(error.message).substr(0, kMessageMax);
  Writer writer(5 + message.size());
  writer.u8(static_cast<uint8_t>(1 + static_cast<uint8_t>(error.kind)));
  writer.text(message);
  return writer.take();
}

Message answer_signature(const record::Signature& signature) {
  Writer writer(1 + signature.size());
  writer.u8(0);
  writer.raw(signature);
  return writer.take();
}

Message answer_text(std::string_view text) {
  Writer writer(5 + text.size());
  writer.u8(0);
  writer.text(text);
  return writer.take();
}

Message answer_key(const record::SecretKey* key) {
  Writer writer(2 + record::SecretKey::kSize);
  writer.u8(0);
  writer.u8(key != nullptr ? 1 : 0);
  if (key != nullptr) writer.raw(key->bytes());
  return writer.take();
}

Message answer_counts(const Counts& counts) {
  Writer writer(1 + 8 * 8);
  writer.u8(0);
  for (const uint64_t count : {counts.seals, counts.checkpoints, counts.wrapped, counts.opened, counts.derived, counts.leaves, counts.refused, counts.log_size}) writer.u64(count);
  return writer.take();
}

Result<record::Signature> read_signature(Bytes answer) {
  Reader reader(answer);
  if (const auto error = error_in(reader)) return tl::unexpected(*error);
  record::Signature signature{};
  const Bytes bytes = reader.raw(signature.size());
  if (!reader.is_whole()) return no_answer();
  std::copy(bytes.begin(), bytes.end(), signature.begin());
  return signature;
}

Result<std::string> read_text_answer(Bytes answer, std::size_t size_max) {
  Reader reader(answer);
  if (const auto error = error_in(reader)) return tl::unexpected(*error);
  std::string text = reader.text(size_max);
  if (!reader.is_whole()) return no_answer();
  return text;
}

Result<std::optional<record::SecretKey>> read_key(Bytes answer) {
  Reader reader(answer);
  if (const auto error = error_in(reader)) return tl::unexpected(*error);
  const uint8_t has_key = reader.u8();
  std::optional<record::SecretKey> key;
  if (has_key == 1) key = record::SecretKey::from(reader.raw(record::SecretKey::kSize));
  if (has_key > 1 || !reader.is_whole()) return no_answer();
  return key;
}

Result<Counts> read_counts(Bytes answer) {
  Reader reader(answer);
  if (const auto error = error_in(reader)) return tl::unexpected(*error);
  Counts counts;
  for (uint64_t* count : {&counts.seals, &counts.checkpoints, &counts.wrapped, &counts.opened, &counts.derived, &counts.leaves, &counts.refused, &counts.log_size}) *count = reader.u64();
  if (!reader.is_whole()) return no_answer();
  return counts;
}

}  // namespace weir::signer
