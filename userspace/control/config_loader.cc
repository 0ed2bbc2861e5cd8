#include "control/config_loader.h"

#include <openssl/evp.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "control/config_overrides.h"
#include "control/config_parts.h"
#include "control/config_sections.h"

namespace weir::control {
namespace {

constexpr std::string_view kFormVersion = "1";  // Of weir.yaml.
constexpr std::size_t kRuleFilesMax = 256;
// The longest path of a Unix socket, sun_path with its NUL.
constexpr std::size_t kSocketPathMax = 107;

// SHA-256 over every input with its length, so that no two sets of files digest alike by moving bytes between them.
class Digest {
 public:
  Digest() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }
  void add(std::string_view text) {
    const std::string size = std::to_string(text.size()) + "\n";
    EVP_DigestUpdate(context_.get(), size.data(), size.size());
    EVP_DigestUpdate(context_.get(), text.data(), text.size());
  }
  std::string hex() {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    EVP_DigestFinal_ex(context_.get(), bytes, &size);
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (unsigned int i = 0; i < size; ++i) {
      text += kDigits[bytes[i] >> 4];
      text += kDigits[bytes[i] & 15];
    }
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

// Reads and parses one file; false with a problem.
bool read_file(LoadContext& context, const std::string& path, const SourcePlace& named_at, Digest& digest, Config& config, YamlNode& root) {
  const YamlLimits limits;
  const auto text = context.files.read(path, limits.size_max);
  if (!text) {
    context.error(named_at, path + " " + text.error().message);
    return false;
  }
  digest.add(*text);
  config.files.push_back({path, sha256_text(*text)});
  return parse_yaml(*text, path, limits, root, context.problems);
}

// A rule file is a list of rules, or a map with `rules` and `kinds`; an empty one has none.
void read_rule_file(LoadContext& context, const std::string& path, const SourcePlace& named_at, Digest& digest, Config& config) {
  YamlNode root;
  if (!read_file(context, path, named_at, digest, config, root) || root.kind == YamlNode::Kind::kNull) return;
  add_parts(root, path, config.parts);
  if (root.kind == YamlNode::Kind::kList) {
    YamlNode wrapped;
    wrapped.kind = YamlNode::Kind::kMap;
    wrapped.place = root.place;
    wrapped.entries.push_back({"rules", root.place, std::move(root)});
    root = std::move(wrapped);
  }
  const std::string folder = std::exchange(context.folder, std::filesystem::path(path).parent_path().string());
  MapReader file(context, &root, "", "");
  uint64_t version = 1;
  file.number("version", version, 1, 1);
  read_data_kinds(file, config.data_kinds);
  read_rules(file, config.rules);
  file.finish();
  context.folder = folder;
}

void read_rule_files(MapReader& root, Digest& digest, Config& config) {
  LoadContext& context = root.context();
  const auto paths = root.placed_strings("rule_files", {.may_be_empty = true});
  if (paths.size() > kRuleFilesMax) {
    context.error(root.place_of("rule_files"), "rule_files: more than " + std::to_string(kRuleFilesMax) + " files");
    return;
  }
  for (const auto& [path, place] : paths) read_rule_file(context, context.absolute(path), place, digest, config);
}

void read_head(MapReader& root, Config& config) {
  LoadContext& context = root.context();
  const YamlNode* version = root.take_scalar("version");
  if (!root.has("version")) context.error(root.place(), "version is missing", "version: 1");
  if (version != nullptr && version->scalar != kFormVersion) {
    context.error(version->place, "version: this build reads version " + std::string(kFormVersion) + ", not " + in_quotes(version->scalar));
  }
  root.name("name", config.name);
  root.folder("state", config.state, Need::kRequired);
  if (context.check_files && !config.state.empty() && context.files.is_volatile(config.state)) {
    context.warn(root.place_of("state"), "state: " + config.state + " is on a memory file system: the record is lost with the power");
  }
}

void read_root(MapReader& root, Digest& digest, Config& config) {
  read_head(root, config);
  read_engine(root.map("engine"), config.engine);
  if (!root.has("steer")) root.context().error(root.place(), "steer is missing", "steer: {clients: [eth0], targets: [eth1]}");
  else read_steer(root.map("steer"), config.steer);
  read_tls(root.map("tls"), config.tls);
  read_identity(root.map("identity"), config.identity);
  read_targets(root, config.steer, config.targets);
  read_grants(root, config.grants);
  read_rule_files(root, digest, config);
  read_data_kinds(root, config.data_kinds);
  read_rules(root, config.rules);
  read_masks(root.map("masks"), config);
  read_approvals(root, config.approvals);
  read_notify(root.map("notify"), config.notify);
  read_record(root.map("record"), config.record);
  read_retention(root.map("retention"), config.retention);
  read_changes(root.map("changes"), config);
  read_bypass(root.map("bypass"), config.bypass_max);
  read_store(root, config.store);
  read_control(root.map("control"), config.control);
  if (root.has("api")) read_api(root.map("api"), config.api);
  else root.take("api");
  read_log(root.map("log"), config.log);
}

// Values that follow from others.
void complete(const MapReader& root, LoadContext& context, Config& config) {
  if (config.control.socket.empty() && !config.state.empty()) config.control.socket = config.state + "/control.sock";
  if (config.control.socket.size() > kSocketPathMax) {
    context.error(root.place_of("control"), "control.socket: " + config.control.socket + " is longer than " + std::to_string(kSocketPathMax) + " bytes",
                  "set control.socket to a shorter path");
  }
  if (config.record.origin.empty()) config.record.origin = "weir/" + config.name;
  const auto minted = std::find_if(config.targets.begin(), config.targets.end(), [](const TargetConfig& t) {
    return t.tls.to_client != LegTls::kNone && t.tls.certificate_file.empty();
  });
  if (minted != config.targets.end() && config.tls.ca_certificate_file.empty()) {
    context.error(minted->place, "tls.ca is missing: a target that offers TLS to clients without a pair of its own needs it",
                  "tls: {ca: {certificate_file: keys/ca.crt, key_file: keys/ca.key}} and `weir ca init`");
  }
  if (config.record.signing_key_file.empty()) {
    context.error(root.place_of("record"), "record.signing.key_file is missing: seals are signed with it",
                  "record: {signing: {key_file: keys/log.key}} and `weir ca init --keys`");
  }
  if (config.record.encryption_key_file.empty()) {
    context.warn(root.place_of("record"), "record.encryption is not set: session archives are compressed, and not encrypted", "record: {encryption: {key_file: keys/kek.key}}");
  }
}

}  // namespace

LoadedConfig load_config(const std::string& path, const ConfigOptions& options, ConfigFiles& files) {
  LoadedConfig loaded;
  Config& config = loaded.config;
  config.file = std::filesystem::absolute(path).lexically_normal().string();
  LoadContext context{files, options.check_files, std::filesystem::path(config.file).parent_path().string()};
  Digest digest;
  YamlNode tree;
  if (read_file(context, config.file, {path, 0, 0}, digest, config, tree)) {
    std::string overrides;
    for (const std::string& text : options.overrides) {
      apply_override(text, tree, context.problems);
      digest.add(text);
      overrides += text + "\n";
    }
    add_parts(tree, "", config.parts);
    MapReader root(context, &tree, "", "");
    read_root(root, digest, config);
    root.finish();
    complete(root, context, config);
    check_references(context, config);
    if (!overrides.empty()) config.files.push_back({"--set", sha256_text(overrides)});
    sort_parts(config.parts);
  }
  config.digest = digest.hex();
  loaded.problems = std::move(context.problems);
  // Messages name files as the operator did: the main file by the path that was given.
  for (ConfigProblem& problem : loaded.problems) {
    if (problem.place.file == config.file) problem.place.file = path;
  }
  std::stable_partition(loaded.problems.begin(), loaded.problems.end(), [&](const ConfigProblem& p) { return p.place.file == path; });
  sort_by_place(loaded.problems);
  loaded.keys.assign(context.schema.begin(), context.schema.end());
  return loaded;
}

LoadedConfig load_config(const std::string& path, const ConfigOptions& options) {
  DiskFiles files;
  return load_config(path, options, files);
}

}  // namespace weir::control
