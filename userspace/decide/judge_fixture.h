// What the tests of this folder judge with: a codec that holds units made by hand in PostgreSQL's framing, facts looked up
// by text, a catalogue of two tables.  No parser, no sockets.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "core/mask.h"
#include "decide/policy_compiler.h"

namespace weir::decide {

// The values of a row, or the strings of an error, at their places in the wire bytes.
class FakeCodec final : public Codec {
 public:
  struct Made { Unit unit; std::string wire, text; std::vector<Field> fields; };

  Unit& query(std::string text, std::string_view verb = "query") {
    Made& made = begin(Direction::kToTarget, UnitKind::kCommand, verb);
    made.text = text;
    made.wire = std::string("Q") + size_of(text.size() + 5) + text + '\0';
    return finish(made);
  }
  // Parameters in text format.
  Unit& bind(uint64_t statement, const std::vector<std::string>& parameters) {
    Made& made = begin(Direction::kToTarget, UnitKind::kCommand, "bind");
    made.wire = "B" + size_of(0) + std::string(2, '\0');
    made.unit.meanings = {statement, 0};
    values(made, parameters, ValueFormat::kText);
    return finish(made);
  }
  Unit& execute(uint64_t statement, uint64_t other = 0) {
    Made& made = begin(Direction::kToTarget, UnitKind::kCommand, "execute");
    made.wire = "E" + size_of(9) + std::string(5, '\0');
    made.unit.meanings = {statement, other};
    return finish(made);
  }
  Unit& copy_data(std::string payload) {
    Made& made = begin(Direction::kToTarget, UnitKind::kData, "copy-data");
    made.wire = "d" + size_of(payload.size() + 4);
    add_field(made, payload, ValueFormat::kCopyText);
    return finish(made);
  }
  Unit& other(Direction direction, UnitKind kind, std::string_view verb, std::string wire = "X") {
    Made& made = begin(direction, kind, verb);
    made.wire = std::move(wire);
    return finish(made);
  }
  Unit& row(uint64_t in_reply_to, const std::vector<std::string>& cells, ValueFormat format = ValueFormat::kText) {
    Made& made = begin(Direction::kToClient, UnitKind::kRows, "row");
    made.unit.in_reply_to = in_reply_to;
    made.wire = "D" + size_of(0) + std::string(1, '\0') + static_cast<char>(cells.size());
    values(made, cells, format);
    return finish(made);
  }
  // The first part of a row whose only cell goes on in the next.
  Unit& cut_row(uint64_t in_reply_to, const std::string& piece) {
    Unit& made = row(in_reply_to, {piece});
    made_[index_of(Direction::kToClient)].back().fields[0].is_whole = false;
    made.part = Part::kFirst;
    return made;
  }
  Unit& copy_row(uint64_t in_reply_to, const std::vector<std::string>& cells, ValueFormat format = ValueFormat::kCopyText) {
    Made& made = begin(Direction::kToClient, UnitKind::kRows, "copy-data");
    made.unit.in_reply_to = in_reply_to;
    made.wire = "d" + size_of(0);
    for (const std::string& cell : cells) {
      if (&cell != &cells.front()) made.wire += format == ValueFormat::kCopyCsv ? ',' : '\t';
      add_field(made, cell, format);
    }
    made.wire += '\n';
    return finish(made);
  }
  Unit& error(uint64_t in_reply_to, const std::vector<std::pair<char, std::string>>& strings, std::string_view verb = "error") {
    Made& made = begin(Direction::kToClient, UnitKind::kResponse, verb);
    made.unit.in_reply_to = in_reply_to;
    made.wire = "E" + size_of(0);
    for (const auto& [code, text] : strings) {
      made.wire += code;
      add_field(made, text, ValueFormat::kText);
      made.fields.back().column = static_cast<uint32_t>(code);
      made.wire += '\0';
      if (code == 'M') made.text = text;
    }
    return finish(made);
  }

  // The stream so far, of one direction.
  [[nodiscard]] const std::string& stream(Direction d) const { return streams_[index_of(d)]; }
  [[nodiscard]] Bytes wire(const Unit& unit) const { return as_bytes(stream(unit.direction)).subspan(unit.wire.offset, unit.wire.size); }
  // The unit's wire bytes as its verdict's edits leave them, lengths aside.
  [[nodiscard]] std::string edited(const Unit& unit, const Verdict& verdict) const {
    std::string made;
    uint64_t at = unit.wire.offset;
    for (const FieldEdit& edit : verdict.edits) {
      WEIR_CHECK(edit.within.offset >= at && edit.within.end() <= unit.wire.end());  // In order, inside, without overlap.
      made += stream(unit.direction).substr(at, edit.within.offset - at);
      made += edit.to_null ? "<NULL>" : as_text(edit.with);
      at = edit.within.end();
    }
    return made + stream(unit.direction).substr(at, unit.wire.end() - at);
  }

  // core/module.h
  Step parse(uint32_t, Direction, uint64_t, Bytes, UnitSink&) override { return {}; }
  Step finish(uint32_t, Direction, uint64_t, Bytes, UnitSink&) override { return {}; }
  Field field(const Unit& unit, Bytes, uint32_t index) const override { return made_of(unit).fields[index]; }
  void fields(const Unit& unit, Bytes, FieldVisitor& visitor) const override {
    const std::vector<Field>& all = made_of(unit).fields;
    for (uint32_t i = 0; i < all.size(); ++i) {
      if (!visitor.visit(i, all[i])) return;
    }
  }
  std::span<const Column> columns(const Unit&) const override { return described; }
  Bytes statement(uint64_t id) const override {
    const auto found = statements.find(id);
    return found == statements.end() ? Bytes{} : as_bytes(found->second);
  }
  std::array<uint64_t, 2> reply_meanings(const Unit&) const override { return meanings; }
  LoginFacts login() const override { return login_facts; }
  GrammarFacts grammar() const override { return grammar_facts; }
  ResultFacts result(const Unit&) const override { return {}; }
  Settlement settle(const Unit&, Bytes, const Verdict&, Outbox&) override { return {}; }
  void signal(const Signal&, Outbox&) override {}
  bool resume(Direction) override { return true; }
  bool wants_close() const override { return false; }
  bool is_idle() const override { return true; }
  uint32_t cancel_request(MutableBytes) const override { return 0; }
  Bytes cancel_key() const override { return {}; }

  std::vector<Column> described;
  std::map<uint64_t, std::string> statements;
  std::array<uint64_t, 2> meanings{};
  LoginFacts login_facts{"report_ro", "shop", "", "report_ro", true};
  GrammarFacts grammar_facts;

 private:
  static std::string size_of(std::size_t size) {
    std::string made;
    for (int shift = 24; shift >= 0; shift -= 8) made += static_cast<char>(size >> shift & 0xff);
    return made;
  }
  Made& begin(Direction direction, UnitKind kind, std::string_view verb) {
    Made& made = made_[index_of(direction)].emplace_back();
    made.unit.id = made_[index_of(direction)].size();
    made.unit.direction = direction;
    made.unit.kind = kind;
    made.unit.verb = verb;
    return made;
  }
  void add_field(Made& made, const std::string& value, ValueFormat format) {
    Field field;
    field.column = static_cast<uint32_t>(made.fields.size());
    field.format = format;
    field.value = {stream(made.unit.direction).size() + made.wire.size(), static_cast<uint32_t>(value.size())};
    made.wire += value;
    made.fields.push_back(field);
  }
  void values(Made& made, const std::vector<std::string>& cells, ValueFormat format) {
    for (const std::string& cell : cells) {
      made.wire += size_of(cell.size());
      add_field(made, cell, format);
    }
  }
  Unit& finish(Made& made) {
    std::string& all = streams_[index_of(made.unit.direction)];
    made.unit.wire = {all.size(), static_cast<uint32_t>(made.wire.size())};
    made.unit.text = as_bytes(made.text);
    made.unit.field_count = static_cast<uint32_t>(made.fields.size());
    all += made.wire;
    return made.unit;
  }
  const Made& made_of(const Unit& unit) const { return made_[index_of(unit.direction)][unit.id - 1]; }

  std::array<std::deque<Made>, 2> made_;
  std::array<std::string, 2> streams_;
};

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
    if (is_pending) return {FactsAnswer::State::kPending, nullptr};
    if (refuses) return {FactsAnswer::State::kRefused, nullptr};
    const auto found = by_text.find(as_text(query.text));
    return {FactsAnswer::State::kReady, found == by_text.end() ? empty : found->second};
  }
  std::span<const uint64_t> collect() override { return {}; }

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
  std::string last_search_path;
};

class FakeCatalogue final : public Catalogue {
 public:
  FakeCatalogue() {
    relations.push_back({"public", "people", 20001, false, {{"id", 23, 1}, {"email", 25, 2}, {"card", 25, 3}, {"name", 25, 4}}, ""});
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
  MaskResult mask_part(const MaskSpec& spec, const MaskSubject&, std::size_t begin, std::size_t end, Arena& arena) const override {
    if (refuses) return {};
    const MutableBytes out = arena.allocate(end - begin, 1);
    for (std::byte& byte : out) byte = std::byte{spec.as == MaskSpec::As::kHash ? static_cast<unsigned char>('H') : static_cast<unsigned char>('*')};
    return out.empty() ? MaskResult{} : MaskResult{MaskResult::Kind::kReplace, begin, end, out};
  }
  bool is_escaped(Bytes value, ValueFormat format) const override { return format == ValueFormat::kCopyText && as_text(value).find('\\') != std::string_view::npos; }
  Bytes unescape(Bytes value, ValueFormat, Arena& arena) const override {
    const MutableBytes out = arena.allocate(value.size(), 1);
    std::size_t size = 0;
    for (const std::byte byte : value) {
      if (byte != std::byte{'\\'} && !out.empty()) out[size++] = byte;
    }
    return out.first(size);
  }
  Bytes escape(Bytes meaning, ValueFormat, Arena& arena) const override { return arena.keep(meaning); }
  bool is_masked(std::string_view literal) const override { return literal.size() >= 4 && literal.find_first_not_of('*') == std::string_view::npos; }
  std::string_view digest(Bytes, Arena& arena) const override { return arena.keep(std::string_view("hmac-sha256:0")); }
  bool has_key() const override { return keyed; }
  const DataValidator* validator(std::string_view name) const override { return name == "none" || name == "luhn" ? &accepting : nullptr; }

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
    state = policy->open(session());
  }
  SessionFacts session() const { return {7, identity, "orders-db", "postgres", request_id}; }
  DecideContext context() { return {session_facts = session(), *state, source, has_catalogue ? &catalogue : nullptr, arena, wall, scratch.get()}; }
  Verdict judge(const Unit& unit) {
    if (!policy) open();
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
    return std::string(as_text(policy->redact_field(made, codec, unit, codec.wire(unit), codec.field(unit, codec.wire(unit), index))));
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
  std::chrono::sys_time<std::chrono::nanoseconds> wall{std::chrono::sys_days(std::chrono::year(2026) / 3 / 2) + std::chrono::hours(10)};  // A Monday.
};

}  // namespace weir::decide
