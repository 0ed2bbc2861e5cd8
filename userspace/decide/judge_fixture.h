// What the tests of this folder judge with: facts looked up by text, a catalogue of two tables and a view, a masker of stars,
// and one session.  No parser, no sockets.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "core/mask.h"
#include "decide/fake_codec.h"
#include "decide/policy_compiler.h"

namespace weir::decide {

// Facts by text; an unknown text reads nothing.
class FakeFacts final : public FactsSource {
 public:
  StatementFacts& set(const std::string& text) {
    auto facts = std::make_shared<StatementFacts>();
    facts->statement_count = 1;
    facts->normalized = "normalized";
    by_text[text] = facts;
    return *facts;
  }
  FactsAnswer facts(const FactsQuery& query) override {
    ++asked;
    last_search_path = std::string(query.search_path);
    last_round = query.catalogue_round;
    last_conforming = query.standard_conforming_strings;
    if (is_pending) return {FactsAnswer::State::kPending, nullptr};
    if (refuses) return {FactsAnswer::State::kRefused, nullptr};
    const auto found = by_text.find(as_text(query.text));
    return {FactsAnswer::State::kReady, found == by_text.end() ? empty : found->second};
  }
  std::span<const uint64_t> collect() override { return {}; }
  uint64_t catalogue_changed() override { return ++round; }

  static std::shared_ptr<StatementFacts> reading_nothing() {
    auto made = std::make_shared<StatementFacts>();
    made->verbs = bit(Verb::kRead);
    made->statement_count = 1;
    return made;
  }
  std::map<std::string, std::shared_ptr<StatementFacts>, std::less<>> by_text;
  std::shared_ptr<StatementFacts> empty = reading_nothing();
  bool is_pending = false, refuses = false;
  int asked = 0;
  uint64_t round = 0, last_round = 0;
  bool last_conforming = true;
  std::string last_search_path;
};

class FakeCatalogue final : public Catalogue {
 public:
  FakeCatalogue() {
    relations.push_back(
        {"public", "people", 20001, false, {{"id", 23, 1}, {"email", 25, 2}, {"card", 25, 3}, {"name", 25, 4}}, ""});
    relations.push_back({"public", "orders", 20002, false, {{"id", 23, 1}, {"note", 25, 2}}, ""});
    relations.push_back({"public", "contacts", 20003, true, {{"mail", 25, 1}}, "select email as mail from people"});
  }
  uint64_t generation() const override { return number; }
  const CatalogueRelation* relation(std::string_view schema, std::string_view name, std::string_view) const override {
    for (const CatalogueRelation& each : relations) {
      if (each.name == name && (schema.empty() || each.schema == schema)) return &each;
    }
    return nullptr;
  }
  const CatalogueRelation* relation(uint32_t id) const override {
    for (const CatalogueRelation& each : relations) {
      if (each.id == id) return &each;
    }
    return nullptr;
  }
  bool function_only_reads(std::string_view, std::string_view, std::string_view) const override { return true; }
  std::string_view default_search_path(std::string_view) const override { return "public"; }

  std::vector<CatalogueRelation> relations;
  uint64_t number = 1;
};

// A masker for tests of decide/ alone: stars, "H" for hash, and validators that find a fixed word.  mask/ has its own tests.
class FakeMasker final : public Masker {
 public:
  MaskResult mask(const MaskSpec& spec, const MaskSubject& subject, Arena& arena) const override {
    if (refuses) return {};
    if (spec.as == MaskSpec::As::kNull) return {MaskResult::Kind::kNull, 0, subject.value.size(), {}};
    return mask_part(spec, subject, 0, subject.value.size(), arena);
  }
  MaskResult mask_part(const MaskSpec& spec, const MaskSubject&, std::size_t begin, std::size_t end,
                       Arena& arena) const override {
    if (refuses) return {};
    const MutableBytes out = arena.allocate(end - begin, 1);
    for (std::byte& byte : out)
      byte = std::byte{spec.as == MaskSpec::As::kHash ? static_cast<unsigned char>('H') : static_cast<unsigned char>('*')};
    return out.empty() ? MaskResult{} : MaskResult{MaskResult::Kind::kReplace, begin, end, out};
  }
  bool is_escaped(Bytes value, ValueFormat format) const override {
    return format == ValueFormat::kCopyText && as_text(value).find('\\') != std::string_view::npos;
  }
  Bytes unescape(Bytes value, ValueFormat, Arena& arena) const override {
    const MutableBytes out = arena.allocate(value.size(), 1);
    std::size_t size = 0;
    for (const std::byte byte : value) {
      if (byte != std::byte{'\\'} && !out.empty()) out[size++] = byte;
    }
    return out.first(size);
  }
  Bytes escape(Bytes meaning, ValueFormat, Arena& arena) const override { return arena.keep(meaning); }
  bool is_masked(std::string_view literal) const override {
    return literal.size() >= 4 && literal.find_first_not_of('*') == std::string_view::npos;
  }
  std::string_view digest(Bytes, Arena& arena) const override { return arena.keep(std::string_view("hmac-sha256:0")); }
  bool has_key() const override { return keyed; }
  const DataValidator* validator(std::string_view name) const override {
    return name == "none" || name == "luhn" ? &accepting : nullptr;
  }

  class Accepting final : public DataValidator {
   public:
    bool confirm(Bytes, std::size_t& begin, std::size_t& end) const override { return begin < end; }
  };
  Accepting accepting;
  bool keyed = true, refuses = false;
};

// One session of svc:agent in group agents at orders-db, as report_ro in shop, with a grant to read.
class Judge {
 public:
  Judge() {
    TargetConfig target;
    target.name = "orders-db";
    target.protocol = "postgres";
    config.targets.push_back(target);
    GrantConfig grant;
    grant.name = "reads";
    grant.who.groups = {"agents"};
    grant.targets = {"orders-db"};
    grant.verbs = bit(Verb::kRead);
    config.grants.push_back(grant);
    auto made = std::make_shared<Identity>();
    made->subject = "svc:agent";
    made->groups = {"agents"};
    made->assurance = Assurance::kStatic;
    identity = made;
  }
  GrantConfig& grant() { return config.grants.front(); }
  RuleConfig& rule(std::string id, RuleAction then) {
    RuleConfig& made = config.rules.emplace_back();
    made.id = std::move(id);
    made.then = then;
    made.place = {"rules.yaml", static_cast<uint32_t>(config.rules.size()), 5};
    return made;
  }
  DataKindConfig& kind(std::string name, std::string pattern, uint32_t width_max) {
    DataKindConfig& made = config.data_kinds.emplace_back();
    made.name = std::move(name);
    made.pattern = std::move(pattern);
    made.validator = "none";
    made.width_max = width_max;
    return made;
  }
  RuleConfig& mask_people() {
    RuleConfig& made = rule("mask-people", RuleAction::kMask);
    made.where.direction = Direction::kToClient;
    made.what.columns = {"public.people.email", "public.people.card"};
    made.mask.unsure_strict = true;
    return made;
  }
  // Facts of a statement that reads `columns` of public.people, resolved.
  StatementFacts& reads_people(const std::string& text, const std::vector<std::string>& columns) {
    StatementFacts& made = source.set(text);
    made.verbs = bit(Verb::kRead);
    made.has_output = made.outputs_are_known = true;
    made.relations.push_back({"public", "people", 20001, true, false, true});
    for (const std::string& column : columns) {
      made.columns.push_back({0, column, false});
      made.outputs.push_back({column, {static_cast<uint16_t>(made.columns.size() - 1)}, true, true});
    }
    return made;
  }

  // Compiles and opens.  Call again for a reload.
  void open() {
    Result<std::shared_ptr<const CompiledPolicy>> made = compile_policy(config, masker, {++generation, zone_folder}, &issues);
    WEIR_CHECK(made.has_value());
    std::shared_ptr<const CompiledPolicy> before = std::exchange(policy, *made);
    scratch = policy->make_scratch();
    std::unique_ptr<PolicySession> next = policy->open(session());
    if (state) next->inherit(*state);
    state = std::move(next);
  }
  SessionFacts session() const { return {7, identity, "orders-db", "postgres", ""}; }
  DecideContext context() {
    return {session_facts = session(), *state, source, has_catalogue ? &catalogue : nullptr, arena, wall, scratch.get()};
  }
  Verdict judge(Unit unit) {
    if (!policy) open();
    unit.request_id = request_id;
    DecideContext made = context();
    Verdict verdict;
    const std::string& stream = codec.stream(unit.direction);
    // The chunk ends with the unit, and starts before it: other bytes are there too.
    policy->decide(made, codec, as_bytes(stream), 0, std::span(&unit, 1), std::span(&verdict, 1));
    return verdict;
  }
  Verdict query(const std::string& text) { return judge(codec.query(text)); }
  std::string redact(const Unit& unit) {
    DecideContext made = context();
    return std::string(as_text(policy->redact(made, codec, unit, codec.wire(unit))));
  }
  std::string redact_field(const Unit& unit, uint32_t index) {
    DecideContext made = context();
    return std::string(
        as_text(policy->redact_field(made, codec, unit, codec.wire(unit), codec.field(unit, codec.wire(unit), index))));
  }

  Config config;
  std::vector<CompileIssue> issues;
  std::shared_ptr<FakeMasker> masker = std::make_shared<FakeMasker>();
  std::shared_ptr<const CompiledPolicy> policy;
  std::unique_ptr<ScanScratch> scratch;
  std::unique_ptr<PolicySession> state;
  FakeCodec codec;
  FakeFacts source;
  FakeCatalogue catalogue;
  IdentityPtr identity;
  SessionFacts session_facts;
  std::string request_id;
  std::string zone_folder = "/usr/share/zoneinfo";
  Arena arena{256u << 10};
  bool has_catalogue = true;
  uint64_t generation = 0;
  std::chrono::sys_time<std::chrono::nanoseconds> wall{std::chrono::sys_days(std::chrono::year(2026) / 3 / 2) +
                                                       std::chrono::hours(10)};  // A Monday.
};

}  // namespace weir::decide
