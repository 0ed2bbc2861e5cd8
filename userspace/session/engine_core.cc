#include "session/engine_core.h"

#include <pthread.h>
#include <sched.h>

namespace weir::session {
namespace {

void pin_to(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);  // A hint: where it is refused the thread runs anywhere.
}

}  // namespace

Result<std::unique_ptr<EngineCore>> EngineCore::start(Parts parts) {
  std::unique_ptr<EngineCore> core(new EngineCore);
  std::promise<Result<void>> started;
  auto result = started.get_future();
  const std::string name = "weir-core-" + std::to_string(parts.index);
  core->thread_ = std::thread([self = core.get(), moved = std::move(parts), &started]() mutable { self->run(std::move(moved), started); });
  pthread_setname_np(core->thread_.native_handle(), name.c_str());
  if (auto outcome = result.get(); !outcome) {
    core->is_released_ = true;
    core->thread_.join();
    return tl::unexpected<Error>(outcome.error());
  }
  return core;
}

EngineCore::~EngineCore() {
  if (!thread_.joinable()) return;
  post(Request::kDrain);
  listen();
  thread_.join();
}

void EngineCore::listen() {
  if (!is_released_.exchange(true)) go_.set_value();
}

void EngineCore::post(Request request, uint64_t argument) { io_->post(encode(request, argument)); }
uint64_t EngineCore::tidied() const { return loop_->tidied(); }
void EngineCore::hand_over(RuntimePtr runtime) { loop_->hand_over(std::move(runtime)); }
std::future<bool> EngineCore::hand_over_act(Act act) { return loop_->hand_over_act(std::move(act)); }
void EngineCore::join() {
  if (thread_.joinable()) thread_.join();
}

void EngineCore::run(Parts parts, std::promise<Result<void>>& started) {
  pin_to(parts.cpu);
  const Limits limits = parts.runtime->config.engine.limits;
  auto io = io::UringIo::create(limits, *parts.counters);
  if (!io) return started.set_value(tl::unexpected<Error>(io.error()));
  record::JournalWriter journal(parts.journal, **io, *parts.supply, parts.pending, *parts.counters);
  CoreLoop loop({**io, journal, *parts.steering, *parts.counters, *parts.directory, *parts.admission, parts.runtime, parts.index, parts.identity_of, parts.tickets, parts.ended_binding, parts.grant_uses, parts.notices, parts.credentials});
  parts.runtime = nullptr;  // The loop holds the one in force.
  io_ = io->get();
  loop_ = &loop;
  auto go = go_.get_future();
  started.set_value({});
  go.wait();
  loop.listen(parts.listeners);
  while (!loop.is_drained()) loop.turn();
}

}  // namespace weir::session
