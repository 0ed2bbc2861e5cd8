// The control API: TLS listeners and one thread a connection, one request a connection, all of it off the data path.
// Must never: hold more connections than configured, wait for a peer past its deadline, or log a token or a body.
#pragma once
#include <atomic>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "control/api_router.h"
#include "kernel/fd.h"
#include "transport/openssl_ptr.h"

namespace weir::control {

// Bound and listening; nobody is answered yet.  For before privileges are dropped: a port may be below 1024.
// Errors: kUnavailable, with the address.
[[nodiscard]] Result<std::vector<kernel::Fd>> open_api_listeners(const std::vector<Endpoint>& listen);

class ApiStream;

class ApiServer {
 public:
  // `listeners` of open_api_listeners().  `services` outlive it.  Errors: those of the certificate and its key.
  [[nodiscard]] static Result<std::unique_ptr<ApiServer>> start(const ApiConfig& config, std::vector<kernel::Fd> listeners, ApiServices services);
  ~ApiServer();                 // stop()
  void stop();                  // Ends connections where they are; returns when no thread is left.  Safe to call twice.

  [[nodiscard]] const ApiCounters& counters() const { return counters_; }

 private:
  struct Connection {
    kernel::Fd socket;          // Until its thread takes it over.
    std::atomic<int> fd{-1};    // To be shut down by stop(); -1: its thread has closed it.
    Address from;
    std::atomic<bool> is_done{false};
    std::thread thread;
  };
  ApiServer(const ApiConfig& config, std::vector<kernel::Fd> listeners, ApiServices services);
  void accept_loop();
  void accept_from(int listener);
  void reap(bool all);
  void serve(Connection& connection);
  void talk(ApiStream& stream, const Address& from);

  const ApiConfig config_;
  std::vector<kernel::Fd> listeners_;
  kernel::Fd wake_;
  transport::SslContextPtr context_;
  ApiCounters counters_;
  ApiRouter router_;
  std::list<Connection> connections_;          // The acceptor's; others only through the atomics.
  std::mutex closing_;                         // Between a thread that closes its socket and stop() that shuts it down.
  std::map<std::string, uint32_t> by_source_;  // Open connections; the acceptor's.
  std::atomic<bool> is_stopping_{false};
  std::thread acceptor_;
};

}  // namespace weir::control
