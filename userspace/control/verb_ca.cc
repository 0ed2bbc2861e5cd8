// ca: the gateway's certificate authority, and the other keys that a gateway starts with.
#include <openssl/rand.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <boost/program_options/value_semantic.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "control/cli_text.h"
#include "control/config_values.h"
#include "control/verbs.h"
#include "record/key_store.h"
#include "record/keys.h"
#include "transport/ca.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::ordered_json;

std::chrono::sys_seconds now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

ordered_json to_json(const transport::CaDescription& ca) {
  return {{"certificate_file", ca.certificate_file}, {"subject", ca.subject}, {"fingerprint", ca.fingerprint}, {"not_before", text_of(ca.not_before)},
          {"not_after", text_of(ca.not_after)},      {"permitted", ca.permitted}, {"pem", ca.pem}};
}

// 32 random bytes, hex, in a new file that its owner alone can read.
Result<void> make_mask_key(const std::string& path) {
  std::array<std::byte, 32> bytes{};
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size())) != 1) return fail(Error::Kind::kSystem, "no random bytes can be had");
  const std::string text = record::hex(bytes) + "\n";
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return fail(Error::Kind::kSystem, path + ": " + std::strerror(errno), errno);
  const bool is_written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  close(fd);
  if (!is_written) return fail(Error::Kind::kSystem, path + " could not be written", errno);
  return {};
}

// Makes what --keys asks for and is not there yet.  Post: the files made.
Result<std::vector<std::string>> make_keys(const Config& config) {
  std::vector<std::string> made;
  if (!config.record.signing_key_file.empty() && !std::filesystem::exists(config.record.signing_key_file)) {
    const auto key = record::SigningKey::generate(config.record.signing_key_file);
    if (!key) return tl::unexpected<Error>(key.error());
    made.push_back(config.record.signing_key_file);
  }
  if (!config.record.encryption_key_file.empty() && !std::filesystem::exists(config.record.encryption_key_file)) {
    if (auto key = record::make_gateway_keys(config.record.encryption_key_file, config.state); !key) return tl::unexpected<Error>(key.error());
    made.push_back(config.record.encryption_key_file);
  }
  if (!config.mask_hash_key_file.empty() && !std::filesystem::exists(config.mask_hash_key_file)) {
    if (auto key = make_mask_key(config.mask_hash_key_file); !key) return tl::unexpected<Error>(key.error());
    made.push_back(config.mask_hash_key_file);
  }
  return made;
}

Result<void> permit(const std::vector<std::string>& given, transport::CaRequest& request) {
  for (const std::string& text : given) {
    const auto prefix = Prefix::parse(text);
    if (prefix) {
      request.permitted_addresses.push_back(*prefix);
    } else if (text.find_first_of("/: ") == std::string::npos) {
      request.permitted_names.push_back(text);
    } else {
      return fail(Error::Kind::kInvalid, "--permit " + text + ": a name such as lab.example, or an address or prefix");
    }
  }
  return {};
}

int run_init(VerbCall& call, const Config& config) {
  std::vector<std::string> made;
  if (call.has("keys")) {
    auto keys = make_keys(config);
    if (!keys) return call.fail(keys.error());
    made = std::move(*keys);
  }
  transport::CaRequest request{config.tls.ca_certificate_file, config.tls.ca_key_file};
  if (call.has("name")) request.common_name = call.text("name");
  if (call.has("days")) request.validity = std::chrono::days(call.options["days"].as<uint32_t>());
  if (auto permitted = permit(call.texts("permit"), request); !permitted) return call.fail(permitted.error());
  const auto ca = transport::init_ca(request, now());
  if (!ca) return call.fail(ca.error());
  if (call.json) {
    ordered_json answer = to_json(*ca);
    answer["made"] = made;
    call.print_json(answer);
  } else {
    for (const std::string& path : made) call.terminal.out << "made " << path << "\n";
    call.terminal.out << transport::text_of(*ca, now());
  }
  return kExitDone;
}

int run_ca(VerbCall& call) {
  if (call.words().size() != 1 || (call.words()[0] != "init" && call.words()[0] != "show")) return call.fail(kExitUsage, "say what: weir ca init, or weir ca show");
  const auto loaded = call.load(false);
  if (!loaded) return kExitUsage;
  const Config& config = loaded->config;
  if (config.tls.ca_certificate_file.empty()) return call.fail(kExitUsage, "tls.ca is not in the configuration: it says where certificate and key are kept");
  if (call.words()[0] == "init") return run_init(call, config);
  const auto ca = transport::show_ca(config.tls.ca_certificate_file);
  if (!ca) return call.fail(ca.error());
  if (call.json) call.print_json(to_json(*ca));
  else call.terminal.out << transport::text_of(*ca, now());
  return kExitDone;
}

}  // namespace

Verb ca_verb() {
  return {.name = "ca",
          .group = "Configuration and policy",
          .summary = "make or show the gateway's certificate authority",
          .synopsis = "init [--keys] [--name TEXT] [--days N] [--permit NAME|PREFIX] | show",
          .description = "The authority mints the certificates that clients see for targets without a pair of their own. init makes certificate and key where tls.ca says; it never overwrites. "
                         "show prints what it is and how clients come to trust it.\n--keys also makes the signing key of the record, the key of its archives and the mask key, where the configuration names them and they are not there.\n"
                         "--permit limits what the authority may sign for; give it for names and for addresses.",
          .exits = "0 done\n1 there is no such certificate\n2 the configuration is wrong, or a file is there already",
          .example = "weir ca init --keys --permit db.example --permit 198.18.2.0/24\nweir ca show",
          .add_options = [](po::options_description& options) {
            options.add_options()("keys", "init: make the record's keys and the mask key too")
                ("name", po::value<std::string>()->value_name("TEXT"), "init: common name; default Weir CA")
                ("days", po::value<uint32_t>()->value_name("N"), "init: how long it is valid; default 3650")
                ("permit", po::value<std::vector<std::string>>()->value_name("NAME|PREFIX"), "init: sign for this and what is below it only; may be given several times");
          },
          .run = run_ca};
}

}  // namespace weir::control
