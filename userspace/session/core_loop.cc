#include "session/core_loop.h"

#include <algorithm>

#include "base/check.h"

namespace weir::session {
namespace {

constexpr std::chrono::milliseconds kTick{100};
constexpr std::size_t kScratchSize = 2u << 20;
constexpr uint32_t kBlocks = 1024;  // 16 MiB a core; more are taken from the heap and counted.

Owner owner_of(OpToken token) { return static_cast<Owner>(token.owner >> 1); }

}  // namespace

CoreLoop::CoreLoop(Parts parts)
    : io_(parts.io),
      journal_(parts.journal),
      scratch_(kScratchSize),
      blocks_(kBlocks, parts.runtime->config.engine.limits.session_arena_size),
      cancels_(parts.io, parts.counters, static_cast<uint8_t>(Owner::kCancel)),
      services_{parts.io,        parts.journal,   {},  parts.steering, parts.counters, blocks_, scratch_,
                parts.directory, parts.admission, std::move(parts.runtime), parts.core, std::move(parts.identity_of), {}, parts.credentials, parts.tickets, nullptr, std::move(parts.ended_binding), nullptr, parts.notices},
      acts_(parts.journal, [this] { return io_.wall(); }, parts.directory, services_.runtime->config.name),
      grant_uses_(parts.grant_uses) {
  services_.grant_uses = &grant_uses_;
  grant_uses_.set_grants(services_.runtime->config.grants);
  services_.deliver_cancel = [this](const Endpoint& target, Bytes request) {
    cancels_.deliver(target, services_.steering.upstream_mark(), request);
  };
  services_.scan_scratch = services_.runtime->policy->make_scratch();
  add_facts();
  arm_tick();
}

void CoreLoop::add_facts() {
  for (const TargetRuntime& target : services_.runtime->targets) {
    if (target.facts_index >= facts_.size()) facts_.resize(target.facts_index + 1);
    if (!facts_[target.facts_index]) facts_[target.facts_index] = target.make_facts([this] { io_.post(encode(Request::kWakeFacts)); });
  }
  services_.facts.clear();
  for (const auto& source : facts_) services_.facts.push_back(source.get());
}

CoreLoop::~CoreLoop() {
  WEIR_CHECK(live_ == 0);
  grant_uses_.flush({}, true);
}

void CoreLoop::listen(std::span<const int> listeners) {
  for (const int listener : listeners) {
    OpToken token = owner_token(Owner::kListener, OpKind::kAccept);
    token.slot = static_cast<uint32_t>(listeners_.size());
    listeners_.push_back(listener);
    io_.accept(listener, token);
  }
}

void CoreLoop::hand_over(RuntimePtr runtime) {
  {
    const std::lock_guard lock(handover_mutex_);
    handover_ = std::move(runtime);
  }
  io_.post(encode(Request::kRuntime));
}

std::future<bool> CoreLoop::hand_over_act(Act act) {
  std::promise<bool> done;
  auto result = done.get_future();
  {
    const std::lock_guard lock(handover_mutex_);
    handed_acts_.emplace_back(std::move(act), std::move(done));
  }
  io_.post(encode(Request::kAct));
  return result;
}

void CoreLoop::take_acts() {
  std::vector<std::pair<Act, std::promise<bool>>> taken;
  {
    const std::lock_guard lock(handover_mutex_);
    taken.swap(handed_acts_);
  }
  for (auto& [act, done] : taken) acts_.write(act, std::move(done));
}

void CoreLoop::arm_tick() { io_.timer(kTick, owner_token(Owner::kLoop, OpKind::kTimer)); }

template <class Visit>
void CoreLoop::each_session(Visit visit) {
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
    if (!slots_[slot].session) continue;
    visit(*slots_[slot].session);
    after(slot);
  }
}

std::string CoreLoop::describe() const {
  std::string text;
  for (const Slot& slot : slots_) {
    if (slot.session) text += slot.session->describe() + "\n";
  }
  return text;
}

void CoreLoop::turn() {
  has_sent_ = false;
  for (Completion& completion : io_.turn()) dispatch(completion);
  wake_facts();
  if (has_sent_ && !starved_.empty()) {
    woken_.swap(starved_);
    for (const uint32_t slot : woken_) {
      if (!slots_[slot].session) continue;
      slots_[slot].session->feed();
      after(slot);
    }
    woken_.clear();
  }
  journal_.end_turn();
}

void CoreLoop::dispatch(Completion& completion) {
  switch (owner_of(completion.token)) {
    case Owner::kListener:
      // post()'s token is all zero but its kind.
      if (completion.token.kind == OpKind::kMessage) return on_posted(completion.value);
      return on_accepted(completion);
    case Owner::kSession: {
      const uint32_t slot = completion.token.slot;
      if (slot >= slots_.size() || !slots_[slot].session || slots_[slot].generation != completion.token.generation) return;
      has_sent_ = has_sent_ || completion.token.kind == OpKind::kSend;
      slots_[slot].session->on_completion(completion);
      return after(slot);
    }
    case Owner::kJournal:
      journal_.on_completion(completion);
      return on_journal();
    case Owner::kLoop: return on_tick();
    case Owner::kCancel: return cancels_.on_completion(completion);
  }
}

void CoreLoop::on_accepted(const Completion& completion) {
  const uint32_t listener = completion.token.slot;
  if (!completion.more && listener < listeners_.size() && !is_draining_) io_.accept(listeners_[listener], completion.token);
  if (completion.result < 0) {
    if (completion.result != -ECANCELED && completion.result != -ECONNABORTED) services_.counters.add(Metric::kSystemErrors);
    return;
  }
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  ++slot.generation;
  slot.session = std::make_unique<Session>(services_, index, slot.generation, static_cast<uint8_t>(Owner::kSession));
  ++live_;
  slot.session->start(completion.result);
  if (slot.session->id() != 0) slot_of_[slot.session->id()] = index;
  if (is_draining_) slot.session->drain();
  after(index);
}

// A session was stepped: does it wait for the disk, for buffers, or is it over?
void CoreLoop::after(uint32_t index) {
  Slot& slot = slots_[index];
  Session& session = *slot.session;
  if (session.is_finished()) {
    slot_of_.erase(session.id());
    slot.session.reset();
    slot.is_waiting = false;
    free_.push_back(index);
    --live_;
    return;
  }
  if (!slot.is_waiting && (session.waits_for_group() != 0 || session.is_held_back())) {
    slot.is_waiting = true;
    waiting_.push_back(index);
  }
  if (session.is_starved() && std::find(starved_.begin(), starved_.end(), index) == starved_.end()) starved_.push_back(index);
}

void CoreLoop::on_journal() {
  acts_.on_journal();
  woken_.swap(waiting_);
  for (const uint32_t index : woken_) {
    Slot& slot = slots_[index];
    if (!slot.session || !slot.is_waiting) continue;
    slot.is_waiting = false;
    if (slot.session->waits_for_group() <= journal_.durable_upto() || journal_.has_failed()) slot.session->wake();
    after(index);
  }
  woken_.clear();
}

void CoreLoop::wake_facts() {
  for (const auto& facts : facts_) {
    if (!facts) continue;
    for (const uint64_t id : facts->collect()) {
      const auto found = slot_of_.find(id);
      if (found == slot_of_.end()) continue;
      const uint32_t index = found->second;
      slots_[index].session->wake();
      after(index);
    }
  }
}

void CoreLoop::on_posted(uint64_t value) {
  const uint64_t argument = value & 0x00ffffffffffffffULL;
  switch (static_cast<Request>(value >> 56)) {
    case Request::kWakeFacts: break;  // turn() collects.
    case Request::kRuntime: {
      const std::lock_guard lock(handover_mutex_);
      if (handover_) {
        services_.runtime = std::move(handover_);
        grant_uses_.set_grants(services_.runtime->config.grants);
        add_facts();
        services_.scan_scratch = services_.runtime->policy->make_scratch();
      }
      handover_ = nullptr;
      break;
    }
    case Request::kWakeSession:
      if (const auto found = slot_of_.find(argument); found != slot_of_.end()) {
        const uint32_t index = found->second;
        slots_[index].session->wake();
        after(index);
      }
      break;
    case Request::kCutSession:
      each_session([&](Session& session) { if (session.id() == argument) session.cut("by an administrator"); });
      break;
    case Request::kCutBinding:
      each_session([&](Session& session) {
        if (session.identity() && session.identity()->binding_id == argument) session.cut("its binding was revoked or has ended");
      });
      break;
    case Request::kAct: return take_acts();
    case Request::kTidyJournal:
      journal_.tidy();
      tidied_ = argument;
      return;
    case Request::kDrain:
      is_draining_ = true;
      take_acts();
      acts_.close();
      each_session([](Session& session) { session.drain(); });
      journal_.flush();
      break;
  }
}

void CoreLoop::on_tick() {
  each_session([](Session& session) { session.on_tick(); });
  grant_uses_.flush(io_.wall(), is_draining_);
  if (is_draining_ && live_ == 0) journal_.flush();
  arm_tick();
}

}  // namespace weir::session
