#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>

#include "base/check.h"
#include "parse/postgres/facts_pool_impl.h"
#include "parse/postgres/sql_lexer.h"

namespace weir::postgres {

namespace {
constexpr uint32_t kQuickDepthMax = 1000;             // Deeper trees take tens of milliseconds: not in the quick lane.
constexpr std::size_t kStackKept = 1u << 20;
constexpr std::size_t kTrimFrom = 1u << 20;           // A text from this size on leaves hundreds of megabytes in the allocator.
}  // namespace

GuardedStack::GuardedStack(std::size_t size) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  size_ = (size + page - 1) / page * page;
  // Not populated, not accounted: only what a deep tree touches costs memory.  16 guard pages: no frame is larger.
  const std::size_t guard = 16 * page;
  mapping_ = mmap(nullptr, size_ + guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  WEIR_CHECK(mapping_ != MAP_FAILED);
  base_ = static_cast<char*>(mapping_) + guard;
  WEIR_CHECK(mprotect(base_, size_, PROT_READ | PROT_WRITE) == 0);
}

GuardedStack::~GuardedStack() { munmap(mapping_, size_ + static_cast<std::size_t>(static_cast<char*>(base_) - static_cast<char*>(mapping_))); }

void GuardedStack::give_back(const void* from, std::size_t keep) const {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto low = reinterpret_cast<uintptr_t>(base_);
  const uintptr_t high = (reinterpret_cast<uintptr_t>(from) - keep) & ~(page - 1);
  if (high > low && high < low + size_) madvise(base_, high - low, MADV_DONTNEED);
}

pthread_t start_thread(const GuardedStack& stack, void* (*run)(void*), void* argument) {
  pthread_attr_t attributes;
  WEIR_CHECK(pthread_attr_init(&attributes) == 0);
  WEIR_CHECK(pthread_attr_setstack(&attributes, stack.base(), stack.size()) == 0);
  pthread_t thread{};
  WEIR_CHECK(pthread_create(&thread, &attributes, run, argument) == 0);
  pthread_attr_destroy(&attributes);
  return thread;
}

SqlParserPool::Impl::Impl(const Limits& all_limits) : limits(all_limits) {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    Worker& worker = workers_[i];
    worker.pool = this;
    worker.lane = static_cast<Lane>(i);
    worker.stack = std::make_unique<GuardedStack>(parser_stack_size(limits));
    worker.thread = start_thread(*worker.stack, run_worker, &worker);
  }
}

SqlParserPool::Impl::~Impl() {
  stopping_ = true;
  notify(kQuick);
  notify(kLarge);
  for (Worker& worker : workers_) pthread_join(worker.thread, nullptr);
}

std::shared_ptr<PoolPort> SqlParserPool::Impl::open_port(std::function<void()> wake) {
  auto port = std::make_shared<PoolPort>(std::bit_ceil(std::size_t{limits.facts_pending_max} + 1), std::move(wake));
  const std::lock_guard guard(ports_lock_);
  ports_.push_back(port);
  return port;
}

void SqlParserPool::Impl::close_port(const std::shared_ptr<PoolPort>& port) {
  {
    const std::lock_guard guard(port->wake_lock);
    port->wake = nullptr;
  }
  const std::lock_guard guard(ports_lock_);
  std::erase(ports_, port);
}

void SqlParserPool::Impl::notify(Lane lane) {
  workers_[lane].signal.fetch_add(1, std::memory_order_release);
  workers_[lane].signal.notify_one();
}

void SqlParserPool::Impl::submit(PoolPort& port, RequestPtr request) {
  const Lane lane = request->text.size() <= limits.statement_inline_max ? kQuick : kLarge;
  // Never full: a source has at most facts_pending_max requests under way, and each queue takes more.
  WEIR_CHECK((lane == kQuick ? port.quick : port.large).push(std::move(request)));
  notify(lane);
}

void* SqlParserPool::Impl::run_worker(void* argument) {
  Worker& worker = *static_cast<Worker*>(argument);
  pthread_setname_np(pthread_self(), worker.lane == kQuick ? "weir-sql" : "weir-sql-large");
  worker.pool->run(worker);
  return nullptr;
}

void SqlParserPool::Impl::run(Worker& worker) {
  while (!stopping_) {
    const uint32_t seen = worker.signal.load(std::memory_order_acquire);
    if (!run_round(worker) && !stopping_) worker.signal.wait(seen, std::memory_order_acquire);
  }
}

// One request of each port: no core waits behind another one's backlog.
bool SqlParserPool::Impl::run_round(Worker& worker) {
  std::vector<std::shared_ptr<PoolPort>> ports;
  {
    const std::lock_guard guard(ports_lock_);
    ports = ports_;
  }
  bool found = false;
  for (const std::shared_ptr<PoolPort>& port : ports) {
    if (stopping_) return true;
    RequestPtr request;
    if (!(worker.lane == kQuick ? port->quick : port->large).pop(request)) continue;
    found = true;
    parse(worker, port, std::move(request));
  }
  if (worker.lane == kLarge && !stopping_) {
    std::pair<std::shared_ptr<PoolPort>, RequestPtr> handed;
    {
      const std::lock_guard guard(handed_lock_);
      if (!handed_.empty()) {
        handed = std::move(handed_.front());
        handed_.pop_front();
      }
    }
    if (handed.second != nullptr) {
      found = true;
      parse(worker, handed.first, std::move(handed.second));
    }
  }
  return found;
}

void SqlParserPool::Impl::parse(Worker& worker, const std::shared_ptr<PoolPort>& port, RequestPtr request) {
  const bool is_quick = worker.lane == kQuick;
  bool is_heavy = is_quick && sql_survey(request->text).depth_bound > kQuickDepthMax;
  if (!is_heavy) {
    request->answer = parse_facts(request->text, request->catalogue.get(), request->search_path, request->standard_conforming_strings, limits,
                                  is_quick ? Effort::kQuick : Effort::kFull);
    is_heavy = is_quick && request->answer.ran_out;
  }
  if (is_heavy) {
    {
      const std::lock_guard guard(handed_lock_);
      handed_.emplace_back(port, std::move(request));
    }
    return notify(kLarge);
  }
  if (!is_quick) {
    worker.stack->give_back(__builtin_frame_address(0), kStackKept);
    if (request->text.size() >= kTrimFrom) malloc_trim(0);
  }
  WEIR_CHECK((is_quick ? port->from_quick : port->from_large).push(std::move(request)));
  wake(*port);
}

void SqlParserPool::Impl::wake(PoolPort& port) {
  const std::lock_guard guard(port.wake_lock);
  if (port.wake) port.wake();
}

SqlParserPool::SqlParserPool(const Limits& limits) : impl_(std::make_unique<Impl>(limits)) {}
SqlParserPool::~SqlParserPool() = default;

}  // namespace weir::postgres
