// The reader against a real server of its own: initdb in a temporary folder, loopback, TLS and SCRAM.
#include "parse/postgres/catalogue_reader.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "parse/postgres/catalogue_forwarder.h"
#include "parse/postgres/facts_test_support.h"

namespace weir::postgres {
namespace {

using namespace std::chrono_literals;

constexpr const char* kPassword = "not-a-real-password-4711";

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

uint16_t free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

Result<int> dial_loopback(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  close(fd);
  return fail(Error::Kind::kUnavailable, "nobody listens");
}

// Started once for the tests of this file; removed at the end.
class Server {
 public:
  static Server* get() {
    static Server server;
    return server.is_up_ ? &server : nullptr;
  }
  ~Server() {
    if (is_up_) run(bin_ + "/pg_ctl -D " + folder_ + "/data -m immediate -w stop >/dev/null 2>&1");
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void execute(const std::string& sql) const {
    const std::string info = "host=" + folder_ + " port=" + std::to_string(port_) + " user=postgres dbname=postgres password=" + kPassword;
    PGconn* const connection = PQconnectdb(info.c_str());
    PGresult* const result = PQexec(connection, sql.c_str());
    const ExecStatusType status = PQresultStatus(result);
    EXPECT_TRUE(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) << PQerrorMessage(connection);
    PQclear(result);
    PQfinish(connection);
  }
  CatalogueReaderOptions options() const {
    CatalogueReaderOptions options;
    options.target = "db";
    options.user = "reader";
    options.password = kPassword;
    options.databases = {"postgres"};
    options.refresh = 3600s;
    options.ca_file = folder_ + "/server.crt";
    options.server_name = "db.test";
    options.dial = [port = port_] { return dial_loopback(port); };
    return options;
  }

 private:
  Server() {
    for (const char* folder : {"/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/17/bin"}) {
      if (bin_.empty() && std::filesystem::exists(std::string(folder) + "/initdb")) bin_ = folder;
    }
    if (bin_.empty()) return;
    std::string folder = "/tmp/weir-catalogue-XXXXXX";
    if (mkdtemp(folder.data()) == nullptr) return;
    folder_ = folder;
    std::ofstream(folder_ + "/password") << kPassword << '\n';
    if (geteuid() == 0 && std::system(("chown -R postgres " + folder_).c_str()) != 0) return;
    port_ = free_port();
    const std::string tls = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=db.test -addext subjectAltName=DNS:db.test -keyout " + folder_ +
                            "/server.key -out " + folder_ + "/server.crt";
    const std::string init = bin_ + "/initdb -D " + folder_ + "/data -U postgres -A scram-sha-256 --no-sync --pwfile=" + folder_ + "/password";
    const std::string start = bin_ + "/pg_ctl -D " + folder_ + "/data -w -l " + folder_ + "/log start -o '-p " + std::to_string(port_) +
                              " -h 127.0.0.1 -k " + folder_ + " -c fsync=off -c ssl=on -c ssl_cert_file=" + folder_ + "/server.crt -c ssl_key_file=" + folder_ + "/server.key'";
    if (!run(tls) || !run(init) || !run(start)) return;
    is_up_ = true;
    execute(std::string("create role reader login password '") + kPassword + "'");
    execute("create role alice login; alter role alice set search_path = hr, public; create schema hr; create schema alice;"
            "create table public.people (id int, gone int, name text, email text); alter table public.people drop column gone;"
            "create table hr.salaries (person_id int, amount int); create sequence public.s;"
            "create view public.people_v as select id, email as mail from public.people where name like 'a\\_%';"
            "create function public.pure(text) returns text immutable language sql as 'select upper($1) || ''x\\y''';"
            "create function public.atomic(a int) returns int immutable return a + 1;"
            "create function public.looks() returns bigint stable language sql as 'select count(*) from public.people';"
            "create function public.lies() returns boolean immutable language sql as 'select pg_reload_conf()';"
            "create function public.plain() returns int language sql as 'select 1';"
            "create function public.code() returns int immutable language plpgsql as 'begin return 1; end';"
            "create function public.mixed(int) returns int immutable language sql as 'select 1';"
            "create function public.mixed(text) returns int volatile language sql as 'select 1';"
            "create operator public.~~~ (function = public.pure, rightarg = text);");
  }
  bool run(const std::string& command) const {
    const std::string as = geteuid() == 0 ? "runuser -u postgres -- " : "";
    return std::system(("cd /tmp && " + as + command + " >/dev/null 2>&1").c_str()) == 0;
  }

  std::string bin_, folder_;
  uint16_t port_ = 0;
  bool is_up_ = false;
};

#define NEED_SERVER()                                  \
  const Server* const server = Server::get();          \
  ASSERT_NE(server, nullptr) << "no PostgreSQL server could be started: scripts/setup.sh installs one"

TEST(CatalogueReader, ReadsRelationsColumnsViewsAndPathsOverTls) {
  NEED_SERVER();
  const auto reader = make_catalogue_reader(server->options());
  ASSERT_TRUE(reader->wait_first_read(30s)) << reader->last_error();
  EXPECT_EQ(reader->last_error(), "");
  EXPECT_EQ(reader->snapshot("other"), nullptr);
  const auto catalogue = reader->snapshot("postgres");
  ASSERT_NE(catalogue, nullptr);
  const CatalogueRelation* const people = catalogue->relation("", "people", "");
  ASSERT_NE(people, nullptr);
  EXPECT_EQ(people->schema, "public");
  ASSERT_EQ(people->columns.size(), 3U);
  EXPECT_EQ(people->columns[2].name, "email");
  EXPECT_EQ(people->columns[2].number, 4U);  // The dropped one keeps its number.
  EXPECT_EQ(people->columns[2].type_id, 25U);
  EXPECT_EQ(catalogue->relation(people->id), people);
  EXPECT_NE(catalogue->relation("public", "s", ""), nullptr);
  EXPECT_EQ(catalogue->relation("", "salaries", ""), nullptr);
  EXPECT_EQ(catalogue->default_search_path("alice"), "\"hr\", \"public\"");
  EXPECT_EQ(catalogue->default_search_path("reader"), "\"reader\", \"public\"");
  EXPECT_NE(catalogue->relation("", "salaries", catalogue->default_search_path("alice")), nullptr);

  const auto source = make_inline_facts(Limits{}, reader);
  const auto outputs = [&source](std::string_view text) {
    FactsQuery query;
    query.text = as_bytes(text);
    query.database = "postgres";
    return testing::outputs_of(*source->facts(query).facts);
  };
  EXPECT_EQ(outputs("select mail from people_v"), "mail(people.email+people_v.mail)=");
  EXPECT_EQ(outputs("select * from people"), "id(people.id)= name(people.name)= email(people.email)=");
}

TEST(CatalogueReader, ClearsOnlyFunctionsThatCanBeShownToCompute) {
  NEED_SERVER();
  const auto reader = make_catalogue_reader(server->options());
  ASSERT_TRUE(reader->wait_first_read(30s)) << reader->last_error();
  const auto catalogue = reader->snapshot("postgres");
  for (const char* name : {"pure", "atomic", "~~~", "lower", "=", "count"}) EXPECT_TRUE(catalogue->function_only_reads("", name, "public")) << name;
  for (const char* name : {"looks", "lies", "plain", "code", "mixed", "pg_read_file", "pg_reload_conf_x", "no_such"}) {
    EXPECT_FALSE(catalogue->function_only_reads("", name, "public")) << name;
  }
}

TEST(CatalogueReader, KeepsItsSnapshotUntilSomethingChanged) {
  NEED_SERVER();
  auto options = server->options();
  options.refresh = 1s;
  const auto reader = make_catalogue_reader(std::move(options));
  ASSERT_TRUE(reader->wait_first_read(30s)) << reader->last_error();
  const auto first = reader->snapshot("postgres");
  const uint64_t version = reader->version();
  const auto reads_reach = [&reader](uint64_t reads) {
    while (reader->stats().reads < reads && reader->stats().failures == 0) std::this_thread::yield();
  };
  reads_reach(2);  // By the refresh alone.
  EXPECT_EQ(reader->snapshot("postgres"), first);
  EXPECT_EQ(reader->version(), version);
  server->execute("create table public.fresh (a int)");
  reader->ask_round();
  while (reader->version() == version && reader->stats().failures == 0) std::this_thread::yield();
  EXPECT_NE(reader->snapshot("postgres")->relation("public", "fresh", ""), nullptr);
  EXPECT_EQ(first->relation("public", "fresh", ""), nullptr);
  server->execute("drop table public.fresh");
}

TEST(CatalogueReader, SaysWhyItCannotReadAndNeverThePassword) {
  NEED_SERVER();
  struct Wrong { const char* what; std::function<void(CatalogueReaderOptions&)> make; };
  const Wrong wrongs[] = {
      {"does not match host name", [](CatalogueReaderOptions& o) { o.server_name = "other.test"; }},
      {"password authentication failed", [](CatalogueReaderOptions& o) { o.password = "secret-that-is-wrong"; }},
      {"database \"nowhere\" does not exist", [](CatalogueReaderOptions& o) { o.databases = {"nowhere"}; }},
      {"the guard said no", [](CatalogueReaderOptions& o) { o.dial = [] { return fail(Error::Kind::kDenied, "the guard said no"); }; }},
      {"root certificate file", [](CatalogueReaderOptions& o) { o.ca_file = "/nonexistent"; }},
  };
  for (const Wrong& wrong : wrongs) {
    CatalogueReaderOptions options = server->options();
    wrong.make(options);
    std::string notice;
    std::mutex lock;
    options.notice = [&](std::string_view text) {
      const std::lock_guard guard(lock);
      notice += text;
    };
    const std::string password = options.password;
    {
      const auto reader = make_catalogue_reader(std::move(options));
      EXPECT_FALSE(reader->wait_first_read(30s)) << wrong.what;
      EXPECT_NE(reader->last_error().find(wrong.what), std::string::npos) << reader->last_error();
      EXPECT_EQ(reader->last_error().find(password), std::string::npos);
      EXPECT_EQ(reader->stats().failures, 1U);
    }
    EXPECT_NE(notice.find(wrong.what), std::string::npos) << notice;
  }
}

TEST(CatalogueReader, EndsAtOnceWhileTheTargetIsSilent) {
  CatalogueReaderOptions options;
  options.databases = {"x"};
  std::atomic<bool> has_dialled{false};
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  options.dial = [&]() -> Result<int> {
    has_dialled = true;
    has_dialled.notify_all();
    return ends[0];
  };
  {
    const auto reader = make_catalogue_reader(std::move(options));
    has_dialled.wait(false);
  }
  close(ends[1]);
}

TEST(CatalogueForwarder, LetsNobodyButItsOwnPeerIn) {
  int dials = 0;
  auto forwarder = CatalogueForwarder::open([&dials]() -> Result<int> {
    ++dials;
    return fail(Error::Kind::kDenied, "no");
  });
  ASSERT_TRUE(forwarder);
  const Result<int> stranger = dial_loopback((*forwarder)->port());
  ASSERT_TRUE(stranger);
  const Result<int> own = dial_loopback((*forwarder)->port());
  ASSERT_TRUE(own);
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ASSERT_EQ(getsockname(*own, reinterpret_cast<sockaddr*>(&address), &size), 0);
  (*forwarder)->admit(ntohs(address.sin_port));
  char byte = 0;
  EXPECT_EQ(recv(*stranger, &byte, 1, 0), 0);  // Closed at once.
  EXPECT_EQ(recv(*own, &byte, 1, 0), 0);       // Closed once dialling failed.
  forwarder->reset();
  EXPECT_EQ(dials, 1);
  close(*stranger);
  close(*own);
}

}  // namespace
}  // namespace weir::postgres
