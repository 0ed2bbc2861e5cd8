// Hyperscan behind our own names: many patterns in one block-mode database, hits with their ends, memory made beforehand.
// No start-of-match flag here (DESIGN 7: 0.4 GB/s with, 5.4 without): who needs a start asks a PatternFinder about the few
// bytes before one hit.  Must never: allocate while it scans, once HitList has grown to what the traffic needs.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "core/policy.h"

struct hs_database;
struct hs_scratch;

namespace weir::decide {

struct PatternHit {
  uint32_t pattern = 0;
  uint32_t end = 0;  // Offset in the scanned bytes, one past the match.  Hits come in order of `end`.
};
struct Expression {
  std::string regex;
  uint32_t id = 0;
  bool ignore_case = false;
};

// What Hyperscan says of one expression before it joins a database.
struct ExpressionWidth {
  uint32_t minimum = 0;
  std::optional<uint32_t> maximum;  // Nothing: unbounded.
};
Result<ExpressionWidth> expression_width(const std::string& regex);

// Scratch of one core for one snapshot, and of the hits of one scan.
class Scratch final : public ScanScratch {
 public:
  Scratch() = default;
  ~Scratch() override;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  static constexpr std::size_t kHitsMax = 1u << 18;     // Hit: that chunk is refused, "too-large".
  static constexpr std::size_t kWorkSize = 128u << 10;  // Peeled and unescaped bytes of one unit.

  uint64_t generation = 0;  // Of the snapshot that it was made for.
  hs_scratch* native = nullptr;
  std::vector<PatternHit> hits;
  std::vector<PatternHit> inner_hits;  // Of bytes that came out of the first ones (peeled, unescaped).
  struct Run {
    std::size_t begin = 0, end = 0;
    uint32_t rule = 0;
    bool in_full = false;
  };
  std::vector<Run> runs;         // Of one field.
  std::vector<FieldEdit> edits;  // Of one unit.
  Arena work{kWorkSize};
};

class PatternDatabase {
 public:
  PatternDatabase() = default;
  ~PatternDatabase();
  PatternDatabase(PatternDatabase&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  PatternDatabase& operator=(PatternDatabase&& other) noexcept;

  // Post: on failure `failed_index` is the expression that was at fault, or expressions.size().
  static Result<PatternDatabase> compile(std::span<const Expression> expressions, bool with_starts, std::size_t& failed_index);
  [[nodiscard]] bool is_empty() const { return database_ == nullptr; }
  // Makes `scratch` fit this database too.  False: out of memory.
  [[nodiscard]] bool fit(Scratch& scratch) const;
  // Appends to `hits`.  False: more than Scratch::kHitsMax.
  [[nodiscard]] bool scan(Bytes bytes, Scratch& scratch, std::vector<PatternHit>& hits) const;
  // Pre: compiled with starts.  The leftmost start of a match that ends at the end of `bytes`.
  [[nodiscard]] std::optional<std::size_t> start_of_match_at_end(Bytes bytes, Scratch& scratch) const;

 private:
  hs_database* database_ = nullptr;
};

}  // namespace weir::decide
