#include "control/config_problem.h"

#include <algorithm>
#include <cctype>

namespace weir::control {
namespace {

constexpr std::size_t kWordMax = 128;  // Longer words are never a slip of the pen; the distance table stays small.

// Optimal string alignment distance over lower-cased words: three rows are enough.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = last[j - 1] + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, changed});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string text_of(const ConfigProblem& problem) {
  std::string text = problem.place.file;
  if (problem.place.line != 0) text += ":" + std::to_string(problem.place.line) + ":" + std::to_string(problem.place.column);
  text += problem.severity == ConfigProblem::Severity::kError ? ": error: " : ": warning: ";
  text += problem.message;
  if (!problem.hint.empty()) text += " (" + problem.hint + ")";
  return text;
}

bool has_errors(const std::vector<ConfigProblem>& problems) {
  return std::any_of(problems.begin(), problems.end(),
                     [](const ConfigProblem& p) { return p.severity == ConfigProblem::Severity::kError; });
}

void sort_by_place(std::vector<ConfigProblem>& problems) {
  std::vector<std::string> files;
  for (const ConfigProblem& problem : problems) {
    if (std::find(files.begin(), files.end(), problem.place.file) == files.end()) files.push_back(problem.place.file);
  }
  const auto rank = [&](const ConfigProblem& p) { return std::find(files.begin(), files.end(), p.place.file) - files.begin(); };
  std::stable_sort(problems.begin(), problems.end(), [&](const ConfigProblem& a, const ConfigProblem& b) {
    const auto a_rank = rank(a), b_rank = rank(b);
    if (a_rank != b_rank) return a_rank < b_rank;
    if (a.place.line != b.place.line) return a.place.line < b.place.line;
    return a.place.column < b.place.column;
  });
}

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  if (word.empty() || word.size() > kWordMax) return {};
  const std::size_t allowed = std::max<std::size_t>(1, word.size() / 3);
  std::size_t best = allowed + 1;
  std::string_view found;
  for (const std::string_view candidate : candidates) {
    if (candidate.size() > kWordMax) continue;
    const std::size_t d = distance(word, candidate);
    if (d < best) {
      best = d;
      found = candidate;
    }
  }
  return found;
}

}  // namespace weir::control
