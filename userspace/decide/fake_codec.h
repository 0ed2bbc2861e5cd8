// A codec for the tests of this folder: it parses nothing and holds units made by hand, in PostgreSQL's framing.
#pragma once
#include <array>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "base/check.h"
#include "core/module.h"

namespace weir::decide {

// The values of a row, or the strings of an error, at their places in the wire bytes.
class FakeCodec final : public Codec {
 public:
  struct Made {
    Unit unit;
    std::string wire, text;
    std::vector<Field> fields;
  };

  Unit& query(std::string text, std::string_view verb = "query") {
    Made& made = begin(Direction::kToTarget, UnitKind::kCommand, verb);
    made.text = text;
    made.wire = std::string("Q") + size_of(text.size() + 5) + text + '\0';
    made.unit.only_prepares = verb == "parse";
    return finish(made);
  }
  // Parameters in text format.
  Unit& bind(uint64_t statement, const std::vector<std::string>& parameters) {
    Made& made = begin(Direction::kToTarget, UnitKind::kCommand, "bind");
    made.wire = "B" + size_of(0) + std::string(2, '\0');
    made.unit.meanings = {statement, 0};
    made.unit.only_prepares = true;
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
  // A line of COPY whose cells cannot be told apart.
  Unit& copy_line(uint64_t in_reply_to, const std::string& line) {
    Unit& made = copy_row(in_reply_to, {line});
    made_[index_of(Direction::kToClient)].back().fields[0].column = kColumnUnknown;
    return made;
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
  [[nodiscard]] Bytes wire(const Unit& unit) const {
    return as_bytes(stream(unit.direction)).subspan(unit.wire.offset, unit.wire.size);
  }
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

}  // namespace weir::decide
