#include "signer/service.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include <algorithm>

#include "record/log_signer.h"
#include "record/manifest.h"
#include "record/merkle.h"

namespace weir::signer {
namespace {

constexpr std::string_view kIndexInfo = "weir index ";   // What the search index's keys are derived for.

tl::unexpected<Error> refuse(std::string why) { return fail(Error::Kind::kDenied, std::move(why)); }

std::string entries(uint64_t size) { return std::to_string(size) + " entries"; }

}  // namespace

bool Allowance::take(std::chrono::steady_clock::time_point now) {
  if (at_ && now > *at_) left_ = std::min(at_once_, left_ + per_second_ * std::chrono::duration<double>(now - *at_).count());
  if (!at_ || now > *at_) at_ = now;
  if (left_ < 1) return false;
  left_ -= 1;
  return true;
}

Service::Service(ServiceKeys keys, ServiceRules rules, record::Files& files, ServiceClock clock, std::function<void(std::string_view)> tell)
    : keys_(std::move(keys)), rules_(std::move(rules)), files_(files), clock_(std::move(clock)), tell_(std::move(tell)) {}

std::string Service::head_file() const { return rules_.folder + "/" + keys_.log.id() + ".checkpoint"; }

// Of this log, signed with this key.
Result<record::Checkpoint> Service::own_checkpoint(std::string_view text) const {
  const Result<record::Note> note = record::parse_note(text);
  if (!note) return tl::unexpected(note.error());
  Result<record::Checkpoint> checkpoint = record::checkpoint_from_text(note->text);
  if (!checkpoint) return checkpoint;
  if (checkpoint->origin != rules_.origin) return fail(Error::Kind::kCorrupt, "it is of the log " + checkpoint->origin + ", not of " + rules_.origin);
  if (record::check_signature(*note, record::note_verifier(rules_.origin, record::NoteAlgorithm::kEd25519, keys_.log.verifying())) != record::NoteCheck::kSigned) {
    return fail(Error::Kind::kCorrupt, "it was changed, or signed with another key");
  }
  return checkpoint;
}

Result<void> Service::open() {
  const Result<std::string> text = record::read_text(head_file(), kNoteMax);
  if (!text && text.error().kind == Error::Kind::kNotFound) return {};
  const Result<record::Checkpoint> head = text ? own_checkpoint(*text) : tl::unexpected(text.error());
  if (!head) {
    return fail(head.error().kind, head_file() + ": the newest checkpoint that was signed: " + head.error().message +
                                       "; if the log was given another origin or begun anew on purpose, remove this file, and say so to your auditors");
  }
  keep(*head, *text);
  return {};
}

void Service::keep(const record::Checkpoint& checkpoint, std::string note) {
  head_ = checkpoint;
  head_note_ = std::move(note);
}

Message Service::answer(Bytes bytes) {
  const auto now = clock_.steady();
  if (minute_ == std::chrono::steady_clock::time_point{} || now - minute_ >= std::chrono::minutes(1)) {
    minute_ = now;
    opened_this_minute_ = 0;
    told_this_minute_ = 0;
  }
  const Result<Request> request = decode_request(bytes);
  Result<Message> answer = request ? std::visit([this](const auto& one) { return carry_out(one); }, *request) : tl::unexpected(request.error());
  ERR_clear_error();
  if (answer) return std::move(*answer);
  // Slowed down is not refused; nor is what the disk could not do.
  if (answer.error().kind == Error::Kind::kDenied || answer.error().kind == Error::Kind::kInvalid || answer.error().kind == Error::Kind::kCorrupt) {
    ++counts_.refused;
    tell("refused: " + answer.error().message);
  }
  return answer_error(answer.error());
}

void Service::tell(const std::string& text) {
  if (told_this_minute_++ < kToldPerMinute) tell_(text);
}

Result<Message> Service::carry_out(const SignSeal& request) {
  const Result<record::Manifest> manifest = record::manifest_from_json(request.manifest);
  if (!manifest) return refuse("what is to be sealed is no manifest");
  if (manifest->gateway != rules_.gateway || manifest->key != keys_.log.id()) return refuse("a manifest of another gateway, or of another key");
  if (manifest->session == 0 || manifest->seal == 0) return refuse("a manifest without a session or a number");
  const Result<record::Signature> signature = keys_.log.sign(as_bytes(record::signed_text(record::sha256(as_bytes(request.manifest)))));
  if (!signature) return tl::unexpected(signature.error());
  ++counts_.seals;
  return answer_signature(*signature);
}

// What the engine has on disk.  A larger one than was signed here was signed with this key by somebody else: by a gateway without a signer.
Result<Message> Service::carry_out(const AdoptHead& request) {
  if (!request.note.empty()) {
    const Result<record::Checkpoint> found = own_checkpoint(request.note);
    if (!found) return refuse("the log's checkpoint: " + found.error().message);
    if (found->size == head_.size && found->root != head_.root) return refuse("the log's checkpoint: another tree of " + entries(head_.size) + " was signed");
    if (found->size > head_.size) {
      if (Result<void> done = record::replace_file(files_, head_file(), as_bytes(request.note)); !done) return tl::unexpected(done.error());
      tell_("the log's checkpoint of " + entries(found->size) + " was not signed here (" + (head_.size == 0 ? "nothing was" : entries(head_.size) + " were") + "), but with this key: it counts from now on");
      keep(*found, request.note);
    }
  }
  is_adopted_ = true;
  return answer_text(head_note_);
}

Result<Message> Service::carry_out(const SignCheckpoint& request) {
  if (!is_adopted_) return refuse("a checkpoint before the log's own was shown");
  const Result<record::Checkpoint> checkpoint = record::checkpoint_from_text(request.text);
  if (!checkpoint || record::to_text(*checkpoint) != request.text) return refuse("what is to be signed is no checkpoint");
  if (checkpoint->origin != rules_.origin || !checkpoint->extensions.empty()) return refuse("a checkpoint of another log, or with lines that nobody asked for");
  if (checkpoint->size == 0 || checkpoint->size < head_.size) return refuse("a checkpoint of " + entries(checkpoint->size) + " after one of " + entries(head_.size));
  if (!record::is_consistent(head_.size, head_.size == 0 ? record::empty_root() : head_.root, checkpoint->size, checkpoint->root, request.proof)) {
    return refuse("a checkpoint of " + entries(checkpoint->size) + " that does not go on from the one of " + entries(head_.size));
  }
  const Result<record::Signature> signature = keys_.log.sign(as_bytes(request.text));
  if (!signature) return tl::unexpected(signature.error());
  std::string note = record::signed_checkpoint(*checkpoint, keys_.log.verifying(), *signature);
  if (Result<void> done = record::replace_file(files_, head_file(), as_bytes(note)); !done) return tl::unexpected(done.error());
  keep(*checkpoint, std::move(note));
  ++counts_.checkpoints;
  return answer_signature(*signature);
}

Result<Message> Service::carry_out(const Wrap& request) {
  if (!keys_.gateway) return refuse("nothing to wrap with: record.encryption is not set");
  if (record::commitment_of(request.key) != request.context.commitment) return refuse("a key that is not the one its commitment names");
  const Result<nlohmann::json> wrap = keys_.gateway->wrap(request.key, request.context);
  if (!wrap) return tl::unexpected(wrap.error());
  ++counts_.wrapped;
  return answer_text(wrap->dump());
}

void Service::count_open() {
  ++counts_.opened;
  if (++opened_this_minute_ == kOpensTold) tell("opened " + std::to_string(kOpensTold) + " keys within a minute");
}

Result<Message> Service::carry_out(const Open& request) {
  if (!keys_.gateway) return answer_key(nullptr);
  if (!opens_.take(clock_.steady())) return fail(Error::Kind::kUnavailable, "more keys are asked for than are opened in a second");
  const std::optional<record::SecretKey> key = keys_.gateway->open(record::parse_object(request.wrap), request.context);
  if (key) count_open();
  return answer_key(key ? &*key : nullptr);
}

Result<Message> Service::carry_out(const Derive& request) {
  if (!std::string_view(request.info).starts_with(kIndexInfo)) return refuse("a key is derived for the search index alone");
  if (request.salt.empty()) return refuse("a key is derived with a salt");
  const std::optional<record::SecretKey> key = keys_.gateway ? keys_.gateway->derive(request.id, request.salt, request.info) : std::nullopt;
  if (key) ++counts_.derived;
  return answer_key(key ? &*key : nullptr);
}

Result<Message> Service::carry_out(const SignLeaf& request) {
  if (!keys_.ca) return refuse("tls.ca was not there, or not needed, when the gateway started");
  for (const std::string& name : request.dns) {
    if (std::find(rules_.names.dns.begin(), rules_.names.dns.end(), name) == rules_.names.dns.end()) return refuse("a certificate for a name that no target has");
  }
  for (const Address& address : request.addresses) {
    if (std::find(rules_.names.addresses.begin(), rules_.names.addresses.end(), address) == rules_.names.addresses.end()) return refuse("a certificate for an address that no target has");
  }
  if (!leaves_.take(clock_.steady())) return fail(Error::Kind::kUnavailable, "more certificates are asked for than are signed in a day");
  const auto* at = reinterpret_cast<const unsigned char*>(request.public_key.data());
  const transport::PkeyPtr key(d2i_PUBKEY(nullptr, &at, static_cast<long>(request.public_key.size())));
  if (!key || at != reinterpret_cast<const unsigned char*>(request.public_key.data()) + request.public_key.size()) return refuse("a certificate for what is no public key");
  const Result<transport::X509Ptr> certificate = keys_.ca->sign({.dns = request.dns, .addresses = request.addresses}, key.get(), clock_.wall());
  if (!certificate) return tl::unexpected<Error>(certificate.error());
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate->get(), &der);
  if (size <= 0) return fail(Error::Kind::kSystem, "a certificate could not be written");
  const std::string text(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  ++counts_.leaves;
  return answer_text(text);
}

Result<Message> Service::carry_out(const AskCounts&) { return answer_counts(counts()); }

Counts Service::counts() const {
  Counts counts = counts_;
  counts.log_size = head_.size;
  return counts;
}

}  // namespace weir::signer
