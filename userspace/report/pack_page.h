// The report as one HTML page without scripts: a reader needs a browser and nothing else.
#pragma once
#include <string>
#include <vector>

#include "report/evidence_pack.h"

namespace weir::report {

struct PageDay { std::string day; uint64_t sessions = 0, refused = 0, dropped = 0, heartbeats = 0; };

struct PageData {
  const Scope& scope;
  const VerifierResult& verifier;
  PackSummary summary{};
  std::vector<const PackTable*> tables;         // In the order of pack_tables(), closed.
  std::vector<PageDay> days;
};

std::string page_html(const PageData&);
// Text for HTML: what the record holds came from clients.
std::string html_escaped(std::string_view text);

}  // namespace weir::report
