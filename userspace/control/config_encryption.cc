// record.encryption: who can open the session archives.
#include "control/config_sections.h"

namespace weir::control {

void read_encryption(MapReader section, RecordConfig& out) {
  LoadContext& context = section.context();
  section.file("key_file", out.encryption_key_file, FileKind::kSecretOrMade);
  for (const auto& [auditor, place] : section.placed_strings("auditors")) {
    const std::string path = context.absolute(auditor);
    if (context.check_files && !context.files.facts(path).exists) {
      context.error(place, section.path_of("auditors") + ": there is no file " + path, "the auditor makes it: openssl genpkey -algorithm X25519 -out auditor.key; openssl pkey -in auditor.key -pubout -out auditor.pub");
    }
    out.encryption_auditors.push_back(path);
  }
  if (!out.encryption_auditors.empty() && out.encryption_key_file.empty()) {
    context.error(section.place_of("auditors"), section.path_of("auditors") + ": record.encryption.key_file is missing: the gateway reads with it what it sealed", "key_file: keys/kek.key");
  }
  section.finish();
}

}  // namespace weir::control
