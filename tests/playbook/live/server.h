// A real PostgreSQL on loopback for one test program, and a blocking relay that puts a codec between it and its clients.
#pragma once
#include <libpq-fe.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/playbook/harness.h"

namespace weir::testing {

// initdb, start, stop; one a program.  The data folder goes with it.
class PostgresServer {
 public:
  static PostgresServer& instance();
  ~PostgresServer();
  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] const std::string& failure() const { return failure_; }  // Empty: it runs.
  [[nodiscard]] std::string log() const;                                 // What it wrote so far.

 private:
  PostgresServer();
  std::string folder_, bin_, failure_;
  int port_ = 0;
};

// Listens on loopback; one thread a connection.
class Relay {
 public:
  Relay(int target_port, TargetFacts, Harness::Judge);
  ~Relay();
  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] std::string breach() const;       // First broken invariant of any connection.
  [[nodiscard]] std::vector<std::string> stand_ins() const;

 private:
  void serve(int client);
  const int target_port_;
  const TargetFacts target_;
  const Harness::Judge judge_;
  int listener_ = -1, port_ = 0, stop_pipe_[2] = {-1, -1};
  std::thread acceptor_;
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

using Connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;
using ResultSet = std::unique_ptr<PGresult, decltype(&PQclear)>;
Connection connect(int port, const std::string& user, const std::string& more = "");
ResultSet run(const Connection&, const std::string& sql);
std::string outcome(const ResultSet&);                        // "SELECT 1: 1|a" or "ERROR 42501 text".
// The command's exit code; its output in `output`.
int shell(const std::string& command, std::string& output);

}  // namespace weir::testing
