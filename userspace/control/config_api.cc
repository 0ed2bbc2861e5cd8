// api: the control API over TLS.
#include <algorithm>

#include "control/config_sections.h"

namespace weir::control {
namespace {

using namespace std::chrono_literals;

void read_listen(MapReader& api, std::vector<Endpoint>& out) {
  LoadContext& context = api.context();
  for (const auto& [text, place] : api.placed_strings("listen", {Need::kRequired})) {
    const auto endpoint = parse_endpoint(text);
    if (!endpoint) {
      context.error(place, api.path_of("listen") + ": " + endpoint.error().message);
      continue;
    }
    if (endpoint->address == Address{} || endpoint->address.text() == "0.0.0.0") {
      context.error(place, api.path_of("listen") + ": " + in_quotes(text) + " is every address of this host, those of the targets' side too",
                    "name the addresses that clients and administrators use");
    }
    out.push_back(*endpoint);
  }
}

// A name with * would look like a pattern and match nobody.
void read_names(MapReader& role, std::string_view key, std::vector<std::string>& out) {
  for (auto& [name, place] : role.placed_strings(key, {.may_be_empty = true})) {
    if (name.find('*') != std::string::npos || name.empty()) {
      role.context().error(place, role.path_of(key) + ": " + in_quotes(name) + " is not a name: roles are given by name, not by pattern");
    } else {
      out.push_back(std::move(name));
    }
  }
}

void read_role(MapReader role, ApiRoleConfig& out) {
  read_names(role, "subjects", out.subjects);
  read_names(role, "groups", out.groups);
  role.finish();
}

void read_api_limits(MapReader limits, ApiConfig& out) {
  limits.number("source_per_second", out.source_per_second, 1, 10'000);
  limits.number("identity_per_second", out.identity_per_second, 1, 10'000);
  limits.number("burst", out.burst, 1, 100'000);
  limits.number("connections_max", out.connections_max, 1, 1'024);
  limits.number("connections_per_source_max", out.connections_per_source_max, 1, 1'024);
  limits.size32("body_size_max", out.body_size_max, 1u << 10, 1u << 20);
  limits.duration("request_timeout", out.request_timeout, 100ms, 5min);
  limits.duration("answer_timeout", out.answer_timeout, 1s, 24h);
  if (out.connections_per_source_max > out.connections_max) {
    limits.context().error(limits.place_of("connections_per_source_max"), limits.path_of("connections_per_source_max") + " must not be above connections_max");
  }
  limits.finish();
}

}  // namespace

void read_api(MapReader api, ApiConfig& out) {
  read_listen(api, out.listen);
  api.file("certificate_file", out.certificate_file, FileKind::kPublic, Need::kRequired);
  api.file("key_file", out.key_file, FileKind::kSecret, Need::kRequired);
  const int version = api.choice_of("minimum", {"1.2", "1.3"});
  if (version >= 0) out.minimum = version == 0 ? "1.2" : "1.3";
  api.strings("issuers", out.issuers);
  MapReader roles = api.map("roles");
  read_role(roles.map("admin"), out.admin);
  read_role(roles.map("reviewer"), out.reviewer);
  read_role(roles.map("auditor"), out.auditor);
  roles.finish();
  read_api_limits(api.map("limits"), out);
  api.finish();
}

}  // namespace weir::control
