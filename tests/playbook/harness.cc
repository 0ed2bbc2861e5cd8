#include "tests/playbook/harness.h"

#include <algorithm>
#include <utility>

namespace weir::testing {
namespace {

class Collector final : public UnitSink {
 public:
  Collector(std::vector<Unit>& units, std::size_t max) : units_(units), max_(max) {}
  bool add(const Unit& unit) override {
    if (units_.size() >= max_) return false;
    units_.push_back(unit);
    return true;
  }

 private:
  std::vector<Unit>& units_;
  std::size_t max_;
};

constexpr bool may_join(UnitKind kind) { return kind == UnitKind::kRows || kind == UnitKind::kData || kind == UnitKind::kOpaque; }

}  // namespace

// Takes edits and checks that they cover the unit once and in order.
class Harness::Box final : public Outbox {
 public:
  Box(Harness& harness, Direction direction, ByteRange unit) : harness_(harness), direction_(direction), at_(unit.offset), end_(unit.end()) {}
  void pass(ByteRange range) override {
    cover(range);
    const Stream& s = harness_.streams_[index_of(direction_)];
    const std::string_view bytes = std::string_view(s.bytes).substr(range.offset - s.start, range.size);
    out() += bytes;
    passed += bytes;
  }
  void replace(ByteRange range, Bytes with) override { cover(range); out() += as_text(with); }
  void drop(ByteRange range) override { cover(range); }
  void inject(Side side, Bytes bytes) override {
    harness_.sent_[index_of(side)] += as_text(bytes);
    harness_.injected_[index_of(side)] += bytes.size();
  }
  void check_covered() {
    if (at_ != end_) harness_.break_rule("a settled unit is not covered to its end");
  }
  [[nodiscard]] bool is_touched() const { return is_touched_; }
  std::string passed;

 private:
  void cover(ByteRange range) {
    if (range.offset != at_ || range.end() > end_) harness_.break_rule("an edit is out of order or out of its unit");
    at_ = range.end();
    is_touched_ = true;
  }
  std::string& out() { return harness_.sent_[index_of(sink_of(direction_))]; }
  Harness& harness_;
  Direction direction_;
  uint64_t at_, end_;
  bool is_touched_ = false;
};

Harness::Harness(const ProtocolModule& module, TargetFacts target, Limits limits, Judge judge)
    : target_(std::move(target)), limits_(limits), judge_(std::move(judge)), arena_(limits.session_arena_size),
      environment_{arena_, target_, *this, random_, limits_}, codec_(module.make_codec(environment_)) {}

Harness::~Harness() = default;

void Harness::break_rule(std::string what) {
  if (breach_.empty()) breach_ = std::move(what);
}

void Harness::signal(const Signal& signal) {
  Box box(*this, Direction::kToTarget, {});
  codec_->signal(signal, box);
  pump();
}

void Harness::connect_target() { signal({Signal::Kind::kTargetConnected, Side::kTarget, 0, 0, {}, {}}); }

void Harness::feed(Side side, std::string_view bytes) {
  Stream& s = streams_[side == Side::kClient ? 0 : 1];
  s.bytes += bytes;
  pump();
}

void Harness::finish(Side side) {
  streams_[side == Side::kClient ? 0 : 1].is_eof = true;
  pump();
}

void Harness::pump() {
  // Bounded: every round that moves consumes or settles something.
  for (int round = 0; round < 1'000'000; ++round) {
    bool moved = advance(Direction::kToTarget);
    moved = advance(Direction::kToClient) || moved;
    if (!moved) return;
  }
  break_rule("no end of progress");
}

bool Harness::advance(Direction direction) {
  Stream& s = streams_[index_of(direction)];
  bool moved = false;
  if (s.next < s.units.size()) {
    moved = settle(direction);
    if (s.next < s.units.size()) return moved;
  }
  if (streams_[0].units.empty() && streams_[1].units.empty()) arena_.reset();
  if (codec_->wants_close() || s.is_finished) return moved;
  if (s.is_fenced) {
    if (!codec_->resume(direction)) return moved;
    s.is_fenced = false;
  }
  if (s.is_upgrading) return moved;
  return parse(direction) || moved;
}

bool Harness::parse(Direction direction) {
  Stream& s = streams_[index_of(direction)];
  const std::size_t before = static_cast<std::size_t>(s.parsed - s.start);
  const Bytes chunk = as_bytes(s.bytes).subspan(before);
  if (chunk.empty() && !s.is_eof) return false;
  std::vector<Unit> units;
  Collector sink(units, limits_.units_per_step_max);
  Step step = chunk.empty() ? Step{} : codec_->parse(0, direction, s.parsed, chunk, sink);
  if (step.consumed == 0 && units.empty() && s.is_eof && step.outcome == Outcome::kNeedBytes) {
    s.is_finished = true;
    step = codec_->finish(0, direction, s.parsed, chunk, sink);
  }
  uint64_t at = s.parsed;
  for (const Unit& unit : units) {
    if (unit.wire.offset != at || unit.wire.size == 0 || unit.id != s.next_unit++ || unit.direction != direction) {
      break_rule("units do not tile what was consumed");
    }
    at = unit.wire.end();
    s.units.push_back({unit, {}, false});
  }
  if (at != s.parsed + step.consumed || step.consumed > chunk.size()) break_rule("consumed is not what the units cover");
  s.parsed += step.consumed;
  s.is_fenced = step.outcome == Outcome::kFence;
  if (step.outcome == Outcome::kUpgrade) {
    s.is_upgrading = true;
    s.upgrading = step.upgraded;
  }
  const bool moved = step.consumed > 0;
  settle(direction);
  if (step.outcome == Outcome::kMalformed) {
    violation_ = step.why != nullptr ? step.why : "?";
    Box box(*this, Direction::kToTarget, {});
    codec_->signal({Signal::Kind::kRefuse, Side::kClient, 0, 0, violation_, "08P01"}, box);
    return true;
  }
  return moved || step.outcome == Outcome::kUnitsFull;
}

bool Harness::settle(Direction direction) {
  Stream& s = streams_[index_of(direction)];
  bool moved = false;
  while (s.next < s.units.size()) {
    Pending& pending = s.units[s.next];
    const Unit& unit = pending.unit;
    const Bytes wire = as_bytes(s.bytes).subspan(static_cast<std::size_t>(unit.wire.offset - s.start), unit.wire.size);
    if (!pending.is_judged) pending.verdict = judge_(*this, unit, wire);
    pending.is_judged = true;
    SettledUnit settled;
    note(unit, wire, pending.verdict, settled);
    Box box(*this, direction, unit.wire);
    const Settlement settlement = codec_->settle(unit, wire, pending.verdict, box);
    if (!settlement.done) {
      if (box.is_touched() || direction == Direction::kToClient) break_rule("an unfinished settlement touched its unit");
      return moved;
    }
    box.check_covered();
    settled.fate = settlement.fate;
    settled.passed = box.passed;
    if (direction == Direction::kToTarget && !settled.was_allowed && unit.part == Part::kWhole && !box.passed.empty()) {
      break_rule("a refused unit contributed bytes");  // I2
    }
    units_.push_back(std::move(settled));
    if (direction == Direction::kToTarget && !codec_->stand_in().empty()) stand_ins_.emplace_back(codec_->stand_in());
    ++s.next;
    moved = true;
  }
  s.units.clear();
  s.next = 0;
  const std::size_t done = static_cast<std::size_t>(s.parsed - s.start);
  s.bytes.erase(0, done);
  s.start = s.parsed;
  if (s.is_upgrading) finish_upgrade(s);
  return moved;
}

void Harness::finish_upgrade(Stream& s) {
  if (!s.bytes.empty() && violation_ == nullptr) {
    violation_ = "bytes were sent before the answer to the request for TLS";
    Box box(*this, Direction::kToTarget, {});
    codec_->signal({Signal::Kind::kRefuse, Side::kClient, 0, 0, violation_, "08P01"}, box);
    return;
  }
  s.is_upgrading = false;
  is_tls_[index_of(s.upgrading)] = true;
  if (s.upgrading == Side::kTarget) peer_hash_.assign(32, std::byte{0x5a});
  Box box(*this, Direction::kToTarget, {});
  codec_->signal({Signal::Kind::kSideReady, s.upgrading, 0, 0, {}, {}}, box);
}

void Harness::note(const Unit& unit, Bytes wire, const Verdict& verdict, SettledUnit& settled) const {
  settled.ref = unit;
  settled.verb = unit.verb;
  settled.text = as_text(unit.text);
  settled.field_count = unit.field_count;
  settled.row_count = unit.row_count;
  settled.meanings = unit.direction == Direction::kToClient ? codec_->reply_meanings(unit) : unit.meanings;
  settled.was_allowed = verdict.observed || passes(verdict.action);
  const ResultFacts result = codec_->result(unit);
  settled.tag = result.tag;
  settled.sqlstate = result.sqlstate;
  settled.rows = result.rows;
  struct Reader final : Codec::FieldVisitor {
    const Unit& unit;
    Bytes wire;
    SettledUnit& out;
    Reader(const Unit& u, Bytes w, SettledUnit& s) : unit(u), wire(w), out(s) {}
    bool visit(uint32_t index, const Field& field) override {
      if (index != out.fields.size()) out.verb += " (fields out of order)";
      std::string text = (field.column == kColumnUnknown ? "?" : std::to_string(field.column)) + "=";
      if (field.is_null) text += "null";
      else if (field.value.offset < unit.wire.offset || field.value.end() > unit.wire.end()) text += "(outside the unit)";
      else text += as_text(wire.subspan(static_cast<std::size_t>(field.value.offset - unit.wire.offset), field.value.size));
      out.fields.push_back(std::move(text));
      return true;
    }
  } reader(unit, wire, settled);
  codec_->fields(unit, wire, reader);
  if (settled.fields.size() != unit.field_count) settled.verb += " (" + std::to_string(settled.fields.size()) + " fields)";
}

std::string Harness::take_sent(Side side) { return std::exchange(sent_[index_of(side)], {}); }

namespace {
bool was_passed(const SettledUnit& unit) { return unit.fate == Fate::kPassed || unit.fate == Fate::kEdited; }
}  // namespace

std::vector<SettledUnit> Harness::joined_units() const {
  std::vector<SettledUnit> joined;
  std::array<std::ptrdiff_t, 2> last{-1, -1};  // Per direction: how the two interleave is not the codec's.
  for (const SettledUnit& unit : units_) {
    std::ptrdiff_t& at = last[index_of(unit.ref.direction)];
    SettledUnit* before = at < 0 ? nullptr : &joined[static_cast<std::size_t>(at)];
    if (before != nullptr && may_join(unit.ref.kind) && before->ref.kind == unit.ref.kind && before->verb == unit.verb &&
        before->ref.in_reply_to == unit.ref.in_reply_to && (before->fate == unit.fate || (was_passed(*before) && was_passed(unit)))) {
      if (unit.fate == Fate::kEdited) before->fate = Fate::kEdited;  // One edited row makes a run of rows edited, wherever it was cut.
      before->ref.wire.size += unit.ref.wire.size;
      before->row_count += unit.row_count;
      before->passed += unit.passed;
      continue;
    }
    at = static_cast<std::ptrdiff_t>(joined.size());
    joined.push_back(unit);
  }
  return joined;
}

}  // namespace weir::testing
