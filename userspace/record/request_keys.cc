#include "record/request_keys.h"

#include <algorithm>

#include "base/bytes.h"
#include "record/keys.h"

namespace weir::record {
namespace {

constexpr std::size_t kTraceparentSize = 55, kTraceIdAt = 3, kTraceIdSize = 32;

bool is_traceparent(std::string_view id) {
  return id.size() == kTraceparentSize && id[2] == '-' && id[35] == '-' && id[52] == '-' && id.find_first_not_of("0123456789abcdef-") == std::string_view::npos;
}

}  // namespace

std::vector<std::string_view> request_keys(std::string_view id) {
  std::vector<std::string_view> keys;
  if (id.empty()) return keys;
  keys.push_back(id);
  if (is_traceparent(id)) {
    keys.push_back(id.substr(kTraceIdAt, kTraceIdSize));
    return keys;
  }
  // key='value',key='value'; a quote in a value stands behind a backslash.
  std::string_view rest = id;
  while (keys.size() <= RequestSet::kPairsMax) {
    const std::size_t begin = rest.find("='");
    if (begin == 0 || begin == std::string_view::npos) break;
    std::size_t end = begin + 2;
    while (end < rest.size() && rest[end] != '\'') end += rest[end] == '\\' ? 2 : 1;
    if (end >= rest.size()) break;
    if (end + 1 < id.size()) keys.push_back(rest.substr(0, end + 1));
    rest.remove_prefix(end + 1);
    if (!rest.starts_with(',')) break;
    rest.remove_prefix(1);
  }
  return keys;
}

bool matches_request(std::string_view id, std::string_view wanted) {
  const std::vector<std::string_view> keys = request_keys(id);
  return std::find(keys.begin(), keys.end(), wanted) != keys.end();
}

uint64_t request_hash(std::string_view key) {
  const Digest digest = sha256(as_bytes(key));
  return load_be<uint64_t>(digest, 0);
}

void RequestSet::add(std::string_view id) {
  if (is_cut_ || id.empty() || id == last_) return;
  last_ = id;
  for (const std::string_view key : request_keys(id)) add_hash(request_hash(key));
}

void RequestSet::add_hash(uint64_t hash) {
  const auto place = std::lower_bound(hashes_.begin(), hashes_.end(), hash);
  if (is_cut_ || (place != hashes_.end() && *place == hash)) return;
  if (hashes_.size() == kHashesMax) return cut();
  hashes_.insert(place, hash);
}

void RequestSet::cut() {
  is_cut_ = true;
  hashes_.clear();
}

void RequestSet::merge(const RequestSet& other) {
  if (other.is_cut_) return cut();
  for (const uint64_t hash : other.hashes_) add_hash(hash);
}

bool RequestSet::may_have(uint64_t hash) const { return is_cut_ || std::binary_search(hashes_.begin(), hashes_.end(), hash); }

}  // namespace weir::record
