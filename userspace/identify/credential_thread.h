// The desk that sessions show credentials at: one thread that verifies tokens and maps certificates, so that no core waits for
// a signature, a lock or a file.
// Must never: keep a token once it was looked at; let more than `waiting_max` wait.
#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "core/config.h"
#include "core/credential.h"
#include "identify/token.h"
#include "identify/wire_credentials.h"

namespace weir::identify {

class CredentialThread final : public CredentialDesk {
 public:
  struct Parts {
    // What is in force at that moment; called on the thread.
    std::function<std::shared_ptr<TokenVerifier>()> tokens;
    std::function<std::shared_ptr<const CertificatesConfig>()> certificates;
    WireCredentials& known;
    std::function<void(uint64_t session)> wake;  // Called on the thread, under our lock: it may not call us.
    std::function<std::chrono::sys_seconds()> now;
  };
  // Pre: `parts` outlives this.
  explicit CredentialThread(Parts parts, std::size_t waiting_max = kWaitingMax);
  ~CredentialThread() override;  // Who still waits is not woken.
  CredentialThread(const CredentialThread&) = delete;
  CredentialThread& operator=(const CredentialThread&) = delete;

  [[nodiscard]] bool ask_token(uint64_t session, const Address& from, std::string token) override;
  [[nodiscard]] bool ask_certificate(uint64_t session, const Address& from, const PeerCertificate& certificate) override;
  [[nodiscard]] bool take(uint64_t session, CredentialAnswer& answer) override;
  void forget(uint64_t session) override;
  [[nodiscard]] bool is_in_force(const Identity& identity) override;

  // A signature check is well below a millisecond, a first use writes a file: as many are seen within a login's time.
  static constexpr std::size_t kWaitingMax = 1024;

 private:
  struct Question {
    uint64_t session = 0;
    Address from;
    std::string token;
    std::optional<PeerCertificate> certificate;
  };
  bool ask(Question question);
  CredentialAnswer answer(Question& question);
  void serve();

  const Parts parts_;
  const std::size_t waiting_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Question> waiting_;
  std::unordered_map<uint64_t, CredentialAnswer> answers_;
  std::unordered_set<uint64_t> asked_;  // Sessions that have not taken theirs.
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace weir::identify
