// Sections that a later version carries out: retention, archive.  They are read
// for their form, so that a file written for later is checked now, and each says that it has no effect.
#include "control/config_sections.h"

namespace weir::control {
namespace {

using namespace std::chrono_literals;
constexpr auto kDay = std::chrono::hours(24);

}  // namespace

void read_retention(MapReader retention) {
  LoadContext& context = retention.context();
  std::chrono::seconds keep{};
  retention.duration("default", keep, kDay, 100 * 365 * kDay, true);
  if (retention.has("default") && keep > 0s && keep < 365 * kDay) {
    context.warn(retention.place_of("default"), retention.path_of("default") + ": below 365d, an audit period of twelve months is not covered");
  }
  const auto rules = retention.take_maps("rules");
  for (std::size_t i = 0; i < rules.size(); ++i) {
    MapReader rule = MapReader::entry(retention, "rules", rules[i], i);
    std::string name;
    rule.name("name", name);
    MapReader where = rule.map("where");
    std::vector<std::string> names;
    for (const char* key : {"targets", "rules", "groups", "subjects"}) where.strings(key, names);
    where.finish();
    if (!rule.has("keep")) context.error(rule.place(), rule.path_of("keep") + " is missing");
    rule.duration("keep", keep, kDay, 100 * 365 * kDay, true);
    rule.finish();
  }
  const auto holds = retention.take_maps("holds");
  for (std::size_t i = 0; i < holds.size(); ++i) {
    MapReader hold = MapReader::entry(retention, "holds", holds[i], i);
    std::string text;
    hold.name("name", text);
    MapReader where = hold.map("where");
    for (const char* key : {"subject", "target", "session"}) where.text(key, text);
    where.finish();
    hold.text("set_by", text, Need::kRequired);
    hold.text("reason", text, Need::kRequired);
    hold.finish();
  }
  retention.finish();
}

void read_archive(MapReader archive) {
  LoadContext& context = archive.context();
  std::string url;
  archive.text("url", url);
  if (!url.empty() && !url.starts_with("file:") && !url.starts_with("s3://")) {
    context.error(archive.place_of("url"), archive.path_of("url") + ": " + in_quotes(url) + " does not begin with file: or s3://");
  } else if (!url.empty() && url != "file:archive") {
    context.warn(archive.place_of("url"), archive.path_of("url") + " has no effect in this version", "archives stay in archive/ under `state`");
  }
  archive.choice_of("object_lock", {"compliance", "governance", "none"});
  archive.has_no_effect("object_lock");
  uint64_t spool = 0;
  archive.size("spool", spool, 1u << 20, 1ull << 50);
  archive.has_no_effect("spool");
  archive.finish();
}

}  // namespace weir::control
