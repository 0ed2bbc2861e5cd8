#include "session/runtime_builder.h"

#include <algorithm>

#include "mask/masker.h"
#include "parse/registry.h"
#include "transport/capability.h"
#include "transport/secret_file.h"

namespace weir::session {
namespace {

Result<std::vector<LoginSecret>> read_logins(const TargetConfig& target) {
  std::vector<LoginSecret> logins;
  for (const LoginConfig& login : target.logins) {
    auto password = transport::read_secret_file(login.password_file);
    if (!password) return tl::unexpected<Error>(password.error());
    LoginSecret secret{login.client, login.user, std::string(password->view()), std::string(password->view())};
    if (!login.client_password_file.empty()) {
      auto client = transport::read_secret_file(login.client_password_file);
      if (!client) return tl::unexpected<Error>(client.error());
      transport::wipe(secret.client_password);
      secret.client_password = std::string(client->view());
    }
    logins.push_back(std::move(secret));
  }
  return logins;
}

// The address that the gateway's own logins dial: the target's first one.
Endpoint first_endpoint(const TargetConfig& target) { return {target.addresses.front().address, target.ports.front()}; }

}  // namespace

std::shared_ptr<postgres::CatalogueReader> RuntimeBuilder::catalogue(const std::string& target) const {
  const auto found = catalogues_.find(target);
  return found == catalogues_.end() ? nullptr : found->second.reader;
}

Result<postgres::CatalogueReaderOptions> RuntimeBuilder::catalogue_options(const TargetConfig& target) const {
  auto password = transport::read_secret_file(target.catalogue->password_file);
  if (!password) return tl::unexpected<Error>(password.error());
  postgres::CatalogueReaderOptions options;
  options.target = target.name;
  options.user = target.catalogue->user;
  options.password = std::string(password->view());
  options.databases = target.catalogue->databases;
  options.refresh = target.catalogue->refresh;
  options.tls = target.tls.to_target;
  options.ca_file = target.tls.ca_file;
  options.server_name = target.tls.server_name;
  const Endpoint at = first_endpoint(target);
  options.dial = [dial = dial_, at] { return dial(at); };
  options.notice = [notice = notice_, name = target.name](std::string_view text) { notice("catalogue of " + name + ": " + std::string(text)); };
  return options;
}

Result<const RuntimeBuilder::Catalogue*> RuntimeBuilder::catalogue_of(const TargetConfig& target) {
  std::string settings;
  postgres::CatalogueReaderOptions options;
  if (target.catalogue && !target.addresses.empty() && !target.ports.empty()) {
    auto made = catalogue_options(target);
    if (!made) return tl::unexpected<Error>(made.error());
    options = std::move(*made);
    const Endpoint at = first_endpoint(target);
    settings = options.user + '\n' + at.text() + '\n' + options.ca_file + '\n' + options.server_name + '\n' + options.password + '\n' +
               std::to_string(static_cast<int>(options.tls)) + '\n' + std::to_string(options.refresh.count());
    for (const std::string& database : options.databases) settings += '\n' + database;
  }
  const auto [place, is_new] = catalogues_.try_emplace(target.name);
  Catalogue& running = place->second;
  if (is_new || running.settings != settings) {
    running.facts_index = facts_count_++;
    running.reader = settings.empty() ? nullptr : postgres::make_catalogue_reader(std::move(options));
    transport::wipe(running.settings);
    running.settings = std::move(settings);
  } else {
    transport::wipe(settings);
  }
  return &running;
}

Result<void> RuntimeBuilder::add_target(Runtime& runtime, const TargetConfig& target, std::shared_ptr<const transport::TlsContexts> tls) {
  TargetRuntime made;
  made.config = target;
  made.module = find_protocol(target.protocol);
  if (made.module == nullptr) {
    return fail(Error::Kind::kInvalid, target.place.file + ":" + std::to_string(target.place.line) + ": protocol \"" + target.protocol + "\" is not in this build");
  }
  const transport::CapabilityVerdict capability = transport::capability(target, runtime.config);
  made.capability = transport::text_of(capability, target.name);
  made.is_admitting = capability.admits();
  if (!made.is_admitting) notice_(made.capability);
  auto logins = read_logins(target);
  if (!logins) return tl::unexpected<Error>(logins.error());
  const transport::TargetTls* legs = tls->find(target.name);
  made.facts.name = target.name;
  made.facts.tls_to_client = target.tls.to_client;
  made.facts.tls_to_target = target.tls.to_target != VerifyMode::kNone;
  made.facts.inject = target.inject;
  made.facts.logins = std::move(*logins);
  if (legs != nullptr && legs->has_client_leg()) {
    made.facts.client_binding_is_own_pair = legs->client_leg_is_own_pair();
    const Bytes hash = legs->client_leaf_hash();
    made.facts.client_leaf_hash.assign(hash.begin(), hash.end());
    made.client_leg = [tls, legs] { auto leg = legs->client_leg(); return leg ? std::move(*leg) : nullptr; };
  }
  if (legs != nullptr && legs->has_target_leg()) {
    made.target_leg = [tls, legs](const Address& dialled) { auto leg = legs->target_leg(dialled); return leg ? std::move(*leg) : nullptr; };
  }
  auto catalogue = catalogue_of(target);
  if (!catalogue) return tl::unexpected<Error>(catalogue.error());
  const std::shared_ptr<postgres::CatalogueReader> source = (*catalogue)->reader;
  if (source) {
    made.catalogue = [source](std::string_view database) { return source->snapshot(database); };
    made.catalogue_version = [source] { return source->version(); };
  }
  made.facts_index = (*catalogue)->facts_index;
  made.make_facts = [&parsers = parsers_, limits = runtime.config.engine.limits, source](std::function<void()> wake) {
    return std::unique_ptr<FactsSource>(postgres::make_postgres_facts(parsers, limits, source, std::move(wake)));
  };
  runtime.targets.push_back(std::move(made));
  return {};
}

Result<RuntimePtr> RuntimeBuilder::build(const Config& config, std::chrono::sys_seconds now) {
  auto runtime = std::make_shared<Runtime>();
  runtime->generation = generation_ + 1;
  runtime->config = config;
  if (transport::needs_leaf_mint(config)) {
    const std::string files = config.tls.ca_certificate_file + '\n' + config.tls.ca_key_file;
    if (!mint_ || mint_files_ != files) {
      auto mint = leaves_ ? transport::LeafMint::with(config.tls, leaves_, now) : transport::LeafMint::load(config.tls, now);
      if (!mint) return tl::unexpected<Error>(mint.error());
      mint_ = std::move(*mint);
      mint_files_ = files;
    }
  }
  auto tls = transport::TlsContexts::make(config, mint_.get(), now);
  if (!tls) return tl::unexpected<Error>(tls.error());
  transport::SecretString key;
  if (!config.mask_hash_key_file.empty()) {
    auto read = transport::read_secret_file(config.mask_hash_key_file);
    if (!read) return tl::unexpected<Error>(read.error());
    key = std::move(*read);
  }
  auto policy = decide::compile_policy(config, mask::make_masker(key.bytes()), {.generation = generation_ + 1});
  if (!policy) return tl::unexpected<Error>(policy.error());
  runtime->targets.reserve(config.targets.size());
  for (const TargetConfig& target : config.targets) {
    if (auto added = add_target(*runtime, target, *tls); !added) return tl::unexpected<Error>(added.error());
  }
  runtime->policy = *policy;
  policy_ = *policy;
  refresh_at_ = (*tls)->refresh_at();
  ++generation_;
  return RuntimePtr(std::move(runtime));
}

}  // namespace weir::session
