#include "report/pack_page.h"

#include <algorithm>
#include <string_view>

#include "core/time_text.h"
#include "report/criteria.h"

namespace weir::report {
namespace {

constexpr std::string_view kStyle = R"(
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2733; max-width: 1200px; margin: 2em auto; padding: 0 1.5em; }
h1 { font-size: 1.6em; } h2 { margin-top: 2.2em; border-bottom: 2px solid #2b5c8a; padding-bottom: .2em; } h3 { margin-top: 1.6em; }
table { border-collapse: collapse; margin: .6em 0; font-size: .88em; display: block; overflow-x: auto; }
th, td { border: 1px solid #ccd5dd; padding: .25em .55em; text-align: left; vertical-align: top; overflow-wrap: anywhere; max-width: 34em; }
th { background: #eef3f7; } .query, .digest { color: #5a6773; font-size: .85em; } code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { background: #f5f7f9; padding: .8em; overflow-x: auto; } .bad { color: #a11d1d; font-weight: 600; } .good { color: #1b6b34; font-weight: 600; }
nav a { margin-right: 1em; } svg text { font: 11px system-ui, sans-serif; fill: #45515c; } @media print { nav { display: none; } h2 { break-before: auto; } table { display: table; } }
)";

std::string number(uint64_t value) { return std::to_string(value); }
std::string counted(uint64_t count, const char* noun) { return number(count) + " " + noun + (count == 1 ? "" : "s"); }

class Page {
 public:
  explicit Page(const PageData& data) : data_(data) {}
  std::string text();

 private:
  void out(std::string_view html) { html_ += html; }
  void paragraph(std::string_view words) { out("<p>" + html_escaped(words) + "</p>\n"); }
  void heading(const char* id, std::string_view words) { out("<h2 id=\"" + std::string(id) + "\">" + html_escaped(words) + "</h2>\n"); }
  [[nodiscard]] const PackTable* find(std::string_view name) const;
  void rows_of(std::string_view name);
  void pairs(const std::vector<std::pair<std::string, std::string>>& rows);
  void chart(const char* title, uint64_t PageDay::* value);
  void verdicts();
  void drops();
  void scope();
  void trust();
  void exceptions();
  void completeness();
  void criteria();
  void limits();
  void by_hand();

  const PageData& data_;
  std::string html_;
};

const PackTable* Page::find(std::string_view name) const {
  for (const PackTable* each : data_.tables) {
    if (each->info().name == name) return each;
  }
  return nullptr;
}

// A table's first rows, with what makes the whole of it a population: query, count, digest, file.
void Page::rows_of(std::string_view name) {
  const PackTable* found = find(name);
  if (found == nullptr) return;
  const TableInfo& info = found->info();
  out("<h3 id=\"table-" + info.name + "\">" + html_escaped(info.title) + "</h3>\n<p class=\"query\">Population: " + html_escaped(info.query) + ". <b>" + counted(found->rows(), "row") + "</b>: <a href=\"tables/" + info.name +
      ".csv\">CSV</a>, <a href=\"tables/" + info.name + ".jsonl\">JSON Lines</a>.</p>\n<p class=\"digest\">SHA-256 of the CSV: <code>" + found->csv_digest() + "</code></p>\n");
  if (found->rows() == 0) return;
  out("<table><tr>");
  for (const std::string& column : info.columns) out("<th>" + html_escaped(column) + "</th>");
  out("</tr>\n");
  for (const Cells& row : found->shown()) {
    out("<tr>");
    for (const std::string& cell : row) out("<td>" + html_escaped(cell) + "</td>");
    out("</tr>\n");
  }
  out("</table>\n");
  if (found->rows() > found->shown().size()) paragraph("The first " + number(found->shown().size()) + " of " + number(found->rows()) + " rows; the files have all.");
}

void Page::pairs(const std::vector<std::pair<std::string, std::string>>& rows) {
  out("<table>\n");
  for (const auto& [name, value] : rows) out("<tr><th>" + html_escaped(name) + "</th><td>" + html_escaped(value) + "</td></tr>\n");
  out("</table>\n");
}

// Bars, one a day.
void Page::chart(const char* title, uint64_t PageDay::* value) {
  constexpr unsigned kWidth = 1000, kHeight = 90;
  if (data_.days.empty()) return;
  uint64_t most = 0;
  for (const PageDay& day : data_.days) most = std::max(most, day.*value);
  const double step = static_cast<double>(kWidth) / static_cast<double>(data_.days.size());
  out("<svg viewBox=\"0 0 1000 120\" width=\"100%\" role=\"img\" aria-label=\"" + html_escaped(title) + "\"><text x=\"0\" y=\"12\">" + html_escaped(title) + ", at most " + number(most) + " a day</text>");
  for (std::size_t i = 0; i < data_.days.size(); ++i) {
    const uint64_t here = data_.days[i].*value;
    const auto height = most == 0 ? 0u : static_cast<unsigned>(here * kHeight / most);
    out("<rect x=\"" + number(static_cast<uint64_t>(static_cast<double>(i) * step)) + "\" y=\"" + number(20 + kHeight - height) + "\" width=\"" + number(std::max<uint64_t>(1, static_cast<uint64_t>(std::min(step * 0.8, 40.0)))) +
        "\" height=\"" + number(height) + "\" fill=\"#2b5c8a\"><title>" + html_escaped(data_.days[i].day) + ": " + number(here) + "</title></rect>");
  }
  out("<line x1=\"0\" y1=\"110\" x2=\"1000\" y2=\"110\" stroke=\"#8a97a3\"/></svg>\n<p class=\"query\">" + html_escaped(data_.days.front().day) + " to " + html_escaped(data_.days.back().day) + "; days of which the record says nothing are left out.</p>\n");
}

// One bar a day: what became of its commands, one above the other.
void Page::verdicts() {
  constexpr unsigned kHeight = 90;
  struct Part { const char* name; uint64_t PageDay::* value; const char* colour; };
  static constexpr Part kParts[] = {{"passed", &PageDay::passed, "#2b5c8a"}, {"held", &PageDay::held, "#c99a2e"}, {"refused", &PageDay::refused, "#a11d1d"}};
  if (data_.days.empty()) return;
  uint64_t most = 0;
  for (const PageDay& day : data_.days) most = std::max(most, day.passed + day.held + day.refused);
  const double step = 1000.0 / static_cast<double>(data_.days.size());
  out("<svg viewBox=\"0 0 1000 120\" width=\"100%\" role=\"img\" aria-label=\"Verdicts\"><text x=\"0\" y=\"12\">Verdicts on commands and logins</text>");
  unsigned legend = 260;
  for (const Part& part : kParts) {
    out("<rect x=\"" + number(legend) + "\" y=\"4\" width=\"9\" height=\"9\" fill=\"" + part.colour + "\"/><text x=\"" + number(legend + 13) + "\" y=\"12\">" + part.name + "</text>");
    legend += 80;
  }
  for (std::size_t i = 0; i < data_.days.size(); ++i) {
    uint64_t below = 0;
    for (const Part& part : kParts) {
      const uint64_t here = data_.days[i].*part.value;
      if (here == 0) continue;
      const uint64_t bottom = below * kHeight / most, top = (below + here) * kHeight / most;
      below += here;
      out("<rect x=\"" + number(static_cast<uint64_t>(static_cast<double>(i) * step)) + "\" y=\"" + number(110 - top) + "\" width=\"" + number(std::max<uint64_t>(1, static_cast<uint64_t>(std::min(step * 0.8, 40.0)))) + "\" height=\"" +
          number(std::max<uint64_t>(1, top - bottom)) + "\" fill=\"" + part.colour + "\"><title>" + html_escaped(data_.days[i].day) + ": " + number(here) + " " + part.name + "</title></rect>");
    }
  }
  out("<line x1=\"0\" y1=\"110\" x2=\"1000\" y2=\"110\" stroke=\"#8a97a3\"/></svg>\n");
}

// A line a reason, over the whole period.
void Page::drops() {
  uint64_t most = 0, lines = 0;
  for (const auto& [reason, count] : data_.drops) {
    most = std::max(most, count);
    lines += count == 0 ? 0 : 1;
  }
  if (lines == 0) return;
  out("<svg viewBox=\"0 0 1000 " + number(20 + 18 * lines) + "\" width=\"100%\" role=\"img\" aria-label=\"Drops by reason\"><text x=\"0\" y=\"12\">Packets dropped, by reason</text>");
  uint64_t y = 20;
  for (const auto& [reason, count] : data_.drops) {
    if (count == 0) continue;
    out("<text x=\"0\" y=\"" + number(y + 11) + "\">" + html_escaped(reason) + "</text><rect x=\"220\" y=\"" + number(y) + "\" width=\"" + number(std::max<uint64_t>(1, static_cast<uint64_t>(660.0 * static_cast<double>(count) / static_cast<double>(most)))) +
        "\" height=\"13\" fill=\"#2b5c8a\"/><text x=\"890\" y=\"" + number(y + 11) + "\">" + number(count) + "</text>");
    y += 18;
  }
  out("</svg>\n");
}

void Page::scope() {
  heading("scope", "Scope");
  const Scope& scope = data_.scope;
  pairs({{"Gateway", scope.gateway}, {"Period", "from " + utc_text(scope.from) + " until " + utc_text(scope.until) + ", not included; all times are UTC"}, {"Made", scope.made_at + " by " + scope.made_by},
         {"Command", scope.command}, {"Version", scope.version}, {"Criteria", "2017 Trust Services Criteria, in our words; the data is laid out by criterion, and what it shows is for the auditor to judge"}});
  const PageClock& clock = data_.clock;
  const std::string told = clock.heartbeats == 0 ? "no heartbeat of the period tells of it"
                                                 : "the host's, as its kernel says in each heartbeat: worst offset " + std::to_string(clock.offset_worst_us) + " us, largest error it allows for " + number(clock.error_max_us) + " us, not synchronised in " +
                                                       number(clock.unsure) + " of " + counted(clock.heartbeats, "heartbeat");
  pairs({{"Clock", told}, {"Grants", "those of " + data_.grants_from}});
  pairs({{"Sessions", number(data_.summary.sessions)}, {"Identities", number(data_.summary.identities)}, {"Commands", number(data_.summary.commands)}, {"Refused", number(data_.summary.refused)}, {"Exceptions", number(data_.summary.exceptions)}});
}

void Page::trust() {
  heading("trust", "How far this can be relied on");
  const VerifierResult& verifier = data_.verifier;
  out(verifier.is_verified ? "<p class=\"good\">The record that this was made from verifies: it is what was sealed.</p>\n"
                           : "<p class=\"bad\">The record that this was made from does not verify. Nothing below can be relied on before that is explained.</p>\n");
  pairs({{"Archives", number(verifier.archives)}, {"Sessions", number(verifier.sessions)}, {"Events", number(verifier.events)}, {"Live sessions, not sealed yet", number(verifier.live_sessions)}, {"Evidence log", verifier.origin},
         {"Its entries", number(verifier.log_entries)}, {"Its root", verifier.root}, {"Its key", verifier.vkey}});
  std::string shown;
  for (const std::string& each : verifier.protections) shown += (shown.empty() ? "" : ", ") + each;
  if (shown.empty()) {
    paragraph("Whoever holds the gateway's signing key and its disk could have rewritten all of it, or put an earlier state back. Nothing that was given when this was made would show it: no checkpoint of the log that was kept elsewhere, no "
              "witness, no time stamp. Keep proofs/checkpoint where the operator cannot change it: the next report is then checked against it.");
  } else {
    paragraph("A rewrite by whoever holds the signing key would be found by: " + shown + ".");
  }
}

void Page::exceptions() {
  heading("exceptions", "Exceptions first");
  paragraph("What needs an explanation by somebody, with the population that it was found in. A row says that something is so, not that it is wrong.");
  rows_of("exceptions");
  rows_of("findings");
}

void Page::completeness() {
  heading("completeness", "Completeness");
  chart("Sessions", &PageDay::sessions);
  chart("Commands", &PageDay::commands);
  verdicts();
  chart("Refused logins and commands", &PageDay::refused);
  chart("Packets dropped by the kernel side", &PageDay::dropped);
  drops();
  chart("Heartbeats", &PageDay::heartbeats);
  for (const char* name : {"coverage", "gaps", "runs", "proofs", "expired", "retention", "holds"}) rows_of(name);
  heading("identities", "By identity");
  for (const char* name : {"identities", "grants", "access", "reviews", "logins", "weak-identity"}) rows_of(name);
  heading("activity", "What was done");
  for (const char* name : {"sessions", "refusals", "approvals", "answers", "impersonation", "alerts", "dispositions", "masking", "plaintext"}) rows_of(name);
  heading("operation", "How the gateway was run");
  for (const char* name : {"bindings", "revocations", "changes", "views"}) rows_of(name);
}

void Page::criteria() {
  heading("criteria", "By criterion");
  for (const Criterion& each : soc2_criteria()) {
    out("<h3>" + std::string(each.id) + "</h3>\n");
    paragraph(each.asks);
    out("<table><tr><th>Data</th><th>Rows</th></tr>\n");
    for (const std::string_view name : each.tables) {
      if (const PackTable* found = find(name)) {
        out("<tr><td><a href=\"#table-" + found->info().name + "\">" + html_escaped(found->info().title) + "</a></td><td>" + number(found->rows()) + "</td></tr>\n");
      }
    }
    out("</table>\n<p><b>Does not prove:</b> " + html_escaped(each.not_proved) + "</p>\n");
  }
}

void Page::limits() {
  heading("limits", "Limits");
  paragraph("This speaks of what was routed through this gateway and nothing else, and of what was not destroyed by policy since (table Sessions destroyed by policy). Grants are those of " + data_.grants_from + "; what changed in them stands under Changes. Rows are what the gateway "
            "recorded: it does not see what happens inside a target after a command has reached it.");
  paragraph("Whoever runs the gateway must see to these; the record cannot:");
  out("<ul>\n");
  for (const std::string_view each : complementary_controls()) out("<li>" + html_escaped(each) + "</li>\n");
  out("</ul>\n");
}

void Page::by_hand() {
  heading("by-hand", "Check it by hand");
  paragraph("Nothing of the gateway is needed for these.");
  out("<pre>"
      "sha256sum -c SHA256SUMS                        # the pack is as it was made\n"
      "wc -l tables/sessions.jsonl                    # a population's size\n\n"
      "# the checkpoint is signed with the log's key, and states the size and root above\n"
      "sed '/^$/,$d' proofs/checkpoint &gt; text\n"
      "sed -n '/^$/,$p' proofs/checkpoint | awk 'NF==3 {print $3; exit}' | base64 -d | tail -c 64 &gt; signature\n"
      "openssl pkeyutl -verify -pubin -inkey proofs/signing.pub -rawin -in text -sigfile signature\n\n"
      "# a session's proof (C2SP tlog-proof, read by any tool for such logs), and the archive that it speaks of\n"
      "weir verify --proof proofs/session-N.tlog-proof --key proofs/signing.pub [ARCHIVE]\n\n"
      "# the whole record, made again from the gateway's folder or a copy of it\n"
      "weir verify FOLDER --key proofs/signing.pub --head proofs/checkpoint\n"
      "</pre>\n");
  paragraph("A cell of a CSV that a spreadsheet would take for a formula has an apostrophe before it; the JSON Lines have the text as it was.");
}

std::string Page::text() {
  out("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src 'none'\">"
      "<meta name=\"viewport\" content=\"width=device-width\"><title>Evidence: " + html_escaped(data_.scope.gateway) + "</title><style>");
  out(kStyle);
  out("</style></head><body>\n<h1>Evidence of the gateway " + html_escaped(data_.scope.gateway) + "</h1>\n<nav>");
  for (const auto& [id, words] : {std::pair{"scope", "Scope"}, {"trust", "Reliance"}, {"exceptions", "Exceptions"}, {"completeness", "Completeness"}, {"identities", "Identities"}, {"activity", "Activity"},
                                  {"operation", "Operation"}, {"criteria", "Criteria"}, {"limits", "Limits"}, {"by-hand", "By hand"}}) {
    out("<a href=\"#" + std::string(id) + "\">" + words + "</a>");
  }
  out("</nav>\n");
  paragraph(data_.pdf);
  scope();
  trust();
  exceptions();
  completeness();
  criteria();
  limits();
  by_hand();
  out("</body></html>\n");
  return std::move(html_);
}

}  // namespace

std::string html_escaped(std::string_view text) {
  std::string html;
  for (const char c : text) {
    switch (c) {
      case '&': html += "&amp;"; break;
      case '<': html += "&lt;"; break;
      case '>': html += "&gt;"; break;
      case '"': html += "&quot;"; break;
      case '\'': html += "&#39;"; break;
      default: html += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? ' ' : c;
    }
  }
  return html;
}

std::string page_html(const PageData& data) { return Page(data).text(); }

}  // namespace weir::report
