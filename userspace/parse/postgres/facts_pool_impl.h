// The inside of SqlParserPool: requests, answers, and the ports that sources hold.
#pragma once
#include <pthread.h>

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/ring_queue.h"
#include "parse/postgres/facts_parse.h"
#include "parse/postgres/facts_pool.h"

namespace weir::postgres {

// One text to be parsed.  Owned by exactly one party at a time: source, queue, thread, queue, source.
struct ParseRequest {
  std::string text;
  std::shared_ptr<const Catalogue> catalogue;
  std::string database, search_path;
  bool standard_conforming_strings = true;
  bool has_caught_up = false;  // The catalogue was read again for it.
  bool is_reread = false;      // Read under a newer catalogue than the one that it was asked under.
  uint64_t ticket = 0;         // The source's own.
  ParsedFacts answer;
};
using RequestPtr = std::unique_ptr<ParseRequest>;

// A thread's stack: mapped without backing until touched, a page that faults below it.
class GuardedStack {
 public:
  explicit GuardedStack(std::size_t size);
  ~GuardedStack();
  GuardedStack(const GuardedStack&) = delete;
  GuardedStack& operator=(const GuardedStack&) = delete;
  // Gives back what was touched deeper than `keep` bytes below `from` (an address in the running frame).
  void give_back(const void* from, std::size_t keep) const;
  [[nodiscard]] void* base() const { return base_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  void* mapping_ = nullptr;
  void* base_ = nullptr;
  std::size_t size_ = 0;
};

// Starts a joinable thread on `stack`.
pthread_t start_thread(const GuardedStack& stack, void* (*run)(void*), void* argument);

// What one source shares with the threads.  Each queue has one producer and one consumer.
struct PoolPort {
  PoolPort(std::size_t capacity, std::function<void()> wake_function)
      : quick(capacity), large(capacity), from_quick(capacity), from_large(capacity), wake(std::move(wake_function)) {}
  RingQueue<RequestPtr> quick, large;                // Core to thread.
  RingQueue<RequestPtr> from_quick, from_large;      // Thread to core.
  std::mutex wake_lock;
  std::function<void()> wake;                        // Empty once the source is gone.
};

struct SqlParserPool::Impl {
  explicit Impl(const Limits& limits);
  ~Impl();
  // Pre: called at start-up or when a source is made.
  std::shared_ptr<PoolPort> open_port(std::function<void()> wake);
  void close_port(const std::shared_ptr<PoolPort>& port);
  // Pre: fewer than facts_pending_max requests of that port are under way.
  void submit(PoolPort& port, RequestPtr request);

  const Limits limits;

 private:
  enum Lane : std::size_t { kQuick, kLarge };
  struct Worker {
    Impl* pool = nullptr;
    Lane lane = kQuick;
    std::unique_ptr<GuardedStack> stack;
    pthread_t thread{};
    std::atomic<uint32_t> signal{0};
  };
  static void* run_worker(void* worker);
  void run(Worker& worker);
  bool run_round(Worker& worker);
  void parse(Worker& worker, const std::shared_ptr<PoolPort>& port, RequestPtr request);
  void notify(Lane lane);
  static void wake(PoolPort& port);

  std::mutex ports_lock_;
  std::vector<std::shared_ptr<PoolPort>> ports_;
  std::mutex handed_lock_;
  std::deque<std::pair<std::shared_ptr<PoolPort>, RequestPtr>> handed_;  // Small but deep: the large lane's.
  std::atomic<bool> stopping_{false};
  std::array<Worker, 2> workers_;
};

}  // namespace weir::postgres
