#include "record/key_store.h"

#include <algorithm>

#include "record/files.h"

namespace weir::record {
namespace {

constexpr std::size_t kKeysFileMax = 1u << 20;
constexpr std::string_view kArchiveEnd = ".weir";

}  // namespace

std::string keys_name(std::string_view archive_name) {
  if (archive_name.ends_with(kArchiveEnd)) archive_name.remove_suffix(kArchiveEnd.size());
  return std::string(archive_name) + ".keys";
}

Result<KeysState> check_keys(const std::string& keys_folder, std::string_view archive_name, const Manifest& manifest) {
  if (!manifest.is_encrypted) return KeysState::kNone;
  const Result<std::string> text = read_text(keys_folder + "/" + keys_name(archive_name), kKeysFileMax);
  if (!text && text.error().kind == Error::Kind::kNotFound) return KeysState::kMissing;
  if (!text && text.error().kind == Error::Kind::kInvalid) return KeysState::kChanged;  // Longer than any.
  if (!text) return tl::unexpected(text.error());
  return sha256(as_bytes(*text)) == manifest.keys_digest ? KeysState::kFit : KeysState::kChanged;
}

Result<SecretKey> session_key(const RecordPlace& place, std::string_view archive_name, const Manifest& manifest) {
  constexpr const char* kHow = " (`--key-file FILE`: an auditor's private key, or the file of record.encryption.key_file)";
  if (place.keys.empty()) return fail(Error::Kind::kNotFound, "the session is encrypted, and these are archives alone: its keys stand in keys/ of the state folder");
  const std::string path = place.keys + "/" + keys_name(archive_name);
  const Result<std::string> text = read_text(path, kKeysFileMax);
  if (!text && text.error().kind == Error::Kind::kNotFound) return fail(Error::Kind::kNotFound, "the session is encrypted, and its keys are not there: " + path + "; destroyed, or not copied");
  if (!text) return tl::unexpected(text.error());
  if (sha256(as_bytes(*text)) != manifest.keys_digest) return fail(Error::Kind::kCorrupt, path + ": these are not the keys that the session was sealed with");
  Result<SecretKey> key = unwrap(*text, place.openers, {.session = manifest.session, .part = manifest.part, .commitment = manifest.key_commitment});
  if (!key) return fail(key.error().kind, key.error().message + (key.error().kind == Error::Kind::kDenied ? kHow : ""));
  return key;
}

Result<void> destroy_keys(Files& files, const std::string& keys_folder, std::string_view archive_name) {
  const std::string path = keys_folder + "/" + keys_name(archive_name);
  if (Result<void> done = files.overwrite(path); !done) return done;
  return files.remove(path);
}

Result<KeyRing> open_ring(const std::string& key_file, const std::vector<std::string>& auditors) {
  KeyRing ring;
  if (key_file.empty()) return ring;
  const Result<std::shared_ptr<const GatewayKeys>> own = GatewayKeys::read(key_file);
  if (!own) return tl::unexpected(own.error());
  ring.wrappers.push_back(*own);
  ring.openers.push_back(*own);
  for (const std::string& path : auditors) {
    const Result<std::shared_ptr<const AuditorKey>> auditor = AuditorKey::read(path);
    if (!auditor) return tl::unexpected(auditor.error());
    ring.wrappers.push_back(*auditor);
  }
  return ring;
}

Result<void> make_gateway_keys(const std::string& key_file, const std::string& state) {
  const Result<std::vector<std::string>> sessions = list_folder(state + "/keys"), runs = list_folder(state + "/journal");
  if (!sessions) return tl::unexpected(sessions.error());
  if (!runs) return tl::unexpected(runs.error());
  const bool has_wraps = std::any_of(sessions->begin(), sessions->end(), [](const std::string& name) { return name != ".open"; }) ||
                         std::any_of(runs->begin(), runs->end(), [](const std::string& name) { return name.ends_with(".keys"); });
  if (has_wraps) {
    return fail(Error::Kind::kNotFound, key_file + " is not there, and " + state + " holds keys that it wrapped: put it back; if it is lost, begin a new one by hand: (umask 077; echo \"weir-key-1 $(openssl rand -hex 32)\" >" + key_file + ")");
  }
  return GatewayKeys::generate(key_file);
}

Result<void> read_archive(const RecordPlace& place, std::string_view archive_name, const ArchiveReader& reader, const std::function<bool(const FrameView&)>& sink) {
  if (!reader.manifest().is_encrypted) return reader.read(sink);
  const Result<SecretKey> key = session_key(place, archive_name, reader.manifest());
  if (!key) return tl::unexpected(key.error());
  return reader.read(sink, &*key);
}

}  // namespace weir::record
