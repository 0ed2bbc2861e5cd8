// One connection to the shared store's server: every call has a deadline, and a connection that missed it is not used again.
// Must never: fall back to another encryption, server or login than was configured; wait without a bound.
#pragma once
#include <chrono>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/config.h"

struct pg_conn;
struct pg_result;

namespace weir::store {

struct PostgresLogin {
  std::string host, database, user, password, ca_file, gateway;
  uint16_t port = 5432;
  VerifyMode tls = VerifyMode::kVerifyFull;
  std::chrono::milliseconds name_wait{30'000};  // For an earlier gateway of that name to end: the server finds a dead one in 25 s.
};

struct FinishConnection { void operator()(pg_conn*) const; };
struct ClearResult { void operator()(pg_result*) const; };

// Rows of text.
class PostgresRows {
 public:
  PostgresRows() = default;
  explicit PostgresRows(pg_result* result) : result_(result) {}
  [[nodiscard]] int size() const;
  [[nodiscard]] bool is_null(int row, int column) const;
  [[nodiscard]] std::string text(int row, int column) const;
  [[nodiscard]] uint64_t number(int row, int column) const;

 private:
  std::unique_ptr<pg_result, ClearResult> result_;
};

class PostgresLink {
 public:
  // Errors: kUnavailable, with the server's words; never the password.
  [[nodiscard]] static Result<std::unique_ptr<PostgresLink>> connect(const PostgresLogin& login, std::chrono::milliseconds limit);
  ~PostgresLink();
  PostgresLink(const PostgresLink&) = delete;
  PostgresLink& operator=(const PostgresLink&) = delete;

  // The last result of `sql`, one statement, or with no parameters several.  Errors: kDenied: SQLSTATE WR001; kUnavailable: no
  // answer, or none now; kSystem: the server refused it for another reason.  is_broken() says whether the link can be used on.
  [[nodiscard]] Result<PostgresRows> run(const std::string& sql, const std::vector<std::string>& parameters, std::chrono::milliseconds limit);
  [[nodiscard]] bool is_broken() const { return is_broken_; }
  [[nodiscard]] int fd() const;
  // Takes what has come in.  True: something was notified.  A connection that ended is broken from here on.
  bool take_notices();

 private:
  explicit PostgresLink(pg_conn* connection) : connection_(connection) {}
  [[nodiscard]] Result<PostgresRows> broken(const std::string& what);
  std::unique_ptr<pg_conn, FinishConnection> connection_;
  bool is_broken_ = false;
};

}  // namespace weir::store
