// notify: who is told of what happens, and how.
#include <algorithm>

#include "control/config_sections.h"

namespace weir::control {
namespace {

using namespace std::chrono_literals;
constexpr auto kDay = std::chrono::hours(24);
constexpr std::pair<std::string_view, SinkConfig::Kind> kKinds[] = {
    {"webhook", SinkConfig::Kind::kWebhook}, {"slack", SinkConfig::Kind::kSlack}, {"syslog", SinkConfig::Kind::kSyslog}};

// "host", "host:port", "[::1]:port" of what stands behind the scheme; nothing else may stand there.
bool is_plain_host(std::string_view text) {
  return !text.empty() && text.size() <= 255 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == ':' || c == '[' || c == ']';
  });
}
bool has_port(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || (host.find(']') != std::string_view::npos && colon < host.find(']'))) return false;
  const auto port = parse_number(host.substr(colon + 1));
  return port && *port >= 1 && *port <= 65'535 && colon > 0;
}

// Post: the host (and port) of a right one.
std::string_view host_of(std::string_view url) {
  const std::size_t at = url.find("://");
  if (at == std::string_view::npos) return "";
  const std::string_view rest = url.substr(at + 3);
  return rest.substr(0, rest.find('/'));
}

void read_url(MapReader& reader, SinkConfig& sink) {
  LoadContext& context = reader.context();
  const bool is_syslog = sink.kind == SinkConfig::Kind::kSyslog;
  const char* key = is_syslog ? "address" : "url";
  reader.text(key, sink.url, Need::kRequired);
  if (sink.url.empty() || (is_syslog && sink.url == "local")) return;
  const std::string_view scheme = std::string_view(sink.url).substr(0, sink.url.find("://"));
  const bool is_known = is_syslog ? scheme == "udp" || scheme == "tcp" || scheme == "tls" : scheme == "https";
  const std::string_view host = host_of(sink.url);
  if (!is_known || !is_plain_host(host) || (is_syslog && (!has_port(host) || sink.url.size() != scheme.size() + 3 + host.size()))) {
    context.error(reader.place_of(key), reader.path_of(key) + ": " + in_quotes(sink.url) + (is_syslog ? " is not an address of a syslog server" : " is not an https:// address with a plain host"),
                  is_syslog ? "local, or udp://host:514, tcp://host:601, tls://host:6514" : "https://chat.example/hooks/weir");
  }
}

void read_events(MapReader& reader, NoticeEventSet& out) {
  std::vector<std::string_view> names;
  for (uint8_t i = 0; i < static_cast<uint8_t>(NoticeEvent::kTest); ++i) names.push_back(weir::name_of(static_cast<NoticeEvent>(i)));
  for (const auto& [event, place] : reader.placed_strings("events", {Need::kRequired})) {
    const auto found = std::find(names.begin(), names.end(), event);
    if (found != names.end()) out |= NoticeEventSet{1} << (found - names.begin());
    else if (event == "all") out = ~NoticeEventSet{0};
    else reader.context().error(place, reader.path_of("events") + ": " + in_quotes(event) + " is not an event", suggestion(event, names));
  }
}

void read_reviewers(MapReader& reader, SinkConfig& sink) {
  LoadContext& context = reader.context();
  const auto entries = reader.take_maps("reviewers");
  for (std::size_t i = 0; i < entries.size(); ++i) {
    MapReader entry = MapReader::entry(reader, "reviewers", entries[i], i);
    SinkReviewerConfig reviewer;
    entry.text("id", reviewer.id, Need::kRequired);
    entry.text("subject", reviewer.subject, Need::kRequired);
    entry.strings("groups", reviewer.groups);
    if (reviewer.subject.starts_with("local:")) {
      context.error(entry.place_of("subject"), entry.path_of("subject") + ": names that begin with local: are those of the gateway's own host");
    }
    if (std::any_of(sink.reviewers.begin(), sink.reviewers.end(), [&](const SinkReviewerConfig& other) { return other.id == reviewer.id; })) {
      context.error(entry.place_of("id"), reader.path_of("reviewers") + ": " + in_quotes(reviewer.id) + " stands twice");
    }
    entry.finish();
    sink.reviewers.push_back(std::move(reviewer));
  }
  if (!sink.reviewers.empty() && sink.kind == SinkConfig::Kind::kSyslog) {
    context.error(reader.place_of("reviewers"), reader.path_of("reviewers") + ": nobody answers by syslog");
  }
}

void read_sink(MapReader reader, const NotifyConfig& notify, SinkConfig& sink) {
  LoadContext& context = reader.context();
  sink.place = reader.place();
  reader.name("name", sink.name);
  reader.choice("kind", sink.kind, kKinds, Need::kRequired);
  read_url(reader, sink);
  reader.file("secret_file", sink.secret_file, FileKind::kSecret);
  reader.file("ca_file", sink.ca_file, FileKind::kPublic);
  reader.text("link", sink.link);
  if (!sink.link.empty() && !sink.link.starts_with("https://")) {
    context.error(reader.place_of("link"), reader.path_of("link") + ": " + in_quotes(sink.link) + " is not an https:// address", "https://gw.example:8443/tickets/{ticket}");
  }
  read_events(reader, sink.events);
  static const std::vector<std::string_view> kSeverities = {"info", "low", "medium", "high", "critical"};
  if (const int found = reader.choice_of("min_severity", kSeverities); found >= 0) sink.min_severity = static_cast<NoticeSeverity>(found);
  reader.duration("retry", sink.retry, 1min, 30 * kDay);
  read_reviewers(reader, sink);
  if (sink.kind == SinkConfig::Kind::kWebhook && sink.secret_file.empty()) {
    context.error(reader.place(), reader.path_of("secret_file") + " is missing: what a webhook is sent is signed with it");
  }
  if (sink.kind == SinkConfig::Kind::kSlack && sink.secret_file.empty() && !sink.reviewers.empty()) {
    context.error(reader.place_of("reviewers"), reader.path_of("reviewers") + ": an answer needs a signature: secret_file is missing");
  }
  const std::string_view host = host_of(sink.url);
  if (!notify.hosts.empty() && !host.empty() && std::find(notify.hosts.begin(), notify.hosts.end(), host) == notify.hosts.end()) {
    context.error(reader.place(), reader.path_of(sink.kind == SinkConfig::Kind::kSyslog ? "address" : "url") + ": " + in_quotes(host) + " is none of notify.hosts");
  }
  reader.finish();
}

}  // namespace

void read_notify(MapReader notify, NotifyConfig& out) {
  notify.strings("hosts", out.hosts, {.may_be_empty = true});
  notify.number("spool_max", out.spool_max, 100, 100'000);
  notify.duration("repeat", out.repeat, 1s, 30 * kDay);
  MapReader burst = notify.map("drop_burst");
  burst.number("packets", out.drop_burst, 1, 1'000'000);
  burst.duration("within", out.drop_burst_within, 1s, 1h);
  burst.finish();
  const auto entries = notify.take_maps("sinks");
  for (std::size_t i = 0; i < entries.size(); ++i) {
    SinkConfig sink;
    MapReader reader = MapReader::entry(notify, "sinks", entries[i], i);
    const SourcePlace place = reader.place_of("name");
    read_sink(std::move(reader), out, sink);
    if (std::any_of(out.sinks.begin(), out.sinks.end(), [&](const SinkConfig& other) { return other.name == sink.name; })) {
      notify.context().error(place, "notify.sinks: " + in_quotes(sink.name) + " stands twice");
    }
    out.sinks.push_back(std::move(sink));
  }
  notify.finish();
}

}  // namespace weir::control
