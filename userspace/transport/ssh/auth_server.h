// User authentication as the server, on a client leg (RFC 4252, RFC 4256, OpenSSH PROTOCOL: publickey-hostbound-v00).
// Reads, checks and counts; who may come in is the host's to say, at once or later.
// Must never: say PK_OK to a key that the host does not know, take a signature that is over another session or another host
// key, let a client change its name, or keep a password.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "transport/ssh/ssh_transport.h"

namespace weir::ssh {

struct AuthAttempt {
  enum class Kind : uint8_t {
    kNone,                // Asks what there is.  Answer: refuse(), or accept() of who needs no proof.
    kKeyOffered,          // Nothing is proved.  Answer: allow_key() if it is known, else refuse().
    kKeyProven,           // The signature holds.  Answer: accept(), accept_partly(), refuse().
    kPassword,            // Likewise, or ask_new_password().
    kInteractive,         // Keyboard-interactive begins.  Answer: ask(), refuse().
    kInteractiveAnswers,  // Answer: ask() more, accept(), accept_partly(), refuse().
  };
  Kind kind = Kind::kNone;
  std::string user;  // A peer's bytes; the same in all attempts of a connection.
  // kKeyOffered, kKeyProven.
  const SignatureAlgorithm* algorithm = nullptr;
  std::optional<PublicKey> key;            // With a certificate, the certificate's.
  std::optional<Certificate> certificate;  // Its CA's signature holds; the rest is check_certificate()'s.
  bool is_hostbound = false;
  // kPassword; kInteractiveAnswers.
  Secret password, new_password;
  bool has_new_password = false;
  std::vector<Secret> answers;
};

struct InteractivePrompt {
  std::string text;
  bool is_echoed = false;
};

class AuthServerHost {
 public:
  virtual ~AuthServerHost() = default;
  virtual void reply(Bytes message) = 0;             // To be sent.  Borrowed for the call.
  virtual void decide(const AuthAttempt&) = 0;       // Borrowed for the call.  The answer may come from within.
  virtual void authenticated() = 0;                  // SUCCESS was sent.
  virtual void end(Disconnect, std::string_view reason) = 0;
};

struct AuthServerSettings {
  std::string methods = "publickey,keyboard-interactive,password";  // What FAILURE names.
  uint32_t attempts_max = 6;  // Refused ones, the first "none" apart.  Hit: the leg ends.
};

class AuthServer {
 public:
  AuthServer(AuthServerHost& host, AuthServerSettings settings) : host_(host), settings_(std::move(settings)) {}
  AuthServer(const AuthServer&) = delete;
  AuthServer& operator=(const AuthServer&) = delete;
  ~AuthServer();

  // After the first key exchange.  Of SshTransport; copied.
  void begin(Bytes session_id, Bytes host_key_blob);
  // A message 5 or 50 to 79 of the client's.
  void receive(Bytes message);
  void banner(std::string_view text);  // Before success only.

  // Answers to decide(); each is one answer to one attempt.
  void accept();
  void accept_partly(std::string_view methods_left);
  void refuse();
  void allow_key();
  void ask(std::string_view name, std::string_view instruction, std::span<const InteractivePrompt> prompts);
  void ask_new_password(std::string_view prompt);

  [[nodiscard]] bool is_done() const { return state_ == State::kDone; }
  [[nodiscard]] uint32_t refused() const { return refused_; }

 private:
  enum class State : uint8_t { kService, kIdle, kDeciding, kAsking, kDone, kEnded };
  void take(Bytes message);
  void on_request(Bytes message);
  void on_key(WireReader& reader, std::string_view method, AuthAttempt& attempt);
  void on_password(WireReader& reader, AuthAttempt& attempt);
  void on_answers(Bytes message);
  void decide(AuthAttempt& attempt);
  void send_failure(std::string_view methods, bool is_partial);
  void end(Disconnect, std::string_view reason);
  void go_on();

  AuthServerHost& host_;
  AuthServerSettings settings_;
  State state_ = State::kService;
  AuthAttempt::Kind kind_ = AuthAttempt::Kind::kNone;
  uint32_t refused_ = 0, asked_ = 0;
  bool had_none_ = false, is_in_take_ = false;
  std::string user_;
  bool has_user_ = false;
  Buffer session_id_, host_key_, offered_algorithm_, offered_blob_;
  Buffer waiting_;  // | size 4 | message | ...: what a client sent before it had our answer.
};

}  // namespace weir::ssh
