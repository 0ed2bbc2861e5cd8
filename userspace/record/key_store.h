// Where wrapped keys stand: keys/YYYY/MM/DD/<session>[.<part>].keys, apart from the archives, since these are copied and locked
// where they go.  Who destroys a keys file (and its backups) erases the session's content; its proof stays.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "record/archive.h"
#include "record/key_wrap.h"
#include "record/reader.h"

namespace weir::record {

// "2027/03/09/17.2.keys" for the archive "2027/03/09/17.2.weir".
std::string keys_name(std::string_view archive_name);

enum class KeysState : uint8_t { kNone, kFit, kMissing, kChanged };
// The manifest names the digest of its keys file.  kNone: the archive is not encrypted.
Result<KeysState> check_keys(const std::string& keys_folder, std::string_view archive_name, const Manifest&);

// The key of an encrypted archive.  kDenied: no key that was given opens it.  kNotFound: its keys were destroyed, or not copied.  kCorrupt:
// they are not those that it was sealed with.
Result<SecretKey> session_key(const RecordPlace&, std::string_view archive_name, const Manifest&);

// Every frame of an archive, as ArchiveReader::read(): with its key from the place, if it needs one.
Result<void> read_archive(const RecordPlace&, std::string_view archive_name, const ArchiveReader&, const std::function<bool(const FrameView&)>&);

// Erases a session's content: written over and taken away.  Durable once its folder is synced.  Absent is success.
Result<void> destroy_keys(Files&, const std::string& keys_folder, std::string_view archive_name);

// What a gateway seals with and reads: its own keys, and the auditors'.  No key file: nothing, archives are not encrypted.
Result<KeyRing> open_ring(const std::string& key_file, const std::vector<std::string>& auditors);
// A new key file.  Refused where the state folder holds wrapped keys: a new key would not open them, and the old one is missed.
Result<void> make_gateway_keys(const std::string& key_file, const std::string& state);

}  // namespace weir::record
