#include "session/engine.h"

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "control/privileges.h"
#include "core/core_count.h"
#include "kernel/socket_address.h"
#include "kernel/upstream_socket.h"
#include "record/keys.h"
#include "session/engine_state.h"

namespace weir::session {
namespace {

constexpr std::chrono::milliseconds kDialTimeout{3'000};

// A connected socket to a target that the egress guard lets out, for the catalogue's own login.  Blocking.
Result<int> dial_blocking(const Endpoint& target, uint32_t mark) {
  DialPlan plan;
  plan.target = target;
  plan.is_transparent = false;
  plan.mark = mark;
  auto socket = kernel::prepare_upstream_socket(plan);
  if (!socket) return tl::unexpected<Error>(socket.error());
  const timeval limit{kDialTimeout.count() / 1000, 0};
  setsockopt(socket->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);  // Bounds connect() as well.
  sockaddr_storage address{};
  const socklen_t size = kernel::to_sockaddr(target, address);
  if (connect(socket->fd, reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    const int error = errno;
    close(socket->fd);
    return fail(Error::Kind::kUnavailable, "cannot reach " + target.text() + ": " + std::strerror(error), error);
  }
  const timeval none{0, 0};
  setsockopt(socket->fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none);
  return socket->fd;
}

}  // namespace

std::chrono::sys_seconds wall_seconds() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

uint32_t core_count(const Config& config) { return weir::core_count(config.engine, std::thread::hardware_concurrency()); }

Engine::~Engine() { drain(); }

Result<void> Engine::open_kernel() {
  const Config& wanted = options_.config;
  auto steering = steer::KernelSteering::open(wanted);
  if (!steering) return tl::unexpected<Error>(steering.error());
  steering_ = std::move(*steering);
  auto kernel_bindings = steer::KernelBindings::open(wanted);
  if (!kernel_bindings) return tl::unexpected<Error>(kernel_bindings.error());
  kernel_bindings_.emplace(std::move(*kernel_bindings));
  auto listeners = accept::open_listeners(core_count(wanted), steering_->client_leg_mark());
  if (!listeners) return tl::unexpected<Error>(listeners.error());
  listeners_ = std::move(*listeners);
  auto watch = steer::SteerWatch::open(wanted, [this](const steer::Loss& loss) {
    if (!loss.is_new) ++pieces_lost_;
    if (logging_) logging_->log().error("{} was lost{}{}", loss.piece, loss.is_restored ? " and put back" : " and cannot be put back: ", loss.is_restored ? "" : loss.detail);
  });
  if (!watch) return tl::unexpected<Error>(watch.error());
  watch_ = std::move(*watch);
  auto notices = steer::DropNotices::open(wanted, [this](const steer::DropNotice& notice) {
    ++drops_noticed_;
    if (logging_) logging_->log().warn("{} {} -> {}: {}", notice.is_drop ? "dropped" : "unbound", notice.source.text(), notice.destination.text(), notice.reason);
    on_dropped(notice);
    if (notifier_) notifier_->dropped(notice.reason, notice.source.text(), notice.destination.text());
  });
  if (!notices) return tl::unexpected<Error>(notices.error());
  notices_ = std::move(*notices);
  return {};
}

Result<void> Engine::open_api() {
  auto listeners = control::open_api_listeners(options_.config.api.listen);
  if (!listeners) return tl::unexpected<Error>(listeners.error());
  api_listeners_ = std::move(*listeners);
  return {};
}

Result<void> Engine::drop_privileges() {
  return control::drop_privileges({.user = options_.config.engine.user});
}

Result<void> Engine::open_record() {
  const Config& wanted = options_.config;
  logging_ = std::make_unique<control::Logging>(wanted.log);
  metrics_ = std::make_unique<MetricsRegistry>(core_count(wanted));
  auto lock = record::StateLock::take(wanted.state);
  if (!lock) return tl::unexpected<Error>(lock.error());
  lock_.emplace(std::move(*lock));
  note_signer();
  record::RecoveryOptions recovery;
  recovery.state = wanted.state;
  recovery.gateway = wanted.name;
  recovery.public_key_file = wanted.state + "/log/signing.pub";  // Beside what it verifies, for who gets the folder.
  record::PosixFiles disk;
  if (auto made = disk.make_folder(wanted.state + "/log"); !made) return made;
  if (auto put = record::replace_file(disk, recovery.public_key_file, as_bytes(signer_->client().hello().public_pem)); !put) return put;
  if (auto adopted = adopt_log(); !adopted) return adopted;
  recovery.now = std::chrono::system_clock::now();
  recovery.kernel_bytes = [left = steering_->bytes_left_behind()](uint64_t session) {
    const auto found = left.find(session);
    return found == left.end() ? std::nullopt : std::optional(found->second);
  };
  if (auto keys = open_keys(); !keys) return keys;
  recovery.keys = journal_keys_.get();
  auto recovered = record::recover(recovery);
  if (!recovered) return tl::unexpected<Error>(recovered.error());
  recovered_ = std::move(*recovered);
  for (const std::string& note : recovered_.notes) logging_->log().info("recovery: {}", note);
  for (const std::string& damage : recovered_.damage) logging_->log().error("recovery: {}", damage);
  record::SegmentStoreOptions store;
  store.folder = wanted.state + "/journal";
  store.core_count = core_count(wanted);
  store.segment_size = wanted.record.segment_size;
  store.reserve = wanted.record.reserve;
  auto segments = record::SegmentStore::start(store);
  if (!segments) return tl::unexpected<Error>(segments.error());
  segments_ = std::move(*segments);
  std::vector<record::SealerCore> sealed;
  for (uint32_t core = 0; core < core_count(wanted); ++core) {
    auto pending = record::PendingFile::create(record::pending_path(store.folder, core), {});
    if (!pending) return tl::unexpected<Error>(pending.error());
    pending_.push_back(std::move(*pending));
    sealed.push_back({core, pending_.back().memory()});
  }
  record::SealerOptions sealer;
  sealer.state = wanted.state;
  sealer.gateway = wanted.name;
  sealer.after_close = wanted.record.seal_after_close;
  sealer.every = wanted.record.seal_every;
  sealer.chunk_size = wanted.record.chunk_size;
  if (auto drawn = draw_journal_key(); !drawn) return drawn;
  sealer.keys = keys_;
  sealer.journal_keys = journal_keys_;
  tell_evidence_log(sealer);
  open_retention(sealer);
  auto opened = record::Sealer::open(sealer, signer_->client().log_key(), files_, sealed, [this](uint64_t id) { segments_->recycle(id); });
  if (!opened) return tl::unexpected<Error>(opened.error());
  sealer_ = std::make_unique<record::SealerThread>(std::move(*opened), std::chrono::milliseconds(200),
                                                   [this, said = std::string()](const Error& error) mutable {
                                                     const bool is_said = error.message == std::exchange(said, error.message);
                                                     if (is_said && error.message.starts_with("retention: ")) return;   // Five times a second, else.
                                                     logging_->log().error("sealing: {}", error.message);
                                                   });
  start_index();
  return open_countersigner();
}

// Nothing is in force before hand_over().
Result<Engine::Built> Engine::build(const Config& wanted) {
  auto tokens = identify::TokenVerifier::make(wanted.identity.issuers, [this](const IssuerConfig& issuer) { return key_fetchers_.keys_of(issuer); });
  if (!tokens) return tl::unexpected<Error>(tokens.error());
  auto runtime = builder_->build(wanted, wall_seconds());
  if (!runtime) return tl::unexpected<Error>(runtime.error());
  return Built{std::move(*runtime), std::move(*tokens)};
}

identify::BindingTable::Options Engine::binding_options(const Config& config) {
  return {config.identity.binding_ttl_max, config.identity.one_identity_per_address, config.steer.bindings_max, config.name, config.state + "/bindings.json"};
}

steer::KernelBinding Engine::kernel_binding(const identify::Binding& binding) {
  steer::KernelBinding entry;
  entry.id = binding.identity->binding_id;
  entry.where = binding.where;
  entry.until = binding.identity->expires;
  entry.link = binding.link;
  return entry;
}

Result<void> Engine::open_policy() {
  const Config& wanted = options_.config;
  changes_.emplace(*store_, wanted.name);
  auto table = identify::BindingTable::open(*store_, binding_options(wanted), wall_seconds());
  if (!table) return tl::unexpected<Error>(table.error());
  bindings_ = std::move(*table);
  if (auto set = bindings_->set_static(wanted.identity.static_bindings, wall_seconds()); !set) return tl::unexpected<Error>(set.error());
  wire_ = std::make_unique<identify::WireCredentials>(*bindings_, wanted.steer.bindings_max);
  decide::TicketBook::Options tickets;
  tickets.open_bytes_max = wanted.engine.limits.held_bytes_max;
  tickets.gateway = wanted.name;
  tickets.earlier_file = wanted.state + "/tickets.json";
  auto book = decide::TicketBook::open(*store_, tickets, wanted.approvals, wall_seconds());
  if (!book) return tl::unexpected<Error>(book.error());
  tickets_ = std::move(*book);
  if (auto uses = open_grant_uses(); !uses) return uses;
  parsers_ = std::make_unique<postgres::SqlParserPool>(wanted.engine.limits);
  builder_ = std::make_unique<RuntimeBuilder>(*parsers_, [mark = steering_->upstream_mark()](const Endpoint& target) { return dial_blocking(target, mark); },
                                              [this](std::string_view text) { logging_->log().warn("{}", text); }, signer_->client().leaf_signer());
  auto built = build(wanted);
  if (!built) return tl::unexpected<Error>(built.error());
  hand_over(std::move(*built));
  if (auto opened = open_bypasses(); !opened) return opened;
  return sync_kernel_bindings();
}

// The kernel goes by what find() goes by: an address binding hides a static one until it ends.
Result<void> Engine::sync_kernel_bindings() {
  std::vector<uint32_t> interfaces = client_interfaces();
  std::vector<steer::KernelBinding> all;
  for (const identify::Binding& binding : bindings_->in_force(wall_seconds())) all.push_back(kernel_binding(binding));
  auto gone = kernel_bindings_->replace(all);
  if (!gone) return tl::unexpected<Error>(gone.error());
  for (const uint64_t id : *gone) steering_->cut_binding(id);
  client_interfaces_ = std::move(interfaces);
  return {};
}

// 0: it is not there.
std::vector<uint32_t> Engine::client_interfaces() const {
  std::vector<uint32_t> indices;
  for (const std::string& name : config().steer.clients) indices.push_back(if_nametoindex(name.c_str()));
  return indices;
}

Result<void> Engine::start_cores() {
  const Config& wanted = options_.config;
  directory_ = std::make_unique<Directory>(recovered_.next_session);
  tickets_->set_on_answer([this](uint64_t session) {
    if (const auto live = directory_->find(session)) cores_[live->core]->post(Request::kWakeSession, session);
  });
  admission_ = std::make_unique<accept::Admission>(wanted.engine.limits);
  open_desk();
  std::vector<steer::CoreListeners> table;
  for (uint32_t index = 0; index < core_count(wanted); ++index) {
    const accept::CoreListenerSockets& sockets = listeners_[index];
    const record::CoreNumbers numbers = recovered_.numbers(index);
    EngineCore::Parts parts;
    parts.index = index;
    parts.tickets = ticket_watch_.get();
    parts.notices = notifier_->queue(index);
    parts.credentials = desk_.get();
    parts.cpu = wanted.engine.cores.empty() ? -1 : static_cast<int>(wanted.engine.cores[index]);
    parts.runtime = runtime_;
    parts.journal.gateway = wanted.name;
    parts.journal.key = journal_key_;
    parts.journal.core = index;
    parts.journal.first_group = numbers.next_group;
    parts.journal.first_segment = numbers.next_segment;
    parts.journal.commit_every = wanted.record.commit_every;
    parts.journal.write_token = owner_token(Owner::kJournal, OpKind::kWrite);
    parts.journal.timer_token = owner_token(Owner::kJournal, OpKind::kTimer);
    parts.supply = &segments_->supply(index);
    parts.pending = pending_[index].memory();
    parts.steering = steering_.get();
    parts.counters = &metrics_->core(index);
    parts.directory = directory_.get();
    parts.admission = admission_.get();
    for (const int fd : {sockets.v4.get(), sockets.v6.get()}) {
      if (fd >= 0) parts.listeners.push_back(fd);
    }
    parts.ended_binding = [this](const Address& address, std::chrono::sys_seconds now) { return ended_binding(address, now); };
    parts.grant_uses = grant_uses_.get();
    parts.identity_of = [this](const Address& address, std::chrono::sys_seconds now) { return bindings_->find(address, now); };
    auto core = EngineCore::start(std::move(parts));
    if (!core) return tl::unexpected<Error>(core.error());
    cores_.push_back(std::move(*core));
    table.push_back({sockets.v4.get(), sockets.v6.get()});
  }
  for (const auto& core : cores_) core->listen();
  bindings_->set_on_foreign([this] {
    const std::lock_guard lock(control_mutex_);
    take_foreign_bindings();
  });
  return steering_->set_listeners(table);
}

Result<void> Engine::start_control() {
  control::ControlServer::Options server;
  server.socket = options_.config.control.socket.empty() ? options_.config.state + "/control.sock" : options_.config.control.socket;
  if (!options_.config.control.metrics.empty()) {
    const std::string& text = options_.config.control.metrics;
    const std::size_t colon = text.rfind(':');
    auto address = Address::parse(text.substr(0, colon).starts_with('[') ? text.substr(1, colon - 2) : text.substr(0, colon));
    if (!address) return tl::unexpected<Error>(address.error());
    server.metrics = Endpoint{*address, static_cast<uint16_t>(std::stoi(text.substr(colon + 1)))};
  }
  auto opened = control::ControlServer::open(server, *this);
  if (!opened) return tl::unexpected<Error>(opened.error());
  server_ = std::move(*opened);
  note_start();
  note_access("start");
  server_->watch(watch_->fd(), [this] { watch_->handle(); });
  server_->watch(notices_->fd(), [this] { notices_->handle(); });
  server_->every(std::chrono::seconds(1), [this] { on_tick(); });
  server_->every(std::chrono::minutes(1), [this] { steering_->sweep(); });
  server_->start();
  start_retention();
  if (api_listeners_.empty()) return {};
  auto api = control::ApiServer::start(options_.config.api, std::move(api_listeners_), {*this, *this, options_.config.state, portal_.get(), keys_.openers});
  if (!api) return tl::unexpected<Error>(api.error());
  const std::lock_guard lock(control_mutex_);  // metrics() looks at it, and may be asked already.
  api_ = std::move(*api);
  return {};
}

// Once a change, not once a second.
void Engine::tell_space() {
  const bool is_full = segments_->counts().is_full;
  if (is_full == is_record_full_) return;
  is_record_full_ = is_full;
  tell(NoticeEvent::kDiskLow, NoticeSeverity::kCritical, "record", is_full ? "the record has no room: new sessions and commands are refused" : "the record has room again", !is_full);
  if (is_full) {
    logging_->log().error("record: no room under {}: new sessions and commands are refused; free space, or lower record.journal.reserve", config().state);
  } else {
    logging_->log().info("record: there is room again under {}", config().state);
  }
}

// A client interface that came anew has another index, and bindings hold to the index.
void Engine::follow_interfaces() {
  if (client_interfaces() == client_interfaces_) return;
  if (auto synced = sync_kernel_bindings(); !synced) logging_->log().error("bindings: {}", synced.error().message);
}

// Bindings that have ended take their sessions with them; TLS material is renewed before it expires.
void Engine::on_tick() {
  const std::lock_guard lock(control_mutex_);
  watch_signer();
  tell_space();
  watch_->handle();
  watch_for_notices();
  follow_interfaces();
  close_bypasses();
  tickets_->expire(wall_seconds());
  take_foreign_bindings();
  expire_changes();
  note_access("retry");
  wire_->expire(wall_seconds());
  auto ended = bindings_->expire(wall_seconds());
  grant_uses_->set_grants(config().grants, wall_seconds());
  if (ended) {
    ended_bindings_.note(*ended);
    end_bindings(*ended);
  } else {
    logging_->log().error("bindings: {}", ended.error().message);
  }
  if (wall_seconds() >= builder_->refresh_at()) {
    if (auto built = build(config()); built) {
      hand_over(std::move(*built));
    } else {
      logging_->log().error("renewing certificates: {}", built.error().message);
    }
  }
}

void Engine::hand_over(Built built) {
  runtime_ = std::move(built.runtime);
  {
    const std::lock_guard lock(auth_mutex_);
    tokens_ = std::move(built.tokens);
    roles_ = runtime_->config.api;
    certificates_ = std::make_shared<const CertificatesConfig>(runtime_->config.identity.certificates);
  }
  portal_->set(control::portal_settings(runtime_->config));
  note_rule_tags(runtime_->config);
  retention_->set_config(runtime_->config.retention);
  for (const auto& core : cores_) core->hand_over(runtime_);
}

void Engine::serve_until_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  int signal = 0;
  sigwait(&set, &signal);
  logging_->log().info("draining: {}", signal == SIGTERM ? "SIGTERM" : "SIGINT");
}

void Engine::drain() {
  if (retention_) retention_->close();
  if (steering_) steering_->clear_listeners();
  if (admission_) admission_->close();
  portal_->stop();
  if (api_) api_->stop();
  if (server_) server_->stop();
  if (bindings_) bindings_->set_on_foreign(nullptr);
  for (const auto& core : cores_) {
    core->post(Request::kDrain);
    core->listen();
  }
  for (const auto& core : cores_) core->join();
  cores_.clear();
  if (notifier_) notifier_->stop();
  if (grant_uses_) {
    if (auto saved = grant_uses_->save(); !saved) logging_->log().error("uses of grants: {}", saved.error().message);
  }
  is_asking_over_ = true;
  countersigner_.reset();
  index_.reset();
  if (sealer_) {
    if (auto finished = sealer_->finish(); !finished) logging_->log().error("sealing: {}", finished.error().message);
    sealer_.reset();
  }
  if (signer_) signer_->end();  // The last seal is made.
}

Result<void> run_engine(EngineOptions options) {
  if (auto hard = control::harden_process(); !hard) return hard;
  // Blocked before the first thread, so that all inherit it and serve_until_signal() alone takes them.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  // libpq looks for client certificates in the home folder: never in that of who started us, which our user may not read.
  setenv("HOME", options.config.state.c_str(), 1);
  signal(SIGHUP, SIG_IGN);
  Engine engine(std::move(options));
  for (auto step : {&Engine::open_signer, &Engine::open_kernel, &Engine::open_api, &Engine::drop_privileges, &Engine::open_record, &Engine::open_store, &Engine::open_policy, &Engine::open_notifier, &Engine::start_cores, &Engine::start_control}) {
    if (auto done = (engine.*step)(); !done) return done;
  }
  engine.serve_until_signal();
  engine.drain();
  return engine.outcome();
}

}  // namespace weir::session
