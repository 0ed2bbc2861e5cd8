// The API's routes: one table says for each what it needs, takes and can answer; the router holds every request to it.
// openapi.yaml says the same for clients, and a test holds the two together.
// Must never: run a route whose role the caller does not hold, take an argument that the table does not name, or show what
// cannot be put on the record as looked at.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/api_auth.h"
#include "control/api_http.h"
#include "control/api_limits.h"
#include "control/control_handler.h"
#include "control/metrics_text.h"
#include "control/portal.h"
#include "record/reader.h"

namespace weir::control {

// Where an answer goes: bytes of one connection.  False: nobody takes it any more.
using ApiSink = std::function<bool(std::string_view)>;

struct ApiServices {
  ControlHandler& handler;
  ApiHost& host;
  std::string record_folder;     // The state, for list_sessions() and replay().
  Portal* portal = nullptr;      // Its pages; none: there are none.
  std::vector<std::shared_ptr<const record::KeyOpener>> openers{};   // Of encrypted archives.
  [[nodiscard]] record::RecordPlace place() const {
    record::RecordPlace place = record::RecordPlace::of(record_folder);
    place.openers = openers;
    return place;
  }
};

struct ApiArgument {
  std::string_view name;
  bool is_required = false;
  std::size_t size_max = 1024;   // Bytes of its text.  Above that default it may have several lines.
  bool is_list = false;          // A field that is a list of at most kListMax such texts.
  static constexpr std::size_t kTextMax = 1024, kListMax = 64;
};

struct ApiRoute;
// One request on its way.
struct ApiCall {
  const ApiRoute& route;
  const ApiRequest& request;
  const ApiServices& services;
  ControlPeer peer;
  std::string id;                // What {id} stands for: a decimal number; or {sink}: a plain name.
  nlohmann::json fields;         // The body's, texts and lists of texts, checked against the table.
  const ApiSink& sink;
  bool is_answered = false;      // The route wrote its answer itself.
  std::string headers{};         // Whole lines of the route's own, for an answer that went well.

  [[nodiscard]] std::string query(std::string_view name) const;
  [[nodiscard]] std::string field(const char* name) const { return fields.value(name, std::string()); }
};

enum class ApiAccess : uint8_t {
  kOpen,
  kToken,
  kRole,
  kPage,                         // For browsers of people who are nobody yet; no role, no token, no JSON.  What it may do is the portal's own to say.
  kSigned,                       // By a signature over the body, which the engine checks; {sink} in the path says whose.
};
using PageFunction = std::optional<PageAnswer> (Portal::*)(const PageRequest&);
struct ApiRoute {
  std::string_view method, path;
  ApiAccess access = ApiAccess::kRole;
  RoleSet roles = 0;             // Any of these; with kRole.
  int done = 200;                // Status when it went well.
  std::vector<ApiArgument> queries{}, fields{};
  std::vector<int> faults{};       // Statuses of its own, beside those of every route; 202: it may have to wait for a second person.
  Result<nlohmann::json> (*run)(ApiCall&) = nullptr;
  PageFunction show = nullptr;     // With kPage, instead of run.

  // Every status it can answer with, for openapi.yaml: 400 and 429 always, 401 and 403 by access, 413 415 422 with a body
  // (signed ones are not read before their signature: no 415).
  [[nodiscard]] std::vector<int> statuses() const;
};
// The table.
std::span<const ApiRoute> api_routes();

struct ApiCounters {
  std::atomic<uint64_t> done{0}, unauthenticated{0}, forbidden{0}, limited_source{0}, limited_identity{0}, refused{0}, failed{0};
  std::atomic<uint64_t> connections{0}, connections_refused{0}, handshake_faults{0}, timeouts{0};
  [[nodiscard]] std::vector<MetricSample> samples() const;
};

class ApiRouter {
 public:
  ApiRouter(ApiServices services, const ApiConfig& config, ApiCounters& counters);

  // Any thread.  `from`: the other end of the connection itself.  Post: a whole answer was given to `sink`, as far as it took it.
  void answer(const ApiRequest& request, const Address& from, RateLimit::Clock::time_point now, const ApiSink& sink);
  // For what the reader refused.
  void answer(const ApiFault& fault, const ApiSink& sink);

 private:
  struct Given;                  // An answer that is an error.
  static Given too_many(std::chrono::seconds wait, std::string_view whose);
  void give(const Given& given, const ApiSink& sink);
  tl::expected<const ApiRoute*, Given> find(const ApiRequest& request, std::string& id) const;
  void answer_page(const ApiRoute& route, const ApiRequest& request, const Address& from, const ApiSink& sink);
  void give_page(const PageAnswer& page, const ApiSink& sink);
  tl::expected<ControlPeer, Given> admit(const ApiRoute& route, const ApiRequest& request, const Address& from, RateLimit::Clock::time_point now);
  tl::expected<nlohmann::json, Given> read_arguments(const ApiRoute& route, const ApiRequest& request) const;

  const ApiServices services_;
  ApiCounters& counters_;
  RateLimit sources_, identities_;
};

}  // namespace weir::control
