#include "decide/policy_digest.h"

#include <openssl/evp.h>

#include <array>
#include <chrono>

#include "base/check.h"

namespace weir::decide {
namespace {

// Fields in a fixed order, each with its length in front, so that no two configurations can run together into one text.
class Canonical {
 public:
  void add(std::string_view value) {
    text_ += std::to_string(value.size());
    text_ += ':';
    text_ += value;
  }
  void add(uint64_t value) { add(std::to_string(value)); }
  void add(const std::vector<std::string>& values) {
    add(values.size());
    for (const std::string& value : values) add(value);
  }
  void add(const WhoConfig& who) {
    add(who.subjects);
    add(who.groups);
  }
  template <class E>
  requires std::is_enum_v<E>
  void add(E value) { add(static_cast<uint64_t>(value)); }

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

void add_target(Canonical& out, const TargetConfig& target) {
  out.add("target");
  out.add(target.name);
  out.add(target.protocol);
  out.add(target.observe);
  out.add(target.opaque);
  out.add(target.opaque_approval);
  out.add(target.unknown_functions_block);
  out.add(target.record.parameters);
}

void add_grant(Canonical& out, const GrantConfig& grant) {
  out.add("grant");
  out.add(grant.name);
  out.add(grant.who);
  for (const auto* list : {&grant.targets, &grant.logins, &grant.databases, &grant.objects, &grant.impersonate}) out.add(*list);
  out.add(uint64_t{grant.verbs});
  out.add(grant.hours.zone);
  for (const HoursConfig::Span& span : grant.hours.spans) {
    out.add(uint64_t{span.first_day} << 40 | uint64_t{span.last_day} << 32 | uint64_t{span.from_minute} << 16 | span.to_minute);
  }
  out.add(grant.assurance);
  out.add(grant.request_id_required);
  out.add(grant.is_for_people);
  out.add(static_cast<uint64_t>(grant.until.time_since_epoch().count()));
  out.add(grant.approval);
}

void add_rule(Canonical& out, const RuleConfig& rule) {
  out.add("rule");
  out.add(rule.id);
  out.add(rule.where.targets);
  out.add(rule.where.protocol);
  out.add(rule.where.who);
  out.add(rule.where.direction ? 1 + static_cast<uint64_t>(*rule.where.direction) : 0);
  out.add(rule.what.shapes);
  out.add(uint64_t{rule.what.verbs});
  for (const auto* list :
       {&rule.what.functions, &rule.what.objects, &rule.what.columns, &rule.what.text, &rule.what.words, &rule.what.data})
    out.add(*list);
  out.add(rule.then);
  out.add(rule.mask.spec.as);
  out.add(uint64_t{rule.mask.spec.keep_last});
  out.add(rule.mask.spec.keep_length);
  out.add(rule.mask.in_filters);
  out.add(rule.mask.write_back);
  out.add(rule.mask.unsure_strict);
  out.add(rule.observe);
  out.add(rule.approval);
  out.add(rule.message);
  out.add(rule.except_rules);
}

void add_approval(Canonical& out, const ApprovalConfig& approval) {
  out.add("approval");
  out.add(approval.name);
  out.add(approval.reviewers);
  out.add(uint64_t{approval.min_reviewers});
  out.add(static_cast<uint64_t>(approval.deadline.count()));
  out.add(uint64_t{approval.is_for_class});
  out.add(static_cast<uint64_t>(approval.window_max.count()));
}

}  // namespace

std::string policy_digest(const Config& config) {
  Canonical canonical;
  for (const TargetConfig& target : config.targets) add_target(canonical, target);
  for (const GrantConfig& grant : config.grants) add_grant(canonical, grant);
  for (const ApprovalConfig& approval : config.approvals) add_approval(canonical, approval);
  for (const RuleConfig& rule : config.rules) add_rule(canonical, rule);
  for (const DataKindConfig& kind : config.data_kinds) {
    canonical.add("kind");
    canonical.add(kind.name);
    canonical.add(kind.pattern);
    canonical.add(kind.validator);
    canonical.add(uint64_t{kind.width_max});
  }
  std::array<unsigned char, 32> digest{};
  unsigned size = 0;
  WEIR_CHECK(EVP_Digest(canonical.text().data(), canonical.text().size(), digest.data(), &size, EVP_sha256(), nullptr) == 1);
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string hex;
  for (const unsigned char byte : digest) hex += {kHex[byte >> 4], kHex[byte & 0xf]};
  return hex;
}

}  // namespace weir::decide
