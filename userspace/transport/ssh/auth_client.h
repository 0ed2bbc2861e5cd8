// User authentication as the client, on a target leg (RFC 4252, RFC 4256): tries what the host says, tells it what the target
// answered.
// Must never: put a password into a message that waits for its turn in the clear of a log, sign for another session than its
// own, or take an answer for one to another method than the one that is outstanding.
#pragma once
#include <string>
#include <vector>

#include "transport/ssh/auth_server.h"

namespace weir::ssh {

class AuthClientHost {
 public:
  virtual ~AuthClientHost() = default;
  virtual void request(Bytes message) = 0;  // To be sent.  Borrowed for the call; may hold a password: wipe what is copied.
  virtual void ready() = 0;                 // The service is there: try something.
  virtual void authenticated() = 0;
  virtual void refused(std::string_view methods_left, bool is_partial) = 0;
  virtual void asked(std::string_view name, std::string_view instruction, std::span<const InteractivePrompt> prompts) = 0;  // answer()
  virtual void asked_new_password(std::string_view prompt) = 0;
  virtual void banner(std::string_view text) = 0;
  virtual void end(Disconnect, std::string_view reason) = 0;
};

class AuthClient {
 public:
  explicit AuthClient(AuthClientHost& host) : host_(host) {}
  AuthClient(const AuthClient&) = delete;
  AuthClient& operator=(const AuthClient&) = delete;

  // After the first key exchange, of SshTransport; copied.  Asks for the service.
  void begin(std::string_view user, Bytes session_id, Bytes host_key_blob);
  // What EXT_INFO said, any time before a key is tried.
  void set_peer(std::string_view signature_algorithms, bool has_hostbound);
  void receive(Bytes message);  // 6, or 50 to 79.

  // One at a time, after ready() or refused().
  void try_none();
  // `certificate`: empty for the plain key.  Errors: kSystem.
  [[nodiscard]] Result<void> try_key(const PrivateKey& key, Bytes certificate);
  void try_password(const Secret& password);
  void try_interactive();
  void change_password(const Secret& old_password, const Secret& new_password);  // After asked_new_password().
  void answer(std::span<const Secret> answers);                                  // After asked(), as many as there were prompts.

 private:
  enum class Outstanding : uint8_t { kNothing, kService, kNone, kKey, kPassword, kInteractive };
  void start_request(WireWriter& out, std::string_view method) const;
  void send(Buffer& message, Outstanding);
  void on_sixty(WireReader& reader);
  void end(std::string_view reason);

  AuthClientHost& host_;
  Outstanding outstanding_ = Outstanding::kNothing;
  bool is_done_ = false, has_hostbound_ = false;
  bool awaits_answer_ = false;  // The target asked, and it is our turn: until then it has nothing to say.
  std::size_t prompts_ = 0;
  std::string user_, signatures_;
  Buffer session_id_, host_key_;
};

}  // namespace weir::ssh
