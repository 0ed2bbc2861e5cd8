#include "control/api_router.h"

#include <algorithm>

#include "control/callback_body.h"
#include "control/config_reader.h"
#include "control/control_protocol.h"
#include "identify/strict_json.h"

namespace weir::control {
namespace {

using nlohmann::json;

constexpr std::string_view kJson = "application/json";
constexpr std::size_t kTextMax = ApiArgument::kTextMax;

int status_of(Error::Kind kind) {
  switch (kind) {
    case Error::Kind::kInvalid: return 422;
    case Error::Kind::kNotFound: return 404;
    case Error::Kind::kDenied: return 409;
    case Error::Kind::kUnavailable: return 503;
    case Error::Kind::kCorrupt:
    case Error::Kind::kSystem: return 500;
  }
  return 500;
}

// "/v1/callbacks/{sink}": a plain name.
bool matches_name(std::string_view pattern, std::string_view path, std::string& name) {
  constexpr std::string_view kSink = "{sink}";
  if (!pattern.ends_with(kSink) || !path.starts_with(pattern.substr(0, pattern.size() - kSink.size()))) return false;
  const std::string_view rest = path.substr(pattern.size() - kSink.size());
  if (!is_plain_name(rest)) return false;
  name = rest;
  return true;
}

// "/v1/sessions/{id}/cut".  {id} is a decimal number: no path of a peer's own gets further than here.
bool matches(std::string_view pattern, std::string_view path, std::string& id) {
  constexpr std::string_view kId = "{id}";
  const std::size_t at = pattern.find(kId);
  if (at == std::string_view::npos) return pattern == path || matches_name(pattern, path, id);
  const std::string_view behind = pattern.substr(at + kId.size());
  if (path.size() <= at + behind.size() || !path.starts_with(pattern.substr(0, at)) || !path.ends_with(behind)) return false;
  const std::string_view number = path.substr(at, path.size() - at - behind.size());
  if (number.size() > 19 || !std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; })) return false;
  id = number;
  return true;
}

std::string known_names(std::string_view word, const std::vector<ApiArgument>& arguments) {
  std::vector<std::string_view> names;
  for (const ApiArgument& argument : arguments) names.push_back(argument.name);
  return names.empty() ? "none is taken" : suggestion(word, names);
}

bool is_text(const json& value, const ApiArgument& argument) {
  if (!value.is_string() || value.get_ref<const std::string&>().size() > argument.size_max) return false;
  if (argument.size_max <= kTextMax) return is_printable(value.get_ref<const std::string&>());
  std::string flat = value.get<std::string>();  // Lines and tabs are part of a statement.
  std::replace_if(flat.begin(), flat.end(), [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  return is_printable(flat);
}

// Libraries throw over what nobody thought of; one request must not take the engine with it.
Result<json> run(ApiCall& call) {
  try {
    return call.route.run(call);
  } catch (const std::exception&) {
    return fail(Error::Kind::kSystem, "the gateway failed over this request");
  }
}

std::string whole(int status, std::string_view content_type, const std::string& body, std::string_view more = {}) {
  const std::size_t size = body.size();
  return answer_head(status, content_type, &size, more) + body;
}

}  // namespace

struct ApiRouter::Given {
  int status = 500;
  std::string kind, message;
  std::string headers;           // Whole lines.
};

ApiRouter::Given ApiRouter::too_many(std::chrono::seconds wait, std::string_view whose) {
  const std::string seconds = std::to_string(wait.count());
  return {429, "unavailable", "too many requests of this " + std::string(whose) + ": wait " + seconds + " s", "Retry-After: " + seconds + "\r\n"};
}

std::string ApiCall::query(std::string_view name) const {
  const auto found = std::find_if(request.query.begin(), request.query.end(), [&](const auto& pair) { return pair.first == name; });
  return found == request.query.end() ? "" : found->second;
}

std::vector<int> ApiRoute::statuses() const {
  std::vector<int> all = {done, 400, 429};
  if (access != ApiAccess::kOpen) all.push_back(401);
  if (access == ApiAccess::kRole || access == ApiAccess::kSigned) all.push_back(403);
  if (access == ApiAccess::kSigned) all.insert(all.end(), {413, 422});
  else if (method == "POST") all.insert(all.end(), {413, 415, 422});
  else if (!queries.empty()) all.push_back(422);
  if (access != ApiAccess::kOpen) all.insert(all.end(), {500, 503});
  all.insert(all.end(), faults.begin(), faults.end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

std::vector<MetricSample> ApiCounters::samples() const {
  std::vector<MetricSample> all;
  const auto add = [&](const char* name, const char* labels, const char* help, const std::atomic<uint64_t>& value) {
    all.push_back({name, labels, help, MetricType::kCounter, static_cast<double>(value.load())});
  };
  add("weir_api_requests_total", "result=\"done\"", "Requests to the control API, by what became of them.", done);
  add("weir_api_requests_total", "result=\"unauthenticated\"", "", unauthenticated);
  add("weir_api_requests_total", "result=\"forbidden\"", "", forbidden);
  add("weir_api_requests_total", "result=\"limited-source\"", "", limited_source);
  add("weir_api_requests_total", "result=\"limited-identity\"", "", limited_identity);
  add("weir_api_requests_total", "result=\"refused\"", "", refused);
  add("weir_api_requests_total", "result=\"failed\"", "", failed);
  add("weir_api_connections_total", "result=\"taken\"", "Connections to the control API.", connections);
  add("weir_api_connections_total", "result=\"refused\"", "", connections_refused);
  add("weir_api_connections_total", "result=\"handshake-fault\"", "", handshake_faults);
  add("weir_api_connections_total", "result=\"timeout\"", "", timeouts);
  return all;
}

ApiRouter::ApiRouter(ApiServices services, const ApiConfig& config, ApiCounters& counters)
    : services_(std::move(services)), counters_(counters), sources_(config.source_per_second, config.burst), identities_(config.identity_per_second, config.burst) {}

void ApiRouter::give(const Given& given, const ApiSink& sink) {
  std::atomic<uint64_t>& counter = given.status == 401 ? counters_.unauthenticated : given.status == 403 ? counters_.forbidden : given.status >= 500 ? counters_.failed : counters_.refused;
  if (given.status != 429) ++counter;  // Which of the two limits it was, is counted there.
  sink(whole(given.status, kJson, error_body(given.kind, given.message), given.headers));
}

void ApiRouter::answer(const ApiFault& fault, const ApiSink& sink) { give({fault.status, "invalid", fault.message, ""}, sink); }

tl::expected<const ApiRoute*, ApiRouter::Given> ApiRouter::find(const ApiRequest& request, std::string& id) const {
  std::string allowed;
  for (const ApiRoute& route : api_routes()) {
    if (!matches(route.path, request.path, id)) continue;
    if (route.method == request.method) return &route;
    allowed += (allowed.empty() ? "" : ", ") + std::string(route.method);
  }
  if (!allowed.empty() || (request.method != "GET" && request.method != "POST")) {
    if (allowed.empty()) allowed = "GET, POST";
    return tl::unexpected<Given>(Given{405, "invalid", "this path takes " + allowed, "Allow: " + allowed + "\r\n"});
  }
  return tl::unexpected<Given>(Given{404, "not-found", "there is no such path: openapi.yaml lists them", ""});
}

// In this order: what costs least first.  The source's own limit was looked at before.
tl::expected<ControlPeer, ApiRouter::Given> ApiRouter::admit(const ApiRoute& route, const ApiRequest& request, const Address& from, RateLimit::Clock::time_point now) {
  ControlPeer peer;
  peer.address = from.text();
  if (route.access == ApiAccess::kOpen || route.access == ApiAccess::kSigned) return peer;
  if (request.token.empty()) {
    return tl::unexpected<Given>(Given{401, "denied", "a token is needed: Authorization: Bearer, with an OIDC token of an issuer of this gateway", "WWW-Authenticate: Bearer\r\n"});
  }
  const auto caller = services_.host.authenticate(request.token);
  if (!caller) return tl::unexpected<Given>(Given{401, "denied", caller.error().message, "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n"});
  peer.subject = caller->subject;
  peer.issuer = caller->issuer;
  peer.token_id = caller->token_id;
  if (const auto wait = identities_.take(caller->issuer + "\n" + caller->subject, now)) {
    ++counters_.limited_identity;
    return tl::unexpected<Given>(too_many(*wait, "identity"));
  }
  if (route.access == ApiAccess::kToken) return peer;
  std::string needed;
  for (const ApiRole role : kApiRoles) {
    if (!has_role(route.roles, role)) continue;
    if (has_role(caller->roles, role)) {
      peer.role = name_of(role);
      return peer;
    }
    needed += (needed.empty() ? "" : " or ") + std::string(name_of(role));
  }
  // What somebody tried is evidence; a record that is full changes nothing about the answer.
  (void)services_.handler.handle("refused", {{"act", std::string(route.method) + " " + std::string(route.path)}}, peer);
  return tl::unexpected<Given>(Given{403, "denied", "role " + needed + " is needed: api.roles says who holds it", ""});
}

tl::expected<json, ApiRouter::Given> ApiRouter::read_arguments(const ApiRoute& route, const ApiRequest& request) const {
  const auto refuse = [](int status, std::string message) { return tl::unexpected<Given>(Given{status, "invalid", std::move(message), ""}); };
  const auto known = [](const std::vector<ApiArgument>& table, std::string_view name) {
    return std::any_of(table.begin(), table.end(), [&](const ApiArgument& argument) { return argument.name == name; });
  };
  std::vector<std::string_view> seen;
  for (const auto& [name, value] : request.query) {
    if (!known(route.queries, name)) return refuse(422, "unknown parameter " + in_quotes(name) + ": " + known_names(name, route.queries));
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) return refuse(422, "parameter " + name + " stands twice");
    if (value.size() > kTextMax || !is_printable(value)) return refuse(422, "parameter " + name + ": at most " + std::to_string(kTextMax) + " bytes of printable UTF-8");
    seen.push_back(name);
  }
  json fields = json::object();
  if (route.access == ApiAccess::kSigned) return fields;  // Nothing is read before its signature was checked.
  if (request.method == "POST" && !(request.body.empty() && request.content_type.empty())) {
    const std::string_view type = std::string_view(request.content_type).substr(0, request.content_type.find(';'));
    if (type != kJson) return refuse(415, "Content-Type: application/json is needed");
    if (!request.body.empty()) {
      auto parsed = identify::parse_strict_json(request.body);
      if (!parsed) return refuse(400, "the body is not a JSON object without names that stand twice");
      fields = std::move(*parsed);
    }
  }
  for (const auto& [name, value] : fields.items()) {
    const auto argument = std::find_if(route.fields.begin(), route.fields.end(), [&, &key = name](const ApiArgument& each) { return each.name == key; });
    if (argument == route.fields.end()) return refuse(422, "unknown field " + in_quotes(name) + ": " + known_names(name, route.fields));
    const bool is_right = argument->is_list ? value.is_array() && value.size() <= ApiArgument::kListMax && std::all_of(value.begin(), value.end(), [&](const json& each) { return is_text(each, *argument); })
                                            : is_text(value, *argument);
    if (is_right) continue;
    const std::string text = "of at most " + std::to_string(argument->size_max) + " bytes of printable UTF-8";
    return refuse(422, "field " + name + ": " + (argument->is_list ? "a list of at most " + std::to_string(ApiArgument::kListMax) + " texts, each " : "a text ") + text);
  }
  for (const ApiArgument& field : route.fields) {
    if (field.is_required && fields.value(std::string(field.name), std::string()).empty()) return refuse(422, "field " + std::string(field.name) + " is missing");
  }
  return fields;
}

void ApiRouter::give_page(const PageAnswer& page, const ApiSink& sink) {
  ++(page.status < 400 ? counters_.done : page.status >= 500 ? counters_.failed : counters_.refused);
  const std::size_t size = page.body.size();
  sink(answer_head(page.status, "text/html; charset=utf-8", &size, page.headers, page.policy) + page.body);
}

// A browser's request: a form, a cookie, a query that the provider may have added to.
void ApiRouter::answer_page(const ApiRoute& route, const ApiRequest& request, const Address& from, const ApiSink& sink) {
  const auto refuse = [&](int status, std::string message) { give({status, "invalid", std::move(message), ""}, sink); };
  PageRequest page{.from = from, .cookie = request.cookie, .fetch_site = request.fetch_site, .query = request.query, .form = {}};
  if (request.method == "POST") {
    // A form of another site; browsers say so (Fetch Metadata), and the forms have a secret of their own.
    if (!request.fetch_site.empty() && request.fetch_site != "same-origin" && request.fetch_site != "none") return refuse(403, "a page of another site may not send this");
    if (!request.body.empty() && std::string_view(request.content_type).substr(0, request.content_type.find(';')) != "application/x-www-form-urlencoded")
      return refuse(415, "Content-Type: application/x-www-form-urlencoded is needed");
    auto form = read_form(request.body);
    if (!form || form->size() > 1 || (form->size() == 1 && form->front().first != "csrf")) return refuse(400, "not a form of this server's pages");
    page.form = std::move(*form);
  }
  std::optional<PageAnswer> answer;
  try {
    if (services_.portal != nullptr) answer = (services_.portal->*route.show)(page);
  } catch (const std::exception&) {
    return give({500, "system", "the gateway failed over this request", ""}, sink);
  }
  if (!answer) return give({404, "not-found", "this gateway has no portal (identity.portal)", ""}, sink);
  give_page(*answer, sink);
}

void ApiRouter::answer(const ApiRequest& request, const Address& from, RateLimit::Clock::time_point now, const ApiSink& sink) {
  if (const auto wait = sources_.take(source_of(from), now)) {
    ++counters_.limited_source;
    return give(too_many(*wait, "address"), sink);
  }
  std::string id;
  const auto route = find(request, id);
  if (!route) return give(route.error(), sink);
  if ((*route)->access == ApiAccess::kPage) return answer_page(**route, request, from, sink);
  auto peer = admit(**route, request, from, now);
  if (!peer) return give(peer.error(), sink);
  auto fields = read_arguments(**route, request);
  if (!fields) return give(fields.error(), sink);
  if ((*route)->access == ApiAccess::kSigned) peer->sink = id;
  ApiCall call{**route, request, services_, std::move(*peer), std::move(id), std::move(*fields), sink};
  const auto result = run(call);
  if (!result && call.is_answered) {
    ++counters_.failed;          // In the middle of it: the end that is missing tells the client.
  } else if (!result && (*route)->access == ApiAccess::kSigned && (result.error().code == kCallbackUnsigned || result.error().code == kCallbackForbidden)) {
    give({result.error().code, "denied", result.error().message, result.error().code == kCallbackUnsigned ? "WWW-Authenticate: Weir-Signature\r\n" : ""}, sink);
  } else if (!result) {
    give({status_of(result.error().kind), std::string(name_of(result.error().kind)), result.error().message, ""}, sink);
  } else {
    ++counters_.done;
    const bool is_waiting = result->is_object() && result->contains("pending");   // For a second person.
    if (!call.is_answered) sink(whole(is_waiting ? 202 : (*route)->done, kJson, result->dump(-1, ' ', false, json::error_handler_t::replace) + "\n", call.headers));
  }
}

}  // namespace weir::control
