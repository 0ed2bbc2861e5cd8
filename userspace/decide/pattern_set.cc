#include "decide/pattern_set.h"

#include <hs/hs.h>

#include <limits>

#include "base/check.h"

namespace weir::decide {
namespace {

struct Collector {
  std::vector<PatternHit>* hits;
};
int collect(unsigned id, unsigned long long, unsigned long long to, unsigned, void* context) {
  auto& hits = *static_cast<Collector*>(context)->hits;
  if (hits.size() >= Scratch::kHitsMax) return 1;  // Ends the scan.
  hits.push_back({id, static_cast<uint32_t>(to)});
  return 0;
}

struct StartFinder {
  unsigned long long wanted_end;
  std::optional<std::size_t> start;
};
int find_start(unsigned, unsigned long long from, unsigned long long to, unsigned, void* context) {
  auto& finder = *static_cast<StartFinder*>(context);
  if (to == finder.wanted_end && (!finder.start || from < *finder.start)) finder.start = static_cast<std::size_t>(from);
  return 0;
}

}  // namespace

Result<ExpressionWidth> expression_width(const std::string& regex) {
  hs_expr_info_t* info = nullptr;
  hs_compile_error_t* error = nullptr;
  if (hs_expression_info(regex.c_str(), HS_FLAG_DOTALL, &info, &error) != HS_SUCCESS) {
    std::string message = error != nullptr ? error->message : "the pattern cannot be read";
    hs_free_compile_error(error);
    return fail(Error::Kind::kInvalid, std::move(message));
  }
  ExpressionWidth width;
  width.minimum = info->min_width;
  if (info->max_width != std::numeric_limits<unsigned>::max()) width.maximum = info->max_width;
  std::free(info);  // Hyperscan's default allocator.
  return width;
}

Scratch::~Scratch() { hs_free_scratch(native); }

PatternDatabase::~PatternDatabase() { hs_free_database(database_); }
PatternDatabase& PatternDatabase::operator=(PatternDatabase&& other) noexcept {
  if (this != &other) {
    hs_free_database(database_);
    database_ = std::exchange(other.database_, nullptr);
  }
  return *this;
}

Result<PatternDatabase> PatternDatabase::compile(std::span<const Expression> expressions, bool with_starts,
                                                 std::size_t& failed_index) {
  PatternDatabase made;
  failed_index = expressions.size();
  if (expressions.empty()) return made;
  std::vector<const char*> texts;
  std::vector<unsigned> flags, ids;
  for (const Expression& expression : expressions) {
    texts.push_back(expression.regex.c_str());
    flags.push_back(HS_FLAG_DOTALL | (expression.ignore_case ? HS_FLAG_CASELESS : 0u) |
                    (with_starts ? HS_FLAG_SOM_LEFTMOST : 0u));
    ids.push_back(expression.id);
  }
  hs_compile_error_t* error = nullptr;
  const hs_error_t status = hs_compile_multi(texts.data(), flags.data(), ids.data(), static_cast<unsigned>(texts.size()),
                                             HS_MODE_BLOCK, nullptr, &made.database_, &error);
  if (status != HS_SUCCESS) {
    std::string message = error != nullptr ? error->message : "the patterns cannot be compiled";
    if (error != nullptr && error->expression >= 0) failed_index = static_cast<std::size_t>(error->expression);
    hs_free_compile_error(error);
    return fail(Error::Kind::kInvalid, std::move(message));
  }
  return made;
}

bool PatternDatabase::fit(Scratch& scratch) const {
  return database_ == nullptr || hs_alloc_scratch(database_, &scratch.native) == HS_SUCCESS;
}

bool PatternDatabase::scan(Bytes bytes, Scratch& scratch, std::vector<PatternHit>& hits) const {
  if (database_ == nullptr || bytes.empty()) return true;
  if (bytes.size() > std::numeric_limits<unsigned>::max()) return false;
  Collector collector{&hits};
  const hs_error_t status =
      hs_scan(database_, as_text(bytes).data(), static_cast<unsigned>(bytes.size()), 0, scratch.native, collect, &collector);
  WEIR_CHECK(status == HS_SUCCESS || status == HS_SCAN_TERMINATED);
  return status == HS_SUCCESS;
}

std::optional<std::size_t> PatternDatabase::start_of_match_at_end(Bytes bytes, Scratch& scratch) const {
  WEIR_CHECK(database_ != nullptr);
  StartFinder finder{bytes.size(), std::nullopt};
  const hs_error_t status =
      hs_scan(database_, as_text(bytes).data(), static_cast<unsigned>(bytes.size()), 0, scratch.native, find_start, &finder);
  WEIR_CHECK(status == HS_SUCCESS);
  return finder.start;
}

}  // namespace weir::decide
