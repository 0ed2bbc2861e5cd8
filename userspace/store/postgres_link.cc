#include "store/postgres_link.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

namespace weir::store {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

const char* sslmode_of(VerifyMode mode) {
  switch (mode) {
    case VerifyMode::kNone: return "disable";
    case VerifyMode::kRequire: return "require";
    case VerifyMode::kVerifyCa: return "verify-ca";
    case VerifyMode::kVerifyFull: return "verify-full";
  }
  return "verify-full";
}

// libpq ends its messages with a line break, and some have more lines.
std::string one_line(const char* text) {
  std::string line = text == nullptr ? "" : text;
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

// False: the deadline came first.
bool wait_for(int fd, short events, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
    if (fd < 0 || left <= 0) return false;
    pollfd polled{fd, events, 0};
    const int ready = poll(&polled, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

// What ends when it is tried again later, without anybody's doing.
bool is_passing(std::string_view state) {
  return state.starts_with("08") || state.starts_with("40") || state.starts_with("53") || state.starts_with("57") || state == "55P03" || state == "25006";
}

}  // namespace

void FinishConnection::operator()(pg_conn* connection) const { PQfinish(connection); }
void ClearResult::operator()(pg_result* result) const { PQclear(result); }

int PostgresRows::size() const { return PQntuples(result_.get()); }
bool PostgresRows::is_null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
std::string PostgresRows::text(int row, int column) const {
  return std::string(PQgetvalue(result_.get(), row, column), static_cast<std::size_t>(PQgetlength(result_.get(), row, column)));
}
uint64_t PostgresRows::number(int row, int column) const { return std::strtoull(PQgetvalue(result_.get(), row, column), nullptr, 10); }

PostgresLink::~PostgresLink() = default;

Result<std::unique_ptr<PostgresLink>> PostgresLink::connect(const PostgresLogin& login, milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  const std::string port = std::to_string(login.port), name = "weir " + login.gateway;
  // A dead gateway's connection must not hold a lock for hours: the server asks after it as well.
  const char* const options =
      "-c statement_timeout=2500 -c lock_timeout=2000 -c idle_in_transaction_session_timeout=5000 -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 "
      "-c tcp_keepalives_count=3 -c synchronous_commit=on -c standard_conforming_strings=on -c client_encoding=UTF8 -c search_path=weir -c default_transaction_isolation=read\\ committed";
  constexpr std::size_t kMost = 24;
  std::array<const char*, kMost> names{}, values{};
  std::size_t count = 0;
  const auto set = [&](const char* key, const char* value) {
    names[count] = key;
    values[count++] = value;
  };
  set("host", login.host.c_str());
  set("port", port.c_str());
  set("dbname", login.database.c_str());
  set("user", login.user.c_str());
  if (!login.password.empty()) set("password", login.password.c_str());
  set("passfile", "/nonexistent");
  set("sslmode", sslmode_of(login.tls));
  if (!login.ca_file.empty()) set("sslrootcert", login.ca_file.c_str());
  set("gssencmode", "disable");
  set("target_session_attrs", "read-write");
  set("application_name", name.c_str());
  set("options", options);
  set("keepalives", "1");
  set("keepalives_idle", "5");
  set("keepalives_interval", "2");
  set("keepalives_count", "3");
  set("tcp_user_timeout", "5000");
  set("connect_timeout", "5");
  auto link = std::unique_ptr<PostgresLink>(new PostgresLink(PQconnectStartParams(names.data(), values.data(), 0)));
  PGconn* connection = link->connection_.get();
  if (connection == nullptr) return fail(Error::Kind::kSystem, "store: out of memory");
  PQsetNoticeProcessor(connection, [](void*, const char*) {}, nullptr);  // Never to stderr.
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  while (PQstatus(connection) != CONNECTION_BAD && state != PGRES_POLLING_OK && state != PGRES_POLLING_FAILED) {
    if (!wait_for(PQsocket(connection), state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline)) {
      return fail(Error::Kind::kUnavailable, "store: " + login.host + " did not answer in time");
    }
    state = PQconnectPoll(connection);
  }
  if (PQstatus(connection) != CONNECTION_OK) return fail(Error::Kind::kUnavailable, "store: " + one_line(PQerrorMessage(connection)));
  if (PQsetnonblocking(connection, 1) != 0) return fail(Error::Kind::kUnavailable, "store: " + one_line(PQerrorMessage(connection)));
  return link;
}

Result<PostgresRows> PostgresLink::broken(const std::string& what) {
  is_broken_ = true;
  return fail(Error::Kind::kUnavailable, "store: " + what);
}

int PostgresLink::fd() const { return PQsocket(connection_.get()); }

Result<PostgresRows> PostgresLink::run(const std::string& sql, const std::vector<std::string>& parameters, milliseconds limit) {
  if (is_broken_) return fail(Error::Kind::kUnavailable, "store: its database does not answer");
  PGconn* connection = connection_.get();
  const auto deadline = Clock::now() + limit;
  std::vector<const char*> values;
  for (const std::string& each : parameters) values.push_back(each.c_str());
  const int sent = parameters.empty() ? PQsendQuery(connection, sql.c_str())
                                      : PQsendQueryParams(connection, sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(), nullptr, nullptr, 0);
  if (sent == 0) return broken(one_line(PQerrorMessage(connection)));
  for (int left = 1; (left = PQflush(connection)) != 0;) {
    if (left < 0) return broken(one_line(PQerrorMessage(connection)));
    if (!wait_for(PQsocket(connection), POLLIN | POLLOUT, deadline)) return broken("its database did not answer in time");
    if (PQconsumeInput(connection) == 0) return broken(one_line(PQerrorMessage(connection)));
  }
  std::unique_ptr<PGresult, ClearResult> last;
  for (;;) {
    while (PQisBusy(connection) != 0) {
      if (!wait_for(PQsocket(connection), POLLIN, deadline)) return broken("its database did not answer in time");
      if (PQconsumeInput(connection) == 0) return broken(one_line(PQerrorMessage(connection)));
    }
    PGresult* next = PQgetResult(connection);
    if (next == nullptr) break;
    const bool is_failed = last != nullptr && PQresultStatus(last.get()) == PGRES_FATAL_ERROR;
    if (is_failed) PQclear(next);  // The first error is the one that says why.
    else last.reset(next);
  }
  if (PQstatus(connection) != CONNECTION_OK) return broken(one_line(PQerrorMessage(connection)));
  const ExecStatusType status = PQresultStatus(last.get());
  if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) return PostgresRows(last.release());
  const char* code = PQresultErrorField(last.get(), PG_DIAG_SQLSTATE);
  const std::string state = code == nullptr ? "" : code, text = one_line(PQresultErrorField(last.get(), PG_DIAG_MESSAGE_PRIMARY));
  if (state == "WR001") return fail(Error::Kind::kDenied, text);
  if (state == "25006" || state.starts_with("57P")) is_broken_ = true;  // A standby now, or it goes down: another connection finds out.
  return fail(is_passing(state) ? Error::Kind::kUnavailable : Error::Kind::kSystem, "store: " + text + (state.empty() ? "" : " (" + state + ")"));
}

bool PostgresLink::take_notices() {
  if (is_broken_) return false;
  if (PQconsumeInput(connection_.get()) == 0 || PQstatus(connection_.get()) != CONNECTION_OK) {
    is_broken_ = true;
    return false;
  }
  bool is_any = false;
  while (PGnotify* notice = PQnotifies(connection_.get())) {
    PQfreemem(notice);
    is_any = true;
  }
  return is_any;
}

}  // namespace weir::store
