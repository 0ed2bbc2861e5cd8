#include "identify/token.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "identify/base64url.h"
#include "identify/id_token.h"
#include "identify/strict_json.h"

namespace weir::identify {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr std::size_t kSubjectMax = 255;  // OpenID Connect Core section 2: sub.
constexpr std::size_t kGroupsMax = 256;
constexpr std::size_t kActorsMax = 8;
constexpr double kTimeMax = 253'402'300'799;  // The end of the year 9999.

tl::unexpected<Error> refuse(std::string reason) { return fail(Error::Kind::kDenied, "token refused: " + std::move(reason)); }

// A name that may stand in a record, a rule and a terminal: no control characters, bounded.
bool is_plain(std::string_view text) {
  return !text.empty() && text.size() <= kSubjectMax &&
         std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

struct Parts {
  std::string_view header, payload, signature, signed_text;
};
std::optional<Parts> split(std::string_view token) {
  const std::size_t first = token.find('.');
  const std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) return std::nullopt;
  return Parts{token.substr(0, first), token.substr(first + 1, second - first - 1), token.substr(second + 1),
               token.substr(0, second)};
}

Result<json> decode_json(std::string_view part, const char* which) {
  const auto bytes = decode_base64url(part);
  if (!bytes) return refuse(std::string("its ") + which + " is not base64url");
  auto parsed = parse_strict_json(as_text(*bytes));
  if (!parsed) return refuse(std::string("its ") + which + " is not usable: " + parsed.error().message);
  return parsed;
}

struct Header {
  Algorithm algorithm;
  std::string key_id;
};

bool is_token_type(std::string_view type) {
  std::string lower(type);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  std::string_view name = lower;
  if (name.starts_with("application/")) name.remove_prefix(12);
  return name == "jwt" || name == "at+jwt";
}

Result<Header> read_header(std::string_view part, const IssuerConfig& issuer) {
  const auto header = decode_json(part, "header");
  if (!header) return tl::unexpected<Error>(header.error());
  if (header->contains("crit") || header->contains("b64"))
    return refuse("it demands an extension (crit) that this gateway does not know");
  // RFC 8725 section 3.11: a token of another kind (a logout, an event) must not be taken for a sign-in.
  const auto type = header->find("typ");
  if (type != header->end() && (!type->is_string() || !is_token_type(type->get_ref<const std::string&>())))
    return refuse("its typ is not JWT or at+jwt");
  const auto algorithm = header->find("alg");
  if (algorithm == header->end() || !algorithm->is_string()) return refuse("it names no algorithm");
  const auto& name = algorithm->get_ref<const std::string&>();
  const auto known = parse_algorithm(name);
  const auto& allowed = issuer.algorithms;
  if (!known || std::find(allowed.begin(), allowed.end(), name) == allowed.end()) {
    return refuse("its algorithm is not among those allowed for " + issuer.name);
  }
  const auto key_id = header->find("kid");
  if (key_id != header->end() && !key_id->is_string()) return refuse("its kid is not a string");
  return Header{*known, key_id == header->end() ? std::string() : key_id->get<std::string>()};
}

// A NumericDate (RFC 7519 section 2), which may have a fraction.  nullopt with is_good: not there.
struct Time {
  bool is_good = true;
  std::optional<sys_seconds> at;
};
Time read_time(const json& claims, const char* name) {
  const auto claim = claims.find(name);
  if (claim == claims.end()) return {};
  if (!claim->is_number()) return {false, {}};
  const double value = claim->get<double>();
  if (!std::isfinite(value) || value < 0 || value > kTimeMax) return {false, {}};
  return {true, sys_seconds(seconds(static_cast<int64_t>(value)))};
}

Result<sys_seconds> check_times(const json& claims, seconds skew, sys_seconds now) {
  const Time expires = read_time(claims, "exp"), not_before = read_time(claims, "nbf"), issued = read_time(claims, "iat");
  if (!expires.is_good || !not_before.is_good || !issued.is_good) return refuse("exp, nbf or iat is not a time");
  if (!expires.at) return refuse("it has no end (exp)");
  if (now >= *expires.at + skew) return refuse("it has expired; sign in again");
  if (not_before.at && *not_before.at > now + skew) return refuse("it is not valid yet (nbf); is this host's clock behind?");
  if (issued.at && *issued.at > now + skew) return refuse("it was issued in the future (iat); is this host's clock behind?");
  if (issued.at && *issued.at > *expires.at) return refuse("it was issued after its own end");
  return *expires.at;
}

bool is_for(const json& claims, const std::string& audience) {
  const auto claim = claims.find("aud");
  if (claim == claims.end()) return false;
  if (claim->is_string()) return claim->get_ref<const std::string&>() == audience;
  if (!claim->is_array()) return false;
  return std::any_of(claim->begin(), claim->end(),
                     [&](const json& each) { return each.is_string() && each.get_ref<const std::string&>() == audience; });
}

// A claim by the name that the configuration has for it: of exactly that name ("https://idp.example/roles"), else a path of
// names joined by dots ("realm_access.roles").  nullptr: not there.
const json* find_claim(const json& claims, std::string_view path) {
  if (const auto exact = claims.find(path); exact != claims.end()) return &*exact;
  const json* at = &claims;
  while (!path.empty()) {
    const std::size_t dot = path.find('.');
    if (!at->is_object()) return nullptr;
    const auto found = at->find(path.substr(0, dot));
    if (found == at->end()) return nullptr;
    at = &*found;
    path.remove_prefix(dot == std::string_view::npos ? path.size() : dot + 1);
  }
  return at;
}

Result<std::vector<std::string>> read_groups(const json& claims, const std::string& name) {
  std::vector<std::string> groups;
  const json* claim = find_claim(claims, name);
  if (claim == nullptr || claim->is_null()) return groups;
  const auto add = [&groups](const json& each) {
    if (!each.is_string() || !is_plain(each.get_ref<const std::string&>())) return false;
    groups.push_back(each.get<std::string>());
    return true;
  };
  if (!claim->is_array())
    return add(*claim) ? Result<std::vector<std::string>>(groups) : refuse("its groups claim is no list of names");
  if (claim->size() > kGroupsMax) return refuse("it names more than " + std::to_string(kGroupsMax) + " groups");
  for (const json& each : *claim) {
    if (!add(each)) return refuse("its groups claim is no list of names");
  }
  return groups;
}

// RFC 8693 section 4.1: the outermost actor is the one who acts now, those nested in it acted before.
Result<std::vector<std::string>> read_actors(const json& claims, const std::string& name) {
  std::vector<std::string> actors;
  const json* found = find_claim(claims, name);
  while (found != nullptr) {
    if (actors.size() == kActorsMax)
      return refuse("its delegation chain has more than " + std::to_string(kActorsMax) + " members");
    if (!found->is_object()) return refuse("its delegation chain is malformed");
    const auto subject = found->find("sub");
    if (subject == found->end() || !subject->is_string() || !is_plain(subject->get_ref<const std::string&>()))
      return refuse("its delegation chain is malformed");
    actors.push_back(subject->get<std::string>());
    const auto before = found->find("act");
    found = before == found->end() ? nullptr : &*before;
  }
  return actors;
}

// Whether the claim that tells workloads apart has, or holds, one of the values that mean one.
bool is_workload(const json& claims, const IssuerConfig& issuer) {
  if (issuer.workload_claim.empty()) return false;
  const json* claim = find_claim(claims, issuer.workload_claim);
  const auto& wanted = issuer.workload_values;
  const auto fits = [&wanted](const json& each) {
    return each.is_string() && std::find(wanted.begin(), wanted.end(), each.get_ref<const std::string&>()) != wanted.end();
  };
  return claim != nullptr && (claim->is_array() ? std::any_of(claim->begin(), claim->end(), fits) : fits(*claim));
}

std::string digest_text(std::string_view token) {
  std::array<unsigned char, 32> hash{};
  unsigned size = 0;
  EVP_Digest(token.data(), token.size(), hash.data(), &size, EVP_sha256(), nullptr);
  return encode_base64url(std::as_bytes(std::span(hash)));
}

// After the signature: what the issuer says.
Result<VerifiedToken> read_claims(const json& claims, const IssuerConfig& issuer, sys_seconds now) {
  if (!is_for(claims, issuer.audience)) return refuse("it is not meant for " + issuer.audience + " (aud)");
  const auto expires = check_times(claims, issuer.clock_skew, now);
  if (!expires) return tl::unexpected<Error>(expires.error());
  VerifiedToken token;
  token.issuer = issuer.name;
  token.expires = *expires;
  token.assurance = is_workload(claims, issuer) ? Assurance::kWorkload : issuer.assurance;
  const json* subject = find_claim(claims, issuer.claim_subject);
  if (subject == nullptr || !subject->is_string() || !is_plain(subject->get_ref<const std::string&>())) {
    return refuse("its claim " + issuer.claim_subject + " names nobody");
  }
  token.subject = subject->get<std::string>();
  auto groups = read_groups(claims, issuer.claim_groups);
  if (!groups) return tl::unexpected<Error>(groups.error());
  token.groups = std::move(*groups);
  auto actors = read_actors(claims, issuer.claim_acting_for);
  if (!actors) return tl::unexpected<Error>(actors.error());
  token.acting_for = std::move(*actors);
  const json* email = find_claim(claims, issuer.claim_email);
  const auto is_verified = claims.find("email_verified");
  if (email != nullptr && email->is_string() && is_plain(email->get_ref<const std::string&>()) &&
      (is_verified == claims.end() || *is_verified == true)) {
    token.email = email->get<std::string>();
  }
  const auto id = claims.find("jti");
  if (id != claims.end()) {
    if (!id->is_string() || !is_plain(id->get_ref<const std::string&>())) return refuse("its jti is malformed");
    token.token_id = id->get<std::string>();
  }
  return token;
}

// The issuer that a token claims to be of; nothing else of it is used before its signature is checked.
Result<std::string> claimed_issuer(std::string_view token) {
  if (token.size() > kTokenSizeMax) return refuse("it is larger than " + std::to_string(kTokenSizeMax) + " bytes");
  const auto parts = split(token);
  if (!parts) return refuse("it is not of the form header.payload.signature");
  const auto claims = decode_json(parts->payload, "payload");
  if (!claims) return tl::unexpected<Error>(claims.error());
  const auto issuer = claims->find("iss");
  if (issuer == claims->end() || !issuer->is_string()) return refuse("it names no issuer (iss)");
  return issuer->get<std::string>();
}

// Pre: it was refused; true: for its key alone, which may have been made since the set was fetched.
bool names_unknown_key(std::string_view token, const IssuerConfig& issuer, const KeySet& keys) {
  const auto parts = split(token);
  const auto header = parts ? read_header(parts->header, issuer) : refuse("");
  return header && !header->key_id.empty() && keys.find(header->key_id, header->algorithm) == nullptr;
}

}  // namespace

bool claims_audience(std::string_view token, const std::string& audience) {
  const auto parts = token.size() > kTokenSizeMax ? std::nullopt : split(token);
  const auto claims = parts ? decode_json(parts->payload, "payload") : refuse("");
  return claims && is_for(*claims, audience);
}

Result<VerifiedToken> verify_token(std::string_view token, const IssuerConfig& issuer, const KeySet& keys, sys_seconds now) {
  const auto claimed = claimed_issuer(token);
  if (!claimed) return tl::unexpected<Error>(claimed.error());
  if (*claimed != issuer.url) return refuse("it is of another issuer than " + issuer.name);
  const Parts parts = *split(token);
  const auto header = read_header(parts.header, issuer);
  if (!header) return tl::unexpected<Error>(header.error());
  const Key* key = keys.find(header->key_id, header->algorithm);
  if (key == nullptr) {
    return refuse(header->key_id.empty() ? "it names no key (kid), and the key set of " + issuer.name +
                                               " does not have exactly one for its algorithm"
                                         : "its key (kid) is not in the key set of " + issuer.name + " for its algorithm");
  }
  const auto signature = decode_base64url(parts.signature);
  if (!signature || !verify_signature(*key, header->algorithm, as_bytes(parts.signed_text), *signature)) {
    return refuse("its signature is not that of " + issuer.name);
  }
  auto verified = read_claims(*decode_json(parts.payload, "payload"), issuer, now);
  if (!verified) return verified;
  verified->algorithm = name_of(header->algorithm);
  verified->key_id = key->id;
  // A signature can be re-encoded (ECDSA's s and -s) without the key, so that the digest is of what is signed.
  verified->key =
      issuer.name + (verified->token_id.empty() ? " sha256:" + digest_text(parts.signed_text) : " jti:" + verified->token_id);
  return verified;
}

Result<std::unique_ptr<TokenVerifier>> TokenVerifier::make(const std::vector<IssuerConfig>& issuers, const KeysOf& keys_of) {
  auto verifier = std::unique_ptr<TokenVerifier>(new TokenVerifier);
  for (const IssuerConfig& config : issuers) {
    const std::string who = "issuer " + config.name + ": ";
    if (config.url.empty()) return fail(Error::Kind::kInvalid, who + "url is missing");
    if (config.audience.empty())
      return fail(Error::Kind::kInvalid, who + "audience is missing: without it a token for any other service would do");
    if (config.jwks_file.empty() && !keys_of) return fail(Error::Kind::kInvalid, who + "jwks_file is missing");
    if (config.algorithms.empty()) return fail(Error::Kind::kInvalid, who + "algorithms is empty");
    if (config.clock_skew < seconds(0) || config.clock_skew > seconds(600))
      return fail(Error::Kind::kInvalid, who + "clock_skew must be between 0 and 10m");
    for (const std::string& name : config.algorithms) {
      if (!parse_algorithm(name)) {
        return fail(Error::Kind::kInvalid,
                    who + "algorithm \"" + name +
                        "\" is not one of RS256 RS384 RS512 PS256 ES256 ES384 EdDSA; none and HMAC are never allowed");
      }
    }
    if (config.jwks_file.empty()) {
      if (const auto url = parse_https_url(config.url); !url)
        return fail(Error::Kind::kInvalid, who + "url " + url.error().message);
      verifier->issuers_.push_back({config, keys_of(config), {}, {}, {}, false});
      continue;
    }
    const auto file = read_key_file(config.jwks_file);
    if (!file) return fail(file.error().kind, who + file.error().message, file.error().code);
    auto keys = KeySet::parse(file->text);
    if (!keys) return fail(Error::Kind::kInvalid, who + config.jwks_file + ": " + keys.error().message);
    verifier->issuers_.push_back({config, nullptr, std::make_shared<const KeySet>(std::move(*keys)), file->stamp, {}, false});
  }
  return verifier;
}

// Pre: mutex_ is held.
void TokenVerifier::refresh(Issuer& issuer) {
  const auto stamp = stamp_of(issuer.config.jwks_file);
  if (stamp && *stamp == issuer.stamp && issuer.warning.empty()) return;
  const auto file = read_key_file(issuer.config.jwks_file);
  if (!file) {
    issuer.warning = "issuer " + issuer.config.name + ": " + file.error().message + "; the keys read before stay in force";
    return;
  }
  if (file->stamp == issuer.stamp) {  // As it was when it was last looked at; a warning about its rights or absence is over.
    if (!issuer.is_refused) issuer.warning.clear();
    return;
  }
  issuer.stamp = file->stamp;
  auto keys = KeySet::parse(file->text);
  issuer.is_refused = !keys;
  if (!keys) {
    issuer.warning = "issuer " + issuer.config.name + ": " + issuer.config.jwks_file + ": " + keys.error().message +
                     "; the keys read before stay in force";
    return;
  }
  issuer.keys = std::make_shared<const KeySet>(std::move(*keys));
  issuer.warning.clear();
  ++reloads_;
}

Result<VerifiedToken> TokenVerifier::verify(std::string_view token, sys_seconds now) {
  return verify_by([&](const IssuerConfig& issuer, const KeySet& keys) { return verify_token(token, issuer, keys, now); }, token, now);
}

Result<VerifiedToken> TokenVerifier::verify_id_token(std::string_view token, std::string_view client_id, std::string_view nonce, sys_seconds now) {
  const auto check = [&](const IssuerConfig& issuer, const KeySet& keys) {
    return identify::verify_id_token(token, issuer, keys, client_id, nonce, now);
  };
  return verify_by(check, token, now);
}

Result<VerifiedToken> TokenVerifier::verify_by(const Check& check, std::string_view token, sys_seconds now) {
  const auto claimed = claimed_issuer(token);
  if (!claimed) return tl::unexpected<Error>(claimed.error());
  std::shared_ptr<const KeySet> keys;
  ProviderKeys* provider = nullptr;  // Neither changes after make().
  const IssuerConfig* config = nullptr;
  {
    const std::lock_guard lock(mutex_);
    const auto issuer =
        std::find_if(issuers_.begin(), issuers_.end(), [&](const Issuer& each) { return each.config.url == *claimed; });
    if (issuer == issuers_.end()) return refuse("its issuer is not one of identity.issuers");
    config = &issuer->config;
    provider = issuer->provider.get();
    if (provider == nullptr) {
      refresh(*issuer);
      keys = issuer->keys;
    }
  }
  if (provider != nullptr) {
    auto current = provider->current(now);
    if (!current) return tl::unexpected<Error>(current.error());
    keys = std::move(*current);
  }
  auto verified = check(*config, *keys);
  if (!verified && provider != nullptr && names_unknown_key(token, *config, *keys) && provider->ask_again(now)) {
    return fail(Error::Kind::kUnavailable,
                "its key (kid) is not in the key set of " + config->name +
                    " as it was last fetched; the set is being fetched again: try again in a few seconds");
  }
  return verified;
}

std::vector<TokenVerifier::IssuerStatus> TokenVerifier::status() const {
  const std::lock_guard lock(mutex_);
  std::vector<IssuerStatus> all;
  for (const Issuer& issuer : issuers_) {
    IssuerStatus& status =
        all.emplace_back(IssuerStatus{issuer.config.name, issuer.config.url, issuer.provider ? "provider" : "file", {}});
    if (issuer.provider) {
      status.keys = issuer.provider->status();
    } else {
      status.keys.keys = issuer.keys->size();
      status.keys.error = issuer.warning;
    }
  }
  return all;
}

std::vector<std::string> TokenVerifier::warnings() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> warnings;
  for (const Issuer& issuer : issuers_) {
    if (!issuer.warning.empty()) warnings.push_back(issuer.warning);
  }
  return warnings;
}

uint64_t TokenVerifier::reloads() const {
  const std::lock_guard lock(mutex_);
  return reloads_;
}

}  // namespace weir::identify
