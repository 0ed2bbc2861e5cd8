// Everything the engine process holds, in the order in which it is built; destroyed in reverse.
#pragma once
#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "control/api_server.h"
#include "control/control_handler.h"
#include "control/control_server.h"
#include "control/logging.h"
#include "control/metrics_text.h"
#include "control/portal.h"
#include "decide/ticket_book.h"
#include "identify/bindings.h"
#include "identify/credential_thread.h"
#include "identify/ended_bindings.h"
#include "identify/token.h"
#include "notify/notifier.h"
#include "record/countersigner.h"
#include "record/index_feed.h"
#include "record/recovery.h"
#include "record/sealer.h"
#include "record/segment_store.h"
#include "session/change_book.h"
#include "session/engine.h"
#include "session/engine_core.h"
#include "session/grant_uses.h"
#include "session/runtime_builder.h"
#include "session/ticket_watch.h"
#include "signer/process.h"
#include "steer/drop_notices.h"
#include "steer/kernel_bindings.h"
#include "steer/kernel_bypasses.h"
#include "steer/kernel_steering.h"
#include "steer/steer.h"
#include "steer/steer_watch.h"
#include "store/measured_store.h"

namespace weir::session {

class Engine final : public control::ControlHandler, public control::ApiHost, public control::PortalHost {
 public:
  explicit Engine(EngineOptions options) : options_(std::move(options)) {}
  ~Engine() override;

  // engine.cc.  In this order; the first error ends it.
  [[nodiscard]] Result<void> open_signer();        // engine_signer.cc: before anything that an enemy may have written is read.
  [[nodiscard]] Result<void> open_kernel();        // Needs privileges.
  [[nodiscard]] Result<void> open_api();           // Its ports, which may be below 1024.
  [[nodiscard]] Result<void> drop_privileges();
  [[nodiscard]] Result<void> open_record();
  [[nodiscard]] Result<void> open_store();
  [[nodiscard]] Result<void> open_policy();
  [[nodiscard]] Result<void> open_notifier();      // engine_notify.cc
  [[nodiscard]] Result<void> start_cores();
  [[nodiscard]] Result<void> start_control();
  void serve_until_signal();
  void drain();
  [[nodiscard]] Result<void> outcome() const;      // engine_signer.cc: whether it ended as it was asked to.

  // engine_acts.cc
  Result<nlohmann::json> handle(std::string_view verb, const nlohmann::json& arguments, const control::ControlPeer& peer) override;
  Result<control::ApiCaller> authenticate(std::string_view token) override;
  // engine_portal.cc
  std::optional<Holder> holder_of(const Address& address) override;
  Result<identify::VerifiedToken> verify_token(std::string_view token) override;
  Result<identify::VerifiedToken> verify_id_token(std::string_view token, std::string_view client_id, std::string_view nonce) override;
  void tell(std::string_view text) override;
  // engine_control.cc
  std::string metrics() override;

 private:
  [[nodiscard]] Result<nlohmann::json> carry_out(std::string_view verb, const nlohmann::json& arguments, const control::ControlPeer& peer);
  [[nodiscard]] bool record_act(Act act);
  [[nodiscard]] const Config& config() const { return runtime_->config; }
  [[nodiscard]] nlohmann::json status() const;
  // How a reload is asked for: only what it would do; or bound to the digest of what is to come in force.
  struct ReloadHow { std::string digest; bool is_preview = false; };
  [[nodiscard]] Result<nlohmann::json> reload(const nlohmann::json& arguments, const control::ControlPeer& peer, const ReloadHow& how = {"", false});
  [[nodiscard]] Result<nlohmann::json> bind(const nlohmann::json& arguments, const control::ControlPeer& peer);
  [[nodiscard]] Result<nlohmann::json> revoke(const nlohmann::json& arguments, const control::ControlPeer& peer);
  [[nodiscard]] Result<nlohmann::json> cut(const nlohmann::json& arguments, const control::ControlPeer& peer);
  [[nodiscard]] nlohmann::json bindings() const;
  [[nodiscard]] nlohmann::json sessions() const;
  [[nodiscard]] nlohmann::json profile() const;
  [[nodiscard]] nlohmann::json rules() const;
  [[nodiscard]] nlohmann::json grants() const;
  // engine_portal.cc
  [[nodiscard]] std::shared_ptr<identify::TokenVerifier> verifier();
  [[nodiscard]] Result<void> may_bind(const identify::VerifiedToken& token, const control::ControlPeer& peer) const;
  [[nodiscard]] Result<nlohmann::json> bound(const nlohmann::json& arguments);
  [[nodiscard]] nlohmann::json portal_status() const;
  // engine_trace.cc
  [[nodiscard]] Result<void> open_grant_uses();
  void save_grant_uses(std::chrono::sys_seconds now);
  [[nodiscard]] nlohmann::json uses_of(const std::string& grant) const;
  [[nodiscard]] Result<nlohmann::json> explain(const nlohmann::json& arguments) const;
  [[nodiscard]] Result<IdentityPtr> who_asks(const nlohmann::json& arguments, std::chrono::sys_seconds at, nlohmann::json& about) const;
  [[nodiscard]] std::string ended_binding(const Address& address, std::chrono::sys_seconds now) const;
  void on_dropped(const steer::DropNotice& notice);
  // engine_changes.cc
  struct Wanted { std::string digest, text; nlohmann::json change; };   // What an act would do.
  [[nodiscard]] Result<Wanted> wanted_by(const std::string& verb, const nlohmann::json& arguments, const control::ControlPeer& peer);
  [[nodiscard]] bool needs_second_person(std::string_view verb) const;
  [[nodiscard]] Result<nlohmann::json> ask_change(const std::string& verb, const nlohmann::json& arguments, const control::ControlPeer& peer);
  [[nodiscard]] Result<nlohmann::json> list_changes(const nlohmann::json& arguments);
  [[nodiscard]] Result<nlohmann::json> answer_change(std::string_view verb, const nlohmann::json& arguments, const control::ControlPeer& peer);
  void note_start();
  void keep_in_force();
  void expire_changes();
  // engine_access.cc
  void note_access(const char* why);
  [[nodiscard]] Result<nlohmann::json> sign_off(const nlohmann::json& arguments) const;
  [[nodiscard]] Result<nlohmann::json> estimate_ticket(const nlohmann::json& arguments);   // engine_estimate.cc
  // engine_wire.cc: credentials on the wire
  void open_desk();
  uint32_t cut_wire(const std::vector<identify::WireCredential>& ended);
  static nlohmann::json describe_wire(const identify::WireCredential& credential);
  // engine_tickets.cc
  [[nodiscard]] Result<nlohmann::json> list_tickets(const nlohmann::json& arguments);
  [[nodiscard]] Result<nlohmann::json> answer_ticket(std::string_view verb, const nlohmann::json& arguments, const control::ControlPeer& peer);
  [[nodiscard]] Result<decide::Reviewer> reviewer_of(const nlohmann::json& arguments, const control::ControlPeer& peer);
  [[nodiscard]] std::vector<control::MetricSample> ticket_samples() const;
  // engine_store.cc
  void take_foreign_bindings();  // Pre: control_mutex_ is held.
  [[nodiscard]] nlohmann::json store_status() const;
  [[nodiscard]] std::vector<control::MetricSample> store_samples() const;
  // engine_notify.cc
  [[nodiscard]] static Result<notify::NotifierSetup> notifier_setup(const Config& wanted);
  [[nodiscard]] static NoticeSeverity severity_of(std::string_view name);
  void tell(Notice notice);
  void tell(NoticeEvent event, NoticeSeverity severity, std::string rule, std::string text, bool is_back = false);
  void watch_for_notices();
  [[nodiscard]] nlohmann::json sinks() const;
  [[nodiscard]] std::vector<control::MetricSample> notify_samples() const;
  [[nodiscard]] Result<nlohmann::json> list_alerts(const nlohmann::json& arguments);
  [[nodiscard]] Result<nlohmann::json> close_alert(const nlohmann::json& arguments, const control::ControlPeer& peer);
  [[nodiscard]] Result<nlohmann::json> test_sinks(const nlohmann::json& arguments);
  [[nodiscard]] nlohmann::json sink_tests(const nlohmann::json& arguments) const;
  void count_impersonation(Impersonation kind);
  void tell_impersonation(Impersonation kind, const std::string& subject, const std::string& text);
  void sweep_callbacks(std::chrono::sys_seconds now);   // This and save_grant_uses(): on the notifier's thread.
  // Post: `peer` has the subject and `asked` {ticket, action, reason}, as far as they were found out.
  [[nodiscard]] Result<nlohmann::json> callback(const nlohmann::json& arguments, control::ControlPeer& peer, nlohmann::json& asked);
  // engine_bypass.cc
  [[nodiscard]] Result<void> open_bypasses();
  [[nodiscard]] Result<nlohmann::json> start_bypass(const nlohmann::json& arguments, const control::ControlPeer& peer);
  [[nodiscard]] Result<nlohmann::json> end_bypass(const nlohmann::json& arguments);
  [[nodiscard]] nlohmann::json list_bypasses() const;
  void close_bypasses();
  [[nodiscard]] std::vector<control::MetricSample> bypass_samples() const;
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
  [[nodiscard]] std::vector<uint32_t> client_interfaces() const;
  void follow_interfaces();
  // engine_signer.cc
  void note_signer() const;
  [[nodiscard]] Result<void> adopt_log();
  void watch_signer();
  [[nodiscard]] nlohmann::json signer_status() const;
  [[nodiscard]] std::vector<control::MetricSample> signer_samples() const;
  Result<void> open_keys();                         // engine_keys.cc: of the session archives.
  Result<void> draw_journal_key();
  // engine_evidence.cc: what the evidence log says of the engine beside sessions and acts.
  void tell_evidence_log(record::SealerOptions&);
  [[nodiscard]] nlohmann::json heartbeat() const;   // By the sealer's thread.
  // engine_retention.cc
  void open_retention(record::SealerOptions&);
  void start_retention();
  void note_rule_tags(const Config&);
  [[nodiscard]] Result<nlohmann::json> add_hold(const nlohmann::json& arguments, const control::ControlPeer& peer);
  [[nodiscard]] Result<nlohmann::json> remove_hold(const nlohmann::json& arguments);
  [[nodiscard]] Result<nlohmann::json> list_holds() const;
  [[nodiscard]] Result<nlohmann::json> run_retention();
  [[nodiscard]] nlohmann::json show_retention() const;
  [[nodiscard]] nlohmann::json retention_status() const;
  [[nodiscard]] std::vector<control::MetricSample> retention_samples() const;
  [[nodiscard]] Result<void> open_countersigner();
  void watch_countersigner();                       // Pre: control_mutex_ is held.
  [[nodiscard]] nlohmann::json countersigners() const;
  [[nodiscard]] std::vector<control::MetricSample> countersign_samples() const;
  void start_index();
  [[nodiscard]] nlohmann::json index_status() const;
  [[nodiscard]] std::vector<control::MetricSample> index_samples() const;

  EngineOptions options_;
  std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
  std::unique_ptr<signer::Process> signer_;           // Holds the keys; ends after all that asks it.
  std::atomic<bool> is_signer_lost_{false};
  bool is_record_full_ = false;
  std::vector<uint32_t> client_interfaces_;         // Indices of steer.clients, as bindings in the kernel were last written by.
  std::string on_disk_ = "in force";                // Of the configuration file, as the last reload found it.
  std::unique_ptr<steer::KernelSteering> steering_;
  std::optional<steer::KernelBindings> kernel_bindings_;
  struct BypassNote { std::string by, reason; std::chrono::sys_seconds until{}; };
  std::optional<steer::KernelBypasses> bypasses_;
  std::map<std::string, BypassNote> bypass_notes_;    // By target: those whose end is not on the record yet.
  std::vector<accept::CoreListenerSockets> listeners_;
  std::unique_ptr<control::Logging> logging_;
  std::unique_ptr<MetricsRegistry> metrics_;
  std::optional<record::StateLock> lock_;
  record::RecoveryReport recovered_;
  std::unique_ptr<record::SegmentStore> segments_;
  std::vector<record::PendingFile> pending_;
  record::PosixFiles files_;
  record::LeafQueue leaves_;
  record::KeyRing keys_;                              // Of the record.
  std::shared_ptr<record::JournalKeys> journal_keys_;
  std::shared_ptr<const record::JournalKey> journal_key_;   // Of this run; null: its journal is in clear.
  std::unique_ptr<record::RetentionDesk> retention_;  // What is kept; the sealer looks at it.
  std::mutex rule_tags_mutex_;
  std::map<std::string, std::set<std::string>> rule_tags_;
  std::atomic<uint64_t> tidy_round_{0};               // How often the cores were asked to tidy their journals.
  std::unique_ptr<record::SealerThread> sealer_;
  std::atomic<bool> is_asking_over_{false};           // Ends what the countersigner waits for.
  std::unique_ptr<record::CountersignerThread> countersigner_;
  std::map<std::string, record::CountersignState::Health> countersign_told_;
  std::unique_ptr<record::IndexThread> index_;        // Reads what the sealer wrote; a cache.
  std::unique_ptr<store::MeasuredStore> store_;       // What outlives the process; ends after all that writes to it.
  std::unique_ptr<identify::BindingTable> bindings_;
  identify::EndedBindings ended_bindings_;
  Impersonation impersonation_ = Impersonation::kNone;  // What the request that is carried out tried; under control_mutex_.
  std::chrono::sys_seconds dropped_told_{};           // When on_dropped() last put one on the record.
  std::unique_ptr<GrantUses> grant_uses_;             // The cores hand over to it: made before them, ends after them.
  std::chrono::sys_seconds grant_uses_saved_{};
  std::string access_noted_;                          // The configuration whose access list is on the record.
  std::chrono::sys_seconds access_tried_{};           // When the record did not take it.
  std::optional<ChangeBook> changes_;
  std::chrono::sys_seconds changes_looked_at_{};
  bool is_store_told_ = false;
  std::unique_ptr<identify::WireCredentials> wire_;   // What sessions proved themselves with.
  std::unique_ptr<decide::TicketBook> tickets_;       // The sessions' TicketDesk: made before the cores, ends after them.
  std::unique_ptr<TicketWatch> ticket_watch_;         // Before the book: what the cores have.
  std::unique_ptr<notify::Notifier> notifier_;        // Looks at both; ends after the cores and before them.
  std::map<std::string, notify::Secrets> sink_secrets_;
  std::set<std::string> issuers_down_;
  uint64_t journal_refused_ = 0;
  std::chrono::sys_seconds callbacks_swept_{};
  struct { uint64_t done = 0, unsigned_ = 0, replayed = 0, refused = 0; } callbacks_;
  identify::KeyFetchers key_fetchers_{[this](std::string_view text) { logging_->log().warn("{}", text); }};  // Made after logging_, and ends before it.
  std::shared_ptr<identify::TokenVerifier> tokens_;   // With roles_, under auth_mutex_; the API's threads look at both.
  ApiConfig roles_;                                   // Who holds which role.
  std::shared_ptr<const CertificatesConfig> certificates_;  // Under auth_mutex_ as well.
  std::mutex auth_mutex_;
  std::mutex control_mutex_;                          // One request, or one tick, at a time.
  std::atomic<uint64_t> drops_noticed_{0}, pieces_lost_{0};
  std::atomic<uint64_t> acts_recorded_{0}, acts_unrecorded_{0};
  std::unique_ptr<postgres::SqlParserPool> parsers_;
  std::unique_ptr<RuntimeBuilder> builder_;
  RuntimePtr runtime_;
  // The last estimate of a held command; the thread that makes it uses nothing of the engine's but what it was given.
  struct Estimating { uint64_t ticket; std::chrono::steady_clock::time_point begun; std::shared_future<Result<nlohmann::json>> answer; };
  std::optional<Estimating> estimate_;
  std::unique_ptr<Directory> directory_;
  std::unique_ptr<accept::Admission> admission_;
  std::unique_ptr<identify::CredentialThread> desk_;  // The sessions' CredentialDesk: ends after the cores.
  std::vector<std::unique_ptr<EngineCore>> cores_;
  std::unique_ptr<steer::SteerWatch> watch_;
  std::unique_ptr<steer::DropNotices> notices_;
  std::unique_ptr<control::ControlServer> server_;
  std::unique_ptr<control::Portal> portal_ = std::make_unique<control::Portal>(*this, *this, control::Portal::Options{});
  std::vector<kernel::Fd> api_listeners_;             // Until api_ has them.
  std::unique_ptr<control::ApiServer> api_;
};

// "local:NAME": the login that su and sudo do not change; without one (a service) the uid that asks.
[[nodiscard]] std::string local_name(const control::ControlPeer& peer);
[[nodiscard]] uint32_t core_count(const Config& config);
[[nodiscard]] std::chrono::sys_seconds wall_seconds();

}  // namespace weir::session
