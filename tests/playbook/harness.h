// A session in miniature around one codec: two byte streams, units judged by a function, settled in order, outputs kept.
// It checks on every step what a codec must never break (tiling, order, coverage) and reports a breach as text.
// Used by the playbook, the invariants and the fuzzers; the real session is session/.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/limits.h"
#include "core/module.h"

namespace weir::testing {

// What became of one unit; storable.
struct SettledUnit {
  UnitRef ref;
  std::string verb, text, tag, sqlstate;
  uint32_t field_count = 0, row_count = 0;
  uint64_t rows = 0;
  std::array<uint64_t, 2> meanings{};
  std::vector<std::string> fields;   // "column=value", "column=null".
  Fate fate = Fate::kPassed;
  bool was_allowed = true;
  std::string passed;                // Bytes of its own that were passed on.
};

class FixedRandom final : public RandomSource {
 public:
  explicit FixedRandom(uint8_t first = 0x11) : next_(first) {}
  void fill(MutableBytes bytes) override {
    for (std::byte& b : bytes) b = std::byte{next_};
  }

 private:
  uint8_t next_;
};

class Harness final : private SideFacts {
 public:
  // The verdict of a unit.  Strings in it must outlive the harness.
  using Judge = std::function<Verdict(const Harness&, const Unit&, Bytes wire)>;

  Harness(const ProtocolModule&, TargetFacts, Limits, Judge);
  ~Harness() override;
  Harness(const Harness&) = delete;
  Harness& operator=(const Harness&) = delete;

  void set_proof(ClientProof proof) { proof_ = proof; }  // Before the first byte.
  void connect_target();
  void feed(Side, std::string_view bytes);  // In one read.
  void finish(Side);                         // That side closes.
  void signal(const Signal&);

  [[nodiscard]] std::string take_sent(Side side);  // What that side has received since the last call.
  [[nodiscard]] const std::string& sent(Side side) const { return sent_[index_of(side)]; }
  [[nodiscard]] const std::vector<SettledUnit>& units() const { return units_; }
  [[nodiscard]] std::vector<SettledUnit> joined_units() const;  // Neighbouring rows, data and opaque parts of one reply as one.
  [[nodiscard]] const std::vector<std::string>& stand_ins() const { return stand_ins_; }
  [[nodiscard]] const Codec& codec() const { return *codec_; }
  [[nodiscard]] bool is_fenced() const { return streams_[0].is_fenced; }
  [[nodiscard]] bool is_tls(Side side) const override { return is_tls_[index_of(side)]; }
  [[nodiscard]] ClientProof client_proof() const override { return proof_; }
  [[nodiscard]] const char* violation() const { return violation_; }
  [[nodiscard]] const std::string& breach() const { return breach_; }  // Empty: all invariants held.
  [[nodiscard]] uint64_t injected(Side side) const { return injected_[index_of(side)]; }

 private:
  class Box;
  struct Pending { Unit unit; Verdict verdict; bool is_judged = false; };
  struct Stream {
    std::string bytes;            // Unparsed and unsettled; `start` is its first byte's offset.
    uint64_t start = 0, parsed = 0;
    uint64_t next_unit = 1;
    std::vector<Pending> units;
    std::size_t next = 0;
    bool is_fenced = false, is_upgrading = false, is_eof = false, is_finished = false;
    Side upgrading = Side::kClient;
  };
  Bytes peer_certificate_hash(Side side) const override { return side == Side::kTarget ? Bytes(peer_hash_) : Bytes{}; }
  void pump();
  bool advance(Direction);
  bool parse(Direction);
  bool settle(Direction);
  void note(const Unit&, Bytes wire, const Verdict&, SettledUnit&) const;
  void finish_upgrade(Stream&);
  void break_rule(std::string what);

  TargetFacts target_;
  Limits limits_;
  Judge judge_;
  Arena arena_;
  FixedRandom random_;
  CodecEnvironment environment_;
  CodecPtr codec_;
  std::array<Stream, 2> streams_;
  std::array<std::string, 2> sent_;
  std::array<uint64_t, 2> injected_{};
  std::array<bool, 2> is_tls_{};
  ClientProof proof_ = ClientProof::kOwnLogin;
  std::vector<std::byte> peer_hash_;
  std::vector<SettledUnit> units_;
  std::vector<std::string> stand_ins_;
  const char* violation_ = nullptr;
  std::string breach_;
};

}  // namespace weir::testing
