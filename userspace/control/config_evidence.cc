// record.log: the evidence log, and who signs it beside us.
#include "control/config_sections.h"
#include "record/witness.h"

namespace weir::control {
namespace {

using namespace std::chrono_literals;
constexpr auto kDay = std::chrono::hours(24);

constexpr std::size_t kWitnessesMax = 16;   // As many lines as each reader of a signed note must take.

// What comes back is signed and checked: the way it comes need not be.
void read_url(MapReader& section, std::string_view key, std::string& url) {
  section.text(key, url, Need::kRequired);
  if (url.empty() || url.starts_with("https://") || url.starts_with("http://")) return;
  section.context().error(section.place_of(key), section.path_of(key) + ": " + in_quotes(url) + " does not begin with https:// or http://");
}

void check_witness_key(MapReader& witness, const std::string& path) {
  LoadContext& context = witness.context();
  if (!context.check_files || path.empty() || !context.files.facts(path).is_regular) return;
  constexpr std::size_t kSizeMax = 16u << 10;
  const auto text = context.files.read(path, kSizeMax);
  if (!text && text.error().kind == Error::Kind::kNotFound) return;   // Gone meanwhile.
  const auto key = text ? record::witness_from_text(*text) : tl::unexpected(text.error());
  if (!key) context.error(witness.place_of("key_file"), witness.path_of("key_file") + ": " + path + ": " + key.error().message, "the witness's verifier key, one line: NAME+ID+KEY");
}

}  // namespace

void read_evidence_log(MapReader log, RecordConfig& out) {
  log.text("origin", out.origin);
  if (out.origin.size() > 255 || out.origin.find_first_of(" +\n") != std::string::npos || !is_printable(out.origin)) {
    log.context().error(log.place_of("origin"), log.path_of("origin") + ": at most 255 characters, without spaces and '+'", "host/gateway");
  }
  log.duration("heartbeat_every", out.heartbeat_every, 1s, kDay);
  log.duration("checkpoint_every", out.checkpoint_every, 1s, kDay);
  const auto witnesses = log.take_maps("witnesses");
  for (std::size_t i = 0; i < witnesses.size(); ++i) {
    MapReader witness = MapReader::entry(log, "witnesses", witnesses[i], i);
    WitnessConfig& entry = out.witnesses.emplace_back();
    read_url(witness, "url", entry.url);
    witness.file("key_file", entry.key_file, FileKind::kPublic, Need::kRequired);
    check_witness_key(witness, entry.key_file);
    witness.finish();
  }
  if (out.witnesses.size() > kWitnessesMax) log.context().error(log.place_of("witnesses"), log.path_of("witnesses") + ": at most " + std::to_string(kWitnessesMax));
  if (log.has("timestamps")) {
    MapReader timestamps = log.map("timestamps");
    read_url(timestamps, "url", out.timestamps.url);
    timestamps.file("ca_file", out.timestamps.ca_file, FileKind::kPublic, Need::kRequired);
    timestamps.duration("every", out.timestamps.every, 1s, 30 * kDay);
    timestamps.finish();
  } else {
    log.take("timestamps");
  }
  log.finish();
}

}  // namespace weir::control
