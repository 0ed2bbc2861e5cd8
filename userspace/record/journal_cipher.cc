#include "record/journal_cipher.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cstdio>
#include <cstring>
#include <set>

#include "base/check.h"
#include "record/journal_reader.h"
#include "record/manifest.h"

namespace weir::record {
namespace {

constexpr std::size_t kKeysFileMax = 1u << 20;
constexpr std::size_t kClearSize = 8;              // Of a header: size and CRC, which are of its place.
constexpr std::string_view kKeysEnd = ".keys";

const unsigned char* raw(const std::byte* bytes) { return reinterpret_cast<const unsigned char*>(bytes); }
unsigned char* raw(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }

std::string keys_path(const std::string& journal, uint32_t id) {
  std::array<char, 24> name{};
  std::snprintf(name.data(), name.size(), "/%08u", id);
  return journal + name.data() + std::string(kKeysEnd);
}

std::optional<uint32_t> id_of(std::string_view name) {
  uint32_t id = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  return error == std::errc{} && id != 0 && std::string_view(end, static_cast<std::size_t>(name.data() + name.size() - end)) == kKeysEnd ? std::optional(id) : std::nullopt;
}

// An archive's part is never 0: no wrap of a session stands in for that of a run.
WrapContext context_of(uint32_t id, const Digest& commitment) { return {.session = id, .part = 0, .commitment = commitment}; }

Result<std::shared_ptr<const JournalKey>> read_key(const std::string& journal, uint32_t id, const std::vector<std::shared_ptr<const KeyOpener>>& openers) {
  const Result<std::string> text = read_text(keys_path(journal, id), kKeysFileMax);
  if (!text) return tl::unexpected(text.error());
  const Result<Digest> commitment = digest_from_hex(text_at(parse_object(*text), "commitment"));
  if (!commitment) return fail(Error::Kind::kCorrupt, "it is no keys file");
  Result<SecretKey> secret = unwrap(*text, openers, context_of(id, *commitment));
  if (!secret) return tl::unexpected(secret.error());
  if (commitment_of(*secret) != *commitment) return fail(Error::Kind::kCorrupt, "it holds another key than it names");
  return std::make_shared<const JournalKey>(JournalKey{.id = id, .secret = std::move(*secret)});
}

}  // namespace

FrameSealer::FrameSealer(std::shared_ptr<const JournalKey> key, uint32_t core) : key_(std::move(key)), core_(core), context_(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free) {
  WEIR_CHECK(context_ != nullptr && key_ != nullptr && key_->id != 0);
  WEIR_CHECK(EVP_EncryptInit_ex2(context_.get(), EVP_aes_256_gcm(), raw(key_->secret.bytes().data()), nullptr, nullptr) == 1);
}

void FrameSealer::seal(MutableBytes frame, Bytes plain) {
  WEIR_CHECK(frame.size() == FrameHeader::kSize + kFrameSealSize + plain.size() && plain.size() < INT_MAX);
  const MutableBytes nonce = frame.subspan(FrameHeader::kSize, kFrameNonceSize);
  store_le(nonce, 0, core_);
  store_le(nonce, 4, ++count_);
  std::byte* out = nonce.data() + nonce.size();
  int size = 0;
  WEIR_CHECK(EVP_EncryptInit_ex2(context_.get(), nullptr, nullptr, raw(nonce.data()), nullptr) == 1);
  WEIR_CHECK(EVP_EncryptUpdate(context_.get(), nullptr, &size, raw(frame.data() + kClearSize), static_cast<int>(FrameHeader::kSize - kClearSize)) == 1);
  if (!plain.empty()) WEIR_CHECK(EVP_EncryptUpdate(context_.get(), raw(out), &size, raw(plain.data()), static_cast<int>(plain.size())) == 1);
  out += plain.size();
  WEIR_CHECK(EVP_EncryptFinal_ex(context_.get(), raw(out), &size) == 1 && size == 0);
  WEIR_CHECK(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_GCM_GET_TAG, static_cast<int>(kTagSize), out) == 1);
}

FrameOpener::FrameOpener(std::shared_ptr<const JournalKey> key) : key_(std::move(key)), context_(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free) {
  WEIR_CHECK(context_ != nullptr && key_ != nullptr);
  WEIR_CHECK(EVP_DecryptInit_ex2(context_.get(), EVP_aes_256_gcm(), raw(key_->secret.bytes().data()), nullptr, nullptr) == 1);
}

bool FrameOpener::open(Bytes associated, Bytes payload, MutableBytes out) {
  WEIR_CHECK(payload.size() == out.size() + kFrameSealSize);
  if (payload.size() >= INT_MAX || associated.size() >= INT_MAX) return false;
  const Bytes sealed = payload.subspan(kFrameNonceSize);
  std::array<std::byte, kTagSize> tag{};
  std::memcpy(tag.data(), sealed.data() + out.size(), kTagSize);
  int size = 0;
  WEIR_CHECK(EVP_DecryptInit_ex2(context_.get(), nullptr, nullptr, raw(payload.data()), nullptr) == 1);
  WEIR_CHECK(EVP_DecryptUpdate(context_.get(), nullptr, &size, raw(associated.data()), static_cast<int>(associated.size())) == 1);
  if (!out.empty()) WEIR_CHECK(EVP_DecryptUpdate(context_.get(), raw(out.data()), &size, raw(sealed.data()), static_cast<int>(out.size())) == 1);
  WEIR_CHECK(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(kTagSize), tag.data()) == 1);
  std::array<unsigned char, 16> rest{};
  return EVP_DecryptFinal_ex(context_.get(), rest.data(), &size) == 1;
}

Result<JournalKeys> JournalKeys::read(const std::string& journal, const std::vector<std::shared_ptr<const KeyOpener>>& openers) {
  JournalKeys all;
  all.folder_ = journal;
  const Result<std::vector<std::string>> names = list_folder(journal);
  if (!names) return tl::unexpected(names.error());
  for (const std::string& name : *names) {
    const std::optional<uint32_t> id = id_of(name);
    if (!id) continue;
    Result<std::shared_ptr<const JournalKey>> key = read_key(journal, *id, openers);
    if (key) {
      all.keys_.emplace(*id, std::make_shared<FrameOpener>(std::move(*key)));
    } else if (key.error().kind != Error::Kind::kNotFound) {
      all.shut_.emplace(*id, Error{.kind = key.error().kind, .message = journal + "/" + name + ": " + key.error().message});
    }
  }
  return all;
}

Result<std::shared_ptr<const JournalKey>> JournalKeys::draw(Files& files, const KeyRing& ring) {
  uint32_t id = 1;
  if (!keys_.empty()) id = std::max(id, keys_.rbegin()->first + 1);
  if (!shut_.empty()) id = std::max(id, shut_.rbegin()->first + 1);
  auto key = std::make_shared<const JournalKey>(JournalKey{.id = id, .secret = SecretKey::random()});
  const Result<std::string> text = wrap_for_all(ring, key->secret, context_of(id, commitment_of(key->secret)));
  if (!text) return tl::unexpected(text.error());
  if (Result<void> done = replace_file(files, keys_path(folder_, id), as_bytes(*text)); !done) return tl::unexpected(done.error());
  keys_.emplace(id, std::make_shared<FrameOpener>(key));
  return key;
}

Result<void> JournalKeys::forget(Files& files, uint32_t kept) {
  FileJournalFolder folder(folder_);
  const Result<std::vector<SegmentEntry>> segments = folder.segments();
  if (!segments) return tl::unexpected(segments.error());
  const Result<std::vector<std::string>> names = list_folder(folder_);
  if (!names) return tl::unexpected(names.error());
  // A copy that was kept for an examiner is of no use without its key.
  if (std::any_of(names->begin(), names->end(), [](const std::string& name) { return name.starts_with("damaged-"); })) return {};
  std::set<uint32_t> needed{kept};
  for (const SegmentEntry& segment : *segments) needed.insert(segment.header.key_id);
  bool is_changed = false;
  for (const std::string& name : *names) {
    const std::optional<uint32_t> id = id_of(name);
    if (!id || needed.contains(*id)) continue;
    if (Result<void> done = files.remove(folder_ + "/" + name); !done) return done;
    keys_.erase(*id);
    shut_.erase(*id);
    is_changed = true;
  }
  return is_changed ? files.sync_folder(folder_) : Result<void>{};
}

Result<FrameView> JournalKeys::open(const FrameView& frame, std::vector<std::byte>& plain) const {
  const uint32_t id = frame.header.key_id;
  if (id == 0) return frame;
  const auto key = keys_.find(id);
  if (key == keys_.end()) {
    const auto why = shut_.find(id);
    if (why != shut_.end()) return tl::unexpected(why->second);
    return fail(Error::Kind::kNotFound, keys_path(folder_, id) + ": the journal is encrypted, and the key of its run is not there");
  }
  const Bytes payload = frame.payload();
  if (payload.size() < kFrameSealSize) return fail(Error::Kind::kCorrupt, "a frame of session " + std::to_string(frame.header.session) + " is too short");
  plain.resize(frame.whole.size() - kFrameSealSize);
  if (!key->second->open(frame.whole.subspan(kClearSize, FrameHeader::kSize - kClearSize), payload, MutableBytes(plain).subspan(FrameHeader::kSize))) {
    return fail(Error::Kind::kCorrupt, "event " + std::to_string(frame.header.sequence) + " of session " + std::to_string(frame.header.session) + " is not what the gateway wrote");
  }
  FrameHeader header = frame.header;
  header.key_id = 0;
  header.size = static_cast<uint32_t>(plain.size());
  store(plain, header);
  return FrameView{header, plain};
}

}  // namespace weir::record
