// The engine's side: the seams of record/ and transport/ whose keys the signer holds.  Any thread; one request at a time.
//
// A signer that has ended, or did not answer for kPatience, is away for good: every request after that fails at once.  The engine ends then
// (session/engine_signer.cc); nobody signs in its place.
#pragma once
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "record/key_wrap.h"
#include "record/log_signer.h"
#include "signer/protocol.h"
#include "signer/setup.h"
#include "transport/leaf_signer.h"

namespace weir::signer {

class Client : public std::enable_shared_from_this<Client> {
 public:
  static constexpr std::chrono::seconds kPatience{60};
  // Owns the socket.  Tells the signer what it is to do, and waits until it can.  Errors: the signer's.
  [[nodiscard]] static Result<std::shared_ptr<Client>> open(int socket, const Setup&);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] const Hello& hello() const { return hello_; }
  [[nodiscard]] const record::VerifyingKey& verifying() const { return verifying_; }
  // Shows the log's checkpoint as it is on disk (empty: there is none).  Post: the newest that was signed (empty: none).  Before anything is signed.
  [[nodiscard]] Result<std::string> adopt_head(std::string note);
  [[nodiscard]] record::LogKey log_key();
  // The gateway's keys are the signer's, the auditors' public ones are read here.  Empty where the record is in clear.
  [[nodiscard]] Result<record::KeyRing> ring(const std::vector<std::string>& auditors);
  [[nodiscard]] std::shared_ptr<transport::LeafSigner> leaf_signer();
  [[nodiscard]] Result<Counts> counts();
  [[nodiscard]] bool is_away() const;
  // No more requests: the signer sees the end of its stream.
  void close();

  // For the seams' other sides.
  [[nodiscard]] Result<Message> ask(const Request&);
  [[nodiscard]] uint64_t signed_size() const { return signed_size_; }
  void set_signed_size(uint64_t size) { signed_size_ = size; }

 private:
  Client(int socket, Hello hello, record::VerifyingKey verifying) : socket_(socket), hello_(std::move(hello)), verifying_(std::move(verifying)) {}
  const int socket_;
  const Hello hello_;
  const record::VerifyingKey verifying_;
  std::mutex mutex_;
  std::atomic<bool> is_away_{false};
  std::atomic<uint64_t> signed_size_{0};
};

}  // namespace weir::signer
