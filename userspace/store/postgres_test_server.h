// For tests: a real PostgreSQL of their own, started once a program, as a user who is not root, in a folder that goes with it.
#pragma once
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>

#include "store/postgres_store.h"
#include "store/store_test_support.h"

namespace weir::store {

class TestServer {
 public:
  static TestServer& instance() {
    static TestServer server;
    return server;
  }
  ~TestServer() {
    if (is_up_) stop();
  }
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  // Empty: it runs.  A test that needs it fails with this, and is not skipped.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] uint16_t port() const { return port_; }
  [[nodiscard]] std::string certificate() const { return folder_.file("server.crt"); }  // Of 127.0.0.1, signed by itself.

  // A database of its own for each test, and who may log in to it.
  PostgresLogin fresh(const std::string& gateway) {
    const std::string name = "store_" + std::to_string(++databases_);
    run("postgres", "CREATE DATABASE " + name + " OWNER weir");
    return login(name, gateway);
  }
  [[nodiscard]] PostgresLogin login(const std::string& database, const std::string& gateway) const {
    return {folder_.path.string(), database, "weir", "", "", gateway, port_, VerifyMode::kNone};
  }
  // As the superuser.  The first value of the first row, or the error.
  std::string run(const std::string& database, const std::string& sql) {
    const std::unique_ptr<PGconn, FinishConnection> connection(
        PQconnectdb(("host=" + folder_.path.string() + " port=" + std::to_string(port_) + " user=postgres dbname=" + database).c_str()));
    const std::unique_ptr<PGresult, ClearResult> result(PQexec(connection.get(), sql.c_str()));
    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_COMMAND_OK) return "";
    return status == PGRES_TUPLES_OK && PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : PQerrorMessage(connection.get());
  }
  void stop() {
    std::string output;
    shell(as_postgres(bin_ + "pg_ctl -m immediate -D " + folder_.file("data") + " stop"), output);
    is_up_ = false;
  }
  void start() {
    std::string output;
    const std::string options = "-c listen_addresses=127.0.0.1 -c port=" + std::to_string(port_) + " -c unix_socket_directories=" + folder_.path.string() + " -c fsync=off -c max_connections=60 -c ssl=on -c ssl_cert_file=" + certificate() + " -c ssl_key_file=" + folder_.file("server.key");
    if (shell(as_postgres(bin_ + "pg_ctl -w -t 60 -D " + folder_.file("data") + " -l " + folder_.file("data/server.log") + " -o '" + options + "' start"), output) != 0) failure_ = output;
    is_up_ = true;
  }

 private:
  TestServer() {
    std::string output;
    for (const char* version : {"18", "17", "16", "15", "14", "13"}) {
      const std::string bin = std::string("/usr/lib/postgresql/") + version + "/bin/";
      if (bin_.empty() && std::filesystem::exists(bin + "initdb")) bin_ = bin;
    }
    if (bin_.empty()) {
      failure_ = "no PostgreSQL server is installed (scripts/setup.sh installs it)";
      return;
    }
    if (geteuid() == 0 && shell("chown postgres " + folder_.path.string(), output) != 0) failure_ = output;
    const std::string pair = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=store-fake -addext subjectAltName=IP:127.0.0.1 -keyout " + folder_.file("server.key") +
                             " -out " + certificate();
    if (shell(as_postgres(pair), output) != 0 || shell("chmod 600 " + folder_.file("server.key"), output) != 0) failure_ = output;
    std::filesystem::permissions(folder_.path, std::filesystem::perms(0755));
    port_ = free_port();
    if (shell(as_postgres(bin_ + "initdb --auth-local=trust --auth-host=scram-sha-256 -U postgres -D " + folder_.file("data")), output) != 0) failure_ = output;
    if (!failure_.empty()) return;
    start();
    if (failure_.empty()) run("postgres", "CREATE ROLE weir LOGIN PASSWORD 'weir-fake'");
  }
  static std::string as_postgres(const std::string& command) { return geteuid() == 0 ? "cd / && setpriv --reuid=postgres --regid=postgres --clear-groups " + command : command; }
  static int shell(const std::string& command, std::string& output) {
    FILE* pipe = popen(("{ " + command + "; } 2>&1 </dev/null").c_str(), "r");
    if (pipe == nullptr) return -1;
    std::array<char, 4096> part;
    for (std::size_t size = 0; (size = fread(part.data(), 1, part.size(), pipe)) > 0;) output.append(part.data(), size);
    return pclose(pipe);
  }
  static uint16_t free_port() {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0 || getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
    close(fd);
    return ntohs(address.sin_port);
  }

  Folder folder_;
  std::string bin_, failure_;
  uint16_t port_ = 0;
  int databases_ = 0;
  bool is_up_ = false;
};

}  // namespace weir::store
