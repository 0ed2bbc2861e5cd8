#include "parse/postgres/catalogue_connection.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>

namespace weir::postgres {
namespace {

constexpr std::chrono::milliseconds kConnectLimit{10'000};

const char* sslmode_of(VerifyMode mode) {
  switch (mode) {
    case VerifyMode::kNone: return "disable";
    case VerifyMode::kRequire: return "require";
    case VerifyMode::kVerifyCa: return "verify-ca";
    case VerifyMode::kVerifyFull: return "verify-full";
  }
  return "verify-full";
}

uint16_t local_port(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 || address.sin_family != AF_INET) return 0;
  return ntohs(address.sin_port);
}

}  // namespace

Result<ConnectionPtr> connect_catalogue(const CatalogueReaderOptions& how, const std::string& database, const std::string& settings, CatalogueForwarder& forwarder) {
  const std::string port = std::to_string(forwarder.port());
  const std::string host = how.server_name.empty() ? std::string("localhost") : how.server_name;
  const std::string options = "-c default_transaction_read_only=on -c standard_conforming_strings=on -c client_encoding=UTF8 " + settings;
  std::array<const char*, 16> names{"host", "hostaddr", "port", "dbname", "user", "password", "sslmode", "gssencmode", "application_name",
                                    "options", "passfile", "connect_timeout", how.ca_file.empty() ? nullptr : "sslrootcert", nullptr};
  const std::array<const char*, 16> values{host.c_str(), "127.0.0.1", port.c_str(), database.c_str(), how.user.c_str(), how.password.c_str(),
                                           sslmode_of(how.tls), "disable", "weir catalogue", options.c_str(), "/nonexistent", "10",
                                           how.ca_file.empty() ? nullptr : how.ca_file.c_str(), nullptr};
  ConnectionPtr connection(PQconnectStartParams(names.data(), values.data(), 0));
  if (connection == nullptr) return fail(Error::Kind::kSystem, "catalogue: out of memory");
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  int admitted = -1;
  const auto deadline = std::chrono::steady_clock::now() + kConnectLimit;
  while (PQstatus(connection.get()) != CONNECTION_BAD && state != PGRES_POLLING_OK && state != PGRES_POLLING_FAILED) {
    const int fd = PQsocket(connection.get());
    if (fd >= 0 && fd != admitted) {
      forwarder.admit(local_port(fd));
      admitted = fd;
    }
    pollfd polled{fd, static_cast<short>(state == PGRES_POLLING_READING ? POLLIN : POLLOUT), 0};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0 || poll(&polled, 1, static_cast<int>(left.count())) == 0) return fail(Error::Kind::kUnavailable, "catalogue: the target did not answer in time");
    state = PQconnectPoll(connection.get());
  }
  if (PQstatus(connection.get()) != CONNECTION_OK) return fail(Error::Kind::kUnavailable, std::string("catalogue: ") + PQerrorMessage(connection.get()));
  return connection;
}

}  // namespace weir::postgres
