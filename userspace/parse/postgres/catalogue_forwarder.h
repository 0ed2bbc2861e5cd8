// A one-connection forwarder on 127.0.0.1 for libpq: libpq dials by itself, and a socket of ours must carry the egress guard's
// mark before it connects.  So libpq connects here, and we dial.  TLS runs through it end to end (hostaddr=127.0.0.1,
// host=<server name>): what is forwarded is ciphertext.
// Must never: forward for a peer that is not the libpq socket it was made for (any local process could connect).
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/result.h"

namespace weir::postgres {

class CatalogueForwarder {
 public:
  using Dial = std::function<Result<int>()>;
  static Result<std::unique_ptr<CatalogueForwarder>> open(Dial dial);
  ~CatalogueForwarder();  // Closes both legs and waits for the thread.
  CatalogueForwarder(const CatalogueForwarder&) = delete;
  CatalogueForwarder& operator=(const CatalogueForwarder&) = delete;

  [[nodiscard]] uint16_t port() const { return port_; }
  // The local port of the one peer that is let in.  Until it is set, nobody is.
  void admit(uint16_t peer_port);
  // Ends both legs: what waits on them returns.  Any thread.
  void stop();
  // Why dialling failed; empty: it did not.  Valid once the peer saw its connection closed.
  [[nodiscard]] std::string dial_error() const;

 private:
  CatalogueForwarder(Dial dial, int listener, int stop_event, uint16_t port);
  void run();
  int accept_peer();
  void pump(int peer, int target);
  bool wait_for(int fd, short events);

  Dial dial_;
  int listener_;
  int stop_event_;
  uint16_t port_;
  std::atomic<uint32_t> admitted_port_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> has_error_{false};
  std::string error_;          // Written before has_error_.
  std::thread thread_;
};

}  // namespace weir::postgres
