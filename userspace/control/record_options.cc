#include "control/record_options.h"

#include <filesystem>

#include "control/config_files.h"
#include "control/control_client.h"
#include "record/witness.h"

namespace weir::control {

Result<std::vector<record::VerifyingKey>> record_keys(VerbCall& call) {
  std::vector<std::string> paths = call.texts("key");
  if (paths.empty()) {
    const auto config = call.load_state();
    if (!config) return fail(Error::Kind::kInvalid, "no public key: give it with --key FILE");
    const std::string& signing = config->record.signing_key_file;
    std::string stem = signing;
    if (const std::size_t dot = stem.rfind('.'); dot != std::string::npos) stem.resize(dot);
    for (const std::string& path : {signing + ".pub", stem + ".pub"}) {
      if (paths.empty() && std::filesystem::exists(path)) paths.push_back(path);
    }
    if (paths.empty()) return fail(Error::Kind::kInvalid, "there is no public key beside " + signing + ": give it with --key FILE");
  }
  std::vector<record::VerifyingKey> keys;
  for (const std::string& path : paths) {
    auto key = record::VerifyingKey::read(path);
    if (!key) return fail(Error::Kind::kInvalid, key.error().message);
    keys.push_back(std::move(*key));
  }
  return keys;
}

Result<std::vector<record::NoteVerifier>> record_witnesses(const VerbCall& call) {
  constexpr std::size_t kSizeMax = 16u << 10;
  std::vector<record::NoteVerifier> witnesses;
  DiskFiles files;
  for (const std::string& path : call.texts("witness")) {
    const auto text = files.read(path, kSizeMax);
    auto witness = text ? record::witness_from_text(*text) : tl::unexpected<Error>(text.error());
    if (!witness) return fail(Error::Kind::kInvalid, path + ": " + witness.error().message);
    witnesses.push_back(std::move(*witness));
  }
  return witnesses;
}

void tell_engine(VerbCall& call, const char* act, const std::string& object) {
  if (call.has("state")) return;
  const auto config = call.load_state();
  if (!config || !is_answering(config->control.socket)) return;
  const auto seen = ask_engine(config->control.socket, "view", {{"act", act}, {"object", object}});
  if (!seen) call.terminal.err << "weir " << act << ": this look is not on the record: " << seen.error().message << "\n";
}

}  // namespace weir::control
