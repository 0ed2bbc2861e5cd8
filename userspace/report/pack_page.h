// The report as one HTML page without scripts: a reader needs a browser and nothing else.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "report/evidence_pack.h"

namespace weir::report {

struct PageDay { std::string day; uint64_t sessions = 0, refused = 0, dropped = 0, heartbeats = 0, commands = 0, passed = 0, held = 0, masked = 0; };
struct PageClock { uint64_t heartbeats = 0, unsure = 0, error_max_us = 0; int64_t offset_worst_us = 0; };   // As heartbeats of the period told it.

struct PageData {
  const Scope& scope;
  const VerifierResult& verifier;
  PackSummary summary{};
  std::string grants_from;                      // What the grants are those of.
  std::vector<const PackTable*> tables;         // In the order of pack_tables(), closed.
  std::vector<PageDay> days;
  std::map<std::string, uint64_t> drops;        // By reason, over the period.
  PageClock clock;
  std::string pdf;                              // Where it is as PDF, or why it is not.
};

std::string page_html(const PageData&);
// Text for HTML: what the record holds came from clients.
std::string html_escaped(std::string_view text);

}  // namespace weir::report
