#include "signer/setup.h"

#include <nlohmann/json.hpp>

#include "core/json_fields.h"
#include "record/evidence_log.h"
#include "record/manifest.h"
#include "transport/tls_contexts.h"

namespace weir::signer {
namespace {

using nlohmann::json;

std::vector<std::string> texts_at(const json& object, const char* name) {
  std::vector<std::string> all;
  const auto found = object.find(name);
  if (found == object.end() || !found->is_array()) return all;
  for (const json& each : *found) {
    if (each.is_string()) all.push_back(each.get<std::string>());
  }
  return all;
}

}  // namespace

Setup setup_of(const Config& config) {
  Setup setup;
  setup.gateway = config.name;
  setup.origin = record::log_origin(config.record.origin, config.name);
  setup.state = config.state;
  setup.folder = config.engine.signer_state.empty() ? config.state + "-signer" : config.engine.signer_state;
  setup.log_key_file = config.record.signing_key_file;
  setup.gateway_key_file = config.record.encryption_key_file;
  setup.ca = config.tls;
  setup.needs_ca = transport::needs_leaf_mint(config);
  for (const TargetConfig& target : config.targets) {
    transport::LeafNames names = transport::leaf_names(target);
    setup.names.dns.insert(setup.names.dns.end(), names.dns.begin(), names.dns.end());
    setup.names.addresses.insert(setup.names.addresses.end(), names.addresses.begin(), names.addresses.end());
  }
  setup.user = config.engine.signer_user;
  setup.engine_user = config.engine.user;
  return setup;
}

std::string to_json(const Setup& setup) {
  json addresses = json::array();
  for (const Address& address : setup.names.addresses) addresses.push_back(address.text());
  return json{{"gateway", setup.gateway}, {"origin", setup.origin}, {"state", setup.state}, {"folder", setup.folder}, {"log_key", setup.log_key_file}, {"gateway_key", setup.gateway_key_file},
              {"ca_certificate", setup.ca.ca_certificate_file}, {"ca_key", setup.ca.ca_key_file}, {"needs_ca", setup.needs_ca}, {"names", setup.names.dns}, {"addresses", std::move(addresses)},
              {"user", setup.user}, {"engine_user", setup.engine_user}, {"parent", setup.parent}}.dump();
}

Result<Setup> setup_from_json(std::string_view text) {
  const json object = record::parse_object(text);
  Setup setup;
  setup.gateway = text_at(object, "gateway");
  setup.origin = text_at(object, "origin");
  setup.state = text_at(object, "state");
  setup.folder = text_at(object, "folder");
  setup.log_key_file = text_at(object, "log_key");
  setup.gateway_key_file = text_at(object, "gateway_key");
  setup.ca.ca_certificate_file = text_at(object, "ca_certificate");
  setup.ca.ca_key_file = text_at(object, "ca_key");
  setup.needs_ca = object.contains("needs_ca") && object["needs_ca"] == true;
  setup.names.dns = texts_at(object, "names");
  for (const std::string& address : texts_at(object, "addresses")) {
    const auto parsed = Address::parse(address);
    if (!parsed) return tl::unexpected<Error>(parsed.error());
    setup.names.addresses.push_back(*parsed);
  }
  setup.user = text_at(object, "user");
  setup.engine_user = text_at(object, "engine_user");
  setup.parent = static_cast<int64_t>(number_at(object, "parent"));
  if (setup.gateway.empty() || setup.origin.empty() || setup.folder.empty() || setup.log_key_file.empty()) return fail(Error::Kind::kInvalid, "the signer was not told what it is to do");
  return setup;
}

std::string to_json(const Result<Hello>& hello) {
  if (!hello) return json{{"error", hello.error().message}, {"kind", static_cast<int>(hello.error().kind)}}.dump(-1, ' ', false, json::error_handler_t::replace);
  return json{{"pid", hello->pid}, {"uid", hello->uid}, {"user", hello->user}, {"public", hello->public_pem}, {"keys", hello->key_names}, {"first_key", hello->first_key},
              {"ca", hello->has_ca}, {"head_file", hello->head_file}, {"notes", hello->notes}}.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<Hello> hello_from_json(std::string_view text) {
  const json object = record::parse_object(text);
  if (object.contains("error")) {
    const uint64_t kind = std::min<uint64_t>(number_at(object, "kind"), static_cast<uint64_t>(Error::Kind::kSystem));
    return fail(static_cast<Error::Kind>(kind), text_at(object, "error"));
  }
  Hello hello;
  hello.pid = static_cast<int64_t>(number_at(object, "pid"));
  hello.uid = static_cast<uint32_t>(number_at(object, "uid"));
  hello.user = text_at(object, "user");
  hello.public_pem = text_at(object, "public");
  hello.key_names = text_at(object, "keys");
  hello.first_key = text_at(object, "first_key");
  hello.has_ca = object.contains("ca") && object["ca"].is_boolean() && object["ca"].get<bool>();
  hello.head_file = text_at(object, "head_file");
  hello.notes = texts_at(object, "notes");
  if (hello.pid == 0 || hello.public_pem.empty()) return fail(Error::Kind::kInvalid, "the signer did not say who it is");
  return hello;
}

}  // namespace weir::signer
