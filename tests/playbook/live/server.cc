#include "tests/playbook/live/server.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>

#include "parse/registry.h"

namespace weir::testing {
namespace {

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int bound_port(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

int listen_anywhere(int& port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(0);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || listen(fd, 64) != 0) std::abort();
  port = bound_port(fd);
  return fd;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t done = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (done <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(done));
  }
  return true;
}

std::string find_server() {
  for (int version = 18; version >= 13; --version) {
    const std::string bin = "/usr/lib/postgresql/" + std::to_string(version) + "/bin";
    if (std::filesystem::exists(bin + "/initdb")) return bin;
  }
  return {};
}

// The server refuses to run as root.
std::string as_postgres(const std::string& command) {
  return geteuid() == 0 ? "runuser -u postgres -- " + command : command;
}

}  // namespace

int shell(const std::string& command, std::string& output) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return -1;
  std::array<char, 4096> part;
  output.clear();
  for (std::size_t size; (size = fread(part.data(), 1, part.size(), pipe)) > 0;) output.append(part.data(), size);
  const int status = pclose(pipe);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

PostgresServer& PostgresServer::instance() {
  static PostgresServer server;
  return server;
}

PostgresServer::PostgresServer() : bin_(find_server()) {
  if (bin_.empty()) { failure_ = "no PostgreSQL server is installed (scripts/test.sh installs it)"; return; }
  std::string pattern = (std::filesystem::temp_directory_path() / "weir-live-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) { failure_ = "no folder for the server's data"; return; }
  folder_ = pattern;
  std::string output;
  if (geteuid() == 0 && shell("chown postgres " + folder_, output) != 0) { failure_ = output; return; }
  const int probe = listen_anywhere(port_);
  close(probe);
  const std::string data = folder_ + "/data";
  const std::string password_file = folder_ + "/pw";
  std::ofstream(password_file) << "postgres-fake\n";
  if (shell("chmod 644 " + password_file + " && chmod 755 " + folder_, output) != 0 ||
      shell(as_postgres(bin_ + "/initdb -A md5 --pwfile=" + password_file + " -U postgres -D " + data), output) != 0) {
    failure_ = output;
    return;
  }
  const std::string options = "-c listen_addresses=127.0.0.1 -c port=" + std::to_string(port_) + " -c unix_socket_directories= -c fsync=off" +
                              " -c log_statement=all -c logging_collector=off -c max_prepared_transactions=2";
  if (shell(as_postgres(bin_ + "/pg_ctl -w -D " + data + " -l " + folder_ + "/data/server.log -o '" + options + "' start"), output) != 0) {
    failure_ = output;
    return;
  }
  const Connection admin = connect(port_, "postgres", "password=postgres-fake");
  for (const char* sql : {"create role alice login password 'alice-fake' createdb", "create database shop owner alice",
                          "set password_encryption = md5", "create role oldtimer login password 'oldtimer-fake'"}) {
    const ResultSet result = run(admin, sql);
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) failure_ = PQerrorMessage(admin.get());
  }
}

PostgresServer::~PostgresServer() {
  if (folder_.empty()) return;
  std::string output;
  shell(as_postgres(bin_ + "/pg_ctl -m immediate -D " + folder_ + "/data stop"), output);
  std::error_code error;
  std::filesystem::remove_all(folder_, error);
}

std::string PostgresServer::log() const {
  std::ifstream file(folder_ + "/data/server.log");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Relay::Shared {
  std::mutex mutex;
  std::string breach;
  std::vector<std::string> stand_ins;
  std::vector<std::thread> threads;
};

Relay::Relay(int target_port, TargetFacts target, Harness::Judge judge)
    : target_port_(target_port), target_(std::move(target)), judge_(std::move(judge)), shared_(std::make_unique<Shared>()) {
  listener_ = listen_anywhere(port_);
  if (pipe(stop_pipe_) != 0) std::abort();
  acceptor_ = std::thread([this] {
    for (;;) {
      pollfd polled[2] = {{listener_, POLLIN, 0}, {stop_pipe_[0], POLLIN, 0}};
      if (poll(polled, 2, -1) < 0 || polled[1].revents != 0) return;
      const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) return;
      const std::lock_guard lock(shared_->mutex);
      shared_->threads.emplace_back([this, client] { serve(client); });
    }
  });
}

Relay::~Relay() {
  if (write(stop_pipe_[1], "x", 1) != 1) std::abort();
  acceptor_.join();
  for (std::thread& thread : shared_->threads) thread.join();
  for (const int fd : {listener_, stop_pipe_[0], stop_pipe_[1]}) close(fd);
}

std::string Relay::breach() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->breach;
}

std::vector<std::string> Relay::stand_ins() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->stand_ins;
}

void Relay::serve(int client) {
  const int target = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(target_port_);
  if (connect(target, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) std::abort();
  const int on = 1;
  for (const int fd : {client, target}) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  Limits limits;
  Harness harness(*find_protocol("postgres"), target_, limits, judge_);
  harness.connect_target();
  bool client_open = true, target_open = true;
  while (client_open && target_open && harness.breach().empty()) {
    if (!write_all(client, harness.take_sent(Side::kClient)) || !write_all(target, harness.take_sent(Side::kTarget))) break;
    if (harness.codec().wants_close()) break;
    pollfd polled[3] = {{client, POLLIN, 0}, {target, POLLIN, 0}, {stop_pipe_[0], POLLIN, 0}};
    if (poll(polled, 3, -1) < 0 || polled[2].revents != 0) break;
    std::array<char, 16384> part;
    for (int i = 0; i < 2; ++i) {
      if (polled[i].revents == 0) continue;
      const Side side = i == 0 ? Side::kClient : Side::kTarget;
      const ssize_t size = recv(polled[i].fd, part.data(), part.size(), 0);
      if (size > 0) harness.feed(side, {part.data(), static_cast<std::size_t>(size)});
      else (i == 0 ? client_open : target_open) = false;
    }
  }
  write_all(client, harness.take_sent(Side::kClient));
  write_all(target, harness.take_sent(Side::kTarget));
  {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->breach.empty()) shared_->breach = harness.breach();
    shared_->stand_ins.insert(shared_->stand_ins.end(), harness.stand_ins().begin(), harness.stand_ins().end());
  }
  close(client);
  close(target);
}

Connection connect(int port, const std::string& user, const std::string& more) {
  const std::string info = "host=127.0.0.1 port=" + std::to_string(port) + " user=" + user + " connect_timeout=20 " +
                           (more.find("dbname=") == std::string::npos ? "dbname=" + std::string(user == "postgres" ? "postgres " : "shop ") : "") + more;
  return {PQconnectdb(info.c_str()), &PQfinish};
}

ResultSet run(const Connection& connection, const std::string& sql) { return {PQexec(connection.get(), sql.c_str()), &PQclear}; }

std::string outcome(const ResultSet& result) {
  const PGresult* r = result.get();
  if (r == nullptr) return "nothing";
  const ExecStatusType status = PQresultStatus(r);
  if (status == PGRES_FATAL_ERROR) {
    const char* code = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char* text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    return std::string("ERROR ") + (code != nullptr ? code : "?") + " " + (text != nullptr ? text : PQresultErrorMessage(r));
  }
  std::string text = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? PQcmdStatus(const_cast<PGresult*>(r)) : PQresStatus(status);
  for (int row = 0; row < PQntuples(r); ++row) {
    text += row == 0 ? ": " : "; ";
    for (int column = 0; column < PQnfields(r); ++column) {
      if (column > 0) text += "|";
      text += PQgetisnull(r, row, column) ? "null" : std::string(PQgetvalue(r, row, column), static_cast<std::size_t>(PQgetlength(r, row, column)));
    }
  }
  return text;
}

}  // namespace weir::testing
