#include "tests/fuzz/fuzz_codec.h"

#include "parse/registry.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/playbook/harness.h"

namespace weir::fuzz {
namespace {

enum class Mood : uint8_t { kAllow, kBlock, kMask, kMixed };

class FickleJudge {
 public:
  explicit FickleJudge(const Mood& mood) : mood_(mood) {}
  Verdict operator()(const testing::Harness& harness, const Unit& unit, Bytes wire) {
    Verdict verdict;
    verdict.action = Verdict::Action::kAllow;
    if (unit.kind == UnitKind::kHandshake) return verdict;
    const bool odd = (unit.id & 1) != 0;
    if (mood_ == Mood::kBlock || (mood_ == Mood::kMixed && odd)) {
      verdict.action = unit.id % 13 == 0 ? Verdict::Action::kTerminate : Verdict::Action::kBlock;
      verdict.grammar_error = unit.id % 5 == 0;
      verdict.reason = "fuzz";
      return verdict;
    }
    if (mood_ == Mood::kAllow || unit.field_count == 0) return verdict;
    edits_.emplace_back();
    collect(harness, unit, wire, edits_.back());
    verdict.action = Verdict::Action::kMask;
    verdict.edits = edits_.back();
    return verdict;
  }

 private:
  static void collect(const testing::Harness& harness, const Unit& unit, Bytes wire, std::vector<FieldEdit>& edits) {
    struct Walk final : Codec::FieldVisitor {
      std::vector<FieldEdit>& edits;
      explicit Walk(std::vector<FieldEdit>& e) : edits(e) {}
      bool visit(uint32_t index, const Field& field) override {
        if (field.is_null || edits.size() > 200) return true;
        if (!field.is_resizable) edits.push_back({index, {field.value.offset, field.value.size > 0 ? 1U : 0U}, as_bytes(field.value.size > 0 ? "#" : ""), false});
        else if (index % 3 == 0) edits.push_back({index, field.value, {}, true});
        else edits.push_back({index, field.value, as_bytes("masked"), false});
        return true;
      }
    } walk(edits);
    harness.codec().fields(unit, wire, walk);
  }
  const Mood& mood_;
  std::vector<std::vector<FieldEdit>> edits_;
};

TargetFacts target_facts(uint8_t settings) {
  TargetFacts target;
  target.name = "fuzz";
  target.inject = (settings & 1) != 0;
  target.tls_to_target = (settings & 2) != 0;
  target.tls_to_client = (settings & 4) != 0 ? LegTls::kNone : LegTls::kOffer;
  target.client_binding_is_own_pair = (settings & 8) != 0;
  target.logins.push_back({"alice", "app", "target-password-fake", "client-password-fake"});
  return target;
}

void send_signal(testing::Harness& harness, uint8_t which) {
  constexpr std::array kKinds = {Signal::Kind::kTargetConnected, Signal::Kind::kRefuse, Signal::Kind::kShutdown, Signal::Kind::kHoldBegan,
                                 Signal::Kind::kClientCancel, Signal::Kind::kTargetUnreachable, Signal::Kind::kHoldTick, Signal::Kind::kHoldEnded};
  harness.signal({kKinds[which % kKinds.size()], Side::kClient, which, 0, "a signal", {}});
}

// What must hold of anything that comes out.
void check(const testing::Harness& harness) {
  if (!harness.breach().empty()) finding(harness.breach());
  for (const testing::SettledUnit& unit : harness.units()) {
    if (unit.verb.find('(') != std::string::npos) finding("fields do not fit the unit: " + unit.verb);
  }
}

}  // namespace

void fuzz_codec(const ProtocolModule& module, Bytes input) {
  ByteReader reader(input);
  const uint8_t settings = reader.u8();
  Limits limits;
  limits.unit_size_max = (settings & 16) != 0 ? 64 : 4096;
  limits.statement_size_max = limits.unit_size_max;
  limits.units_per_step_max = (settings & 32) != 0 ? 1 : 64;
  limits.session_arena_size = (settings & 64) != 0 ? 256 : 65536;
  limits.prepared_per_session_max = 3;
  Mood mood = Mood::kAllow;
  testing::Harness harness(module, target_facts(settings), limits, FickleJudge(mood));
  // A login of the gateway's own is preceded by one of three proofs of who the client is.
  if ((settings & 9) == 9) harness.set_proof((settings & 4) != 0 ? ClientProof::kDone : ClientProof::kToken);
  if ((settings & 128) == 0) harness.connect_target();
  while (!reader.at_end() && harness.breach().empty()) {
    const uint8_t head = reader.u8();
    const Side side = (head & 1) != 0 ? Side::kTarget : Side::kClient;
    mood = static_cast<Mood>(head >> 1 & 3);
    if ((head & 8) != 0) {
      send_signal(harness, head >> 4);
    } else if ((head & 16) != 0) {
      harness.finish(side);
    } else {
      const std::size_t size = std::min<std::size_t>(reader.u16be(), reader.remaining());
      harness.feed(side, as_text(reader.take(size)));
    }
  }
  check(harness);
}

#define WEIR_PROTOCOL(name)                                                        \
  void fuzz_codec_##name(Bytes input) { fuzz_codec(*find_protocol(#name), input); }
#include "parse/registry.def"
#undef WEIR_PROTOCOL

}  // namespace weir::fuzz
