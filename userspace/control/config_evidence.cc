// record.log: the evidence log.
#include <algorithm>

#include "control/config_sections.h"

namespace weir::control {
namespace {

using namespace std::chrono_literals;
constexpr auto kDay = std::chrono::hours(24);

void check_url(MapReader& section, std::string_view key, std::initializer_list<std::string_view> schemes, Need need = Need::kRequired) {
  std::string url;
  section.text(key, url, need);
  if (url.empty()) return;
  if (std::none_of(schemes.begin(), schemes.end(), [&](std::string_view scheme) { return url.starts_with(scheme); })) {
    section.context().error(section.place_of(key), section.path_of(key) + ": " + in_quotes(url) + " does not begin with " + join(schemes));
  }
}

}  // namespace

void read_evidence_log(MapReader log, RecordConfig& out) {
  log.text("origin", out.origin);
  if (out.origin.size() > 255 || out.origin.find_first_of(" +\n") != std::string::npos || !is_printable(out.origin)) {
    log.context().error(log.place_of("origin"), log.path_of("origin") + ": at most 255 characters, without spaces and '+'", "host/gateway");
  }
  log.duration("heartbeat_every", out.heartbeat_every, 1s, kDay);
  std::chrono::seconds every{};
  log.duration("checkpoint_every", every, 1s, kDay);
  log.has_no_effect("checkpoint_every", "each seal has a checkpoint at once");
  const auto witnesses = log.take_maps("witnesses");
  std::string file;
  for (std::size_t i = 0; i < witnesses.size(); ++i) {
    MapReader witness = MapReader::entry(log, "witnesses", witnesses[i], i);
    check_url(witness, "url", {"https://", "http://"});
    witness.file("key_file", file, FileKind::kPublic, Need::kRequired);
    witness.finish();
  }
  log.has_no_effect("witnesses", "a rewrite by the holder of the signing key shows only against a seal that you kept");
  if (log.has("timestamps")) {
    MapReader timestamps = log.map("timestamps");
    check_url(timestamps, "url", {"https://", "http://"});
    timestamps.file("ca_file", file, FileKind::kPublic);
    timestamps.duration("every", every, 1min, 30 * kDay);
    timestamps.finish();
    log.has_no_effect("timestamps");
  } else {
    log.take("timestamps");
  }
  log.finish();
}

}  // namespace weir::control
