// Everything the engine process holds, in the order in which it is built; destroyed in reverse.
#pragma once
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "control/api_server.h"
#include "control/control_handler.h"
#include "control/control_server.h"
#include "control/logging.h"
#include "control/metrics_text.h"
#include "decide/ticket_book.h"
#include "identify/bindings.h"
#include "identify/token.h"
#include "record/recovery.h"
#include "record/sealer.h"
#include "record/segment_store.h"
#include "session/engine.h"
#include "session/engine_core.h"
#include "session/runtime_builder.h"
#include "steer/drop_notices.h"
#include "steer/kernel_bindings.h"
#include "steer/kernel_steering.h"
#include "steer/steer.h"
#include "steer/steer_watch.h"

namespace weir::session {

class Engine final : public control::ControlHandler, public control::ApiHost {
 public:
  explicit Engine(EngineOptions options) : options_(std::move(options)) {}
  ~Engine() override;

  // engine.cc.  In this order; the first error ends it.
  [[nodiscard]] Result<void> open_kernel();        // Needs privileges.
  [[nodiscard]] Result<void> open_api();           // Its ports, which may be below 1024.
  [[nodiscard]] Result<void> drop_privileges();
  [[nodiscard]] Result<void> open_record();
  [[nodiscard]] Result<void> open_policy();
  [[nodiscard]] Result<void> start_cores();
  [[nodiscard]] Result<void> start_control();
  void serve_until_signal();
  void drain();

  // engine_acts.cc
  Result<nlohmann::json> handle(std::string_view verb, const nlohmann::json& arguments, const control::ControlPeer& peer) override;
  Result<control::ApiCaller> authenticate(std::string_view token) override;
  // engine_control.cc
  std::string metrics() override;

 private:
  [[nodiscard]] Result<nlohmann::json> carry_out(std::string_view verb, const nlohmann::json& arguments, const control::ControlPeer& peer);
  [[nodiscard]] bool record_act(Act act);
  [[nodiscard]] const Config& config() const { return runtime_->config; }
  [[nodiscard]] nlohmann::json status() const;
  [[nodiscard]] Result<nlohmann::json> reload(const nlohmann::json& arguments, const control::ControlPeer& peer);
  [[nodiscard]] Result<nlohmann::json> bind(const nlohmann::json& arguments);
  [[nodiscard]] Result<nlohmann::json> revoke(const nlohmann::json& arguments, const control::ControlPeer& peer);
  [[nodiscard]] Result<nlohmann::json> cut(const nlohmann::json& arguments, const control::ControlPeer& peer);
  [[nodiscard]] nlohmann::json bindings() const;
  [[nodiscard]] nlohmann::json sessions() const;
  [[nodiscard]] nlohmann::json profile() const;
  [[nodiscard]] nlohmann::json rules() const;
  [[nodiscard]] nlohmann::json grants() const;
  // engine_tickets.cc
  [[nodiscard]] Result<nlohmann::json> list_tickets(const nlohmann::json& arguments);
  [[nodiscard]] Result<nlohmann::json> answer_ticket(std::string_view verb, const nlohmann::json& arguments, const control::ControlPeer& peer);
  [[nodiscard]] Result<decide::Reviewer> reviewer_of(const nlohmann::json& arguments, const control::ControlPeer& peer);
  [[nodiscard]] std::vector<control::MetricSample> ticket_samples() const;
  [[nodiscard]] Result<identify::VerifiedToken> verify(std::string_view token);
  uint32_t cut_bindings(const std::vector<identify::Binding>& ended);
  uint32_t end_bindings(const std::vector<identify::Binding>& ended);
  void show_hidden(const std::vector<identify::Binding>& ended);
  [[nodiscard]] Result<void> sync_kernel_bindings();
  // A configuration made ready, not in force yet.
  struct Built { RuntimePtr runtime; std::unique_ptr<identify::TokenVerifier> tokens; };
  [[nodiscard]] Result<Built> build(const Config& wanted);
  void hand_over(Built);
  static identify::BindingTable::Options binding_options(const Config&);
  static steer::KernelBinding kernel_binding(const identify::Binding&);
  void on_tick();
  void tell_space();
  // engine_evidence.cc: what the evidence log says of the engine beside sessions and acts.
  void tell_evidence_log(record::SealerOptions&);
  [[nodiscard]] nlohmann::json heartbeat() const;   // By the sealer's thread.

  EngineOptions options_;
  std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
  bool is_record_full_ = false;
  std::string on_disk_ = "in force";                // Of the configuration file, as the last reload found it.
  std::unique_ptr<steer::KernelSteering> steering_;
  std::optional<steer::KernelBindings> kernel_bindings_;
  std::vector<accept::CoreListenerSockets> listeners_;
  std::unique_ptr<control::Logging> logging_;
  std::unique_ptr<MetricsRegistry> metrics_;
  std::optional<record::StateLock> lock_;
  record::RecoveryReport recovered_;
  std::unique_ptr<record::SegmentStore> segments_;
  std::vector<record::PendingFile> pending_;
  record::PosixFiles files_;
  std::unique_ptr<record::SealerThread> sealer_;
  std::unique_ptr<identify::BindingTable> bindings_;
  std::unique_ptr<decide::TicketBook> tickets_;       // The sessions' TicketDesk: made before the cores, ends after them.
  identify::KeyFetchers key_fetchers_{[this](std::string_view text) { logging_->log().warn("{}", text); }};  // Made after logging_, and ends before it.
  std::shared_ptr<identify::TokenVerifier> tokens_;   // With roles_, under auth_mutex_; the API's threads look at both.
  ApiConfig roles_;                                   // Who holds which role.
  std::mutex auth_mutex_;
  std::mutex control_mutex_;                          // One request, or one tick, at a time.
  std::atomic<uint64_t> drops_noticed_{0}, pieces_lost_{0};
  std::atomic<uint64_t> acts_recorded_{0}, acts_unrecorded_{0};
  std::unique_ptr<postgres::SqlParserPool> parsers_;
  std::unique_ptr<RuntimeBuilder> builder_;
  RuntimePtr runtime_;
  std::unique_ptr<Directory> directory_;
  std::unique_ptr<accept::Admission> admission_;
  std::vector<std::unique_ptr<EngineCore>> cores_;
  std::unique_ptr<steer::SteerWatch> watch_;
  std::unique_ptr<steer::DropNotices> notices_;
  std::unique_ptr<control::ControlServer> server_;
  std::vector<kernel::Fd> api_listeners_;             // Until api_ has them.
  std::unique_ptr<control::ApiServer> api_;
};

[[nodiscard]] uint32_t core_count(const Config& config);
[[nodiscard]] std::chrono::sys_seconds wall_seconds();

}  // namespace weir::session
