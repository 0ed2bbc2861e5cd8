// The store: opened right after the record, shown in status and metrics.
#include "session/engine_state.h"
#include "store/open_store.h"
#include "transport/secret_file.h"

namespace weir::session {

using nlohmann::json;

Result<void> Engine::open_store() {
  const Config& wanted = options_.config;
  std::string password;
  if (!wanted.store.password_file.empty()) {
    const auto read = transport::read_secret_file(wanted.store.password_file);
    if (!read) return tl::unexpected<Error>(read.error());
    password = read->view();
  }
  auto opened = store::open_store(wanted.store, wanted.state, wanted.name, std::move(password), [this](const std::string& text) { logging_->log().warn("{}", text); });
  if (!opened) return tl::unexpected<Error>(opened.error());
  store_ = std::move(*opened);
  return {};
}

// What other gateways bound and revoked, into the kernel's map and through the cores.
void Engine::take_foreign_bindings() {
  const identify::BindingTable::ForeignChanges foreign = bindings_->take_foreign();
  for (const identify::Binding& binding : foreign.ended) {
    // Before its end: somebody revoked it, or another person has the address.
    if (!has_ended(binding, wall_seconds())) tickets_->end_windows_of(binding.identity->subject, wall_seconds());
    logging_->log().info("binding {} of {} was ended by another gateway", binding.identity->binding_id, binding.where.text());
  }
  end_bindings(foreign.ended);
  const auto ended = wire_->take_out(foreign.revoked_on_wire);
  cut_wire(ended);
  for (const identify::WireCredential& each : ended) {
    tickets_->end_windows_of(each.identity->subject, wall_seconds());
    logging_->log().info("credential {} was revoked by another gateway", each.identity->binding_id);
  }
  for (const identify::Binding& each : foreign.bound) {
    const auto binding = bindings_->at(each.where, wall_seconds());
    if (!binding) continue;
    if (auto put = kernel_bindings_->put(kernel_binding(*binding)); !put) logging_->log().error("binding {}: {}", binding->identity->binding_id, put.error().message);
  }
}

json Engine::store_status() const { return {{"name", store_->name()}, {"health", store_->is_healthy() ? "good" : "failed: what it must keep is refused"}}; }

std::vector<control::MetricSample> Engine::store_samples() const {
  const store::StoreCounts counts = store_->counts();
  const auto sample = [](const char* name, const char* labels, const char* help, MetricType type, double value) { return control::MetricSample{name, labels, help, type, value}; };
  constexpr double kSecond = 1e9;
  constexpr const char *kCalls = "weir_store_calls_total", *kFailures = "weir_store_failures_total";
  return {sample("weir_store_healthy", "", "1: the store answered its last call.", MetricType::kGauge, store_->is_healthy() ? 1 : 0),
          sample(kCalls, "what=\"read\"", "Reads and writes of the store of bindings, tickets and the like.", MetricType::kCounter, static_cast<double>(counts.reads)),
          sample(kCalls, "what=\"write\"", "", MetricType::kCounter, static_cast<double>(counts.writes)),
          sample(kFailures, "what=\"read\"", "Reads and writes of the store that failed.", MetricType::kCounter, static_cast<double>(counts.read_failures)),
          sample(kFailures, "what=\"write\"", "", MetricType::kCounter, static_cast<double>(counts.write_failures)),
          sample("weir_store_conflicts_total", "", "Writes of the store that another gateway's write came before.", MetricType::kCounter, static_cast<double>(counts.conflicts)),
          sample("weir_store_changes_total", "", "Changes by other gateways that the store told of.", MetricType::kCounter, static_cast<double>(counts.changes)),
          sample("weir_store_seconds_total", "", "Time that reads and writes of the store took.", MetricType::kCounter, static_cast<double>(counts.nanoseconds) / kSecond),
          sample("weir_store_slowest_seconds", "", "The slowest read or write of the store since the last look.", MetricType::kGauge, static_cast<double>(counts.nanoseconds_max) / kSecond)};
}

}  // namespace weir::session
