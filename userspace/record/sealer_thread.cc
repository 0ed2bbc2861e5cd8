#include <pthread.h>
#include <sys/resource.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "record/sealer.h"

namespace weir::record {
namespace {

constexpr int kNice = 10;  // Behind the cores; not idle class, or a busy host would never seal.

std::chrono::sys_time<std::chrono::nanoseconds> wall_now() { return std::chrono::system_clock::now(); }

}  // namespace

struct SealerThread::Shared {
  std::unique_ptr<Sealer> sealer;
  std::chrono::milliseconds poll;
  std::function<void(const Error&)> on_error;
  mutable std::mutex mutex;
  std::condition_variable wake;
  bool is_stopping = false;
  SealerCounts counts;
  std::thread thread;

  void run() {
    ::pthread_setname_np(::pthread_self(), "weir-sealer");
    ::setpriority(PRIO_PROCESS, 0, kNice);  // Of this thread alone, on Linux.
    std::unique_lock lock(mutex);
    while (!is_stopping) {
      lock.unlock();
      const Result<void> done = sealer->step(wall_now());
      if (!done) on_error(done.error());
      lock.lock();
      counts = sealer->counts();
      if (!is_stopping) wake.wait_for(lock, poll);
    }
  }
  void stop() {
    {
      const std::lock_guard lock(mutex);
      is_stopping = true;
    }
    wake.notify_all();
    if (thread.joinable()) thread.join();
  }
};

SealerThread::SealerThread(std::unique_ptr<Sealer> sealer, std::chrono::milliseconds poll, std::function<void(const Error&)> on_error)
    : shared_(std::make_unique<Shared>()) {
  shared_->sealer = std::move(sealer);
  shared_->poll = poll;
  shared_->on_error = std::move(on_error);
  shared_->thread = std::thread([shared = shared_.get()] { shared->run(); });
}

SealerThread::~SealerThread() { shared_->stop(); }

Result<void> SealerThread::finish() {
  shared_->stop();
  Result<void> done = shared_->sealer->finish(wall_now());
  if (done) done = shared_->sealer->stop(wall_now());
  const std::lock_guard lock(shared_->mutex);
  shared_->counts = shared_->sealer->counts();
  return done;
}

SealerCounts SealerThread::counts() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->counts;
}

}  // namespace weir::record
