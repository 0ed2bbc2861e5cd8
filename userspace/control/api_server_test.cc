// The API as a client sees it: TLS over loopback, with a certificate made here.
#include "control/api_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>

#include "control/api_test_support.h"
#include "control/api_tls.h"
#include "kernel/socket_address.h"
#include "record/record_test_gateway.h"
#include "transport/certificate.h"

namespace weir::control {
namespace {

using nlohmann::json;
using test::Answer;
using testing::HasSubstr;
using testing::Not;

// A certificate for 127.0.0.1 and its key, as PEM files of `folder`.
void make_pair_in(const identify::testing::Folder& folder, const std::string& name = "api") {
  const auto key = identify::testing::make_ec("P-256");
  transport::X509Ptr certificate(X509_new());
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  ASSERT_TRUE(transport::set_serial_and_validity(certificate.get(), now - std::chrono::hours(1), now + std::chrono::hours(1)));
  X509_set_version(certificate.get(), X509_VERSION_3);
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("gateway"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), subject);
  ASSERT_TRUE(transport::add_extension(certificate.get(), certificate.get(), NID_subject_alt_name, "IP:127.0.0.1"));
  ASSERT_NE(X509_sign(certificate.get(), key.get(), EVP_sha256()), 0);
  const auto write = [&](const std::string& file, mode_t mode, auto put) {
    transport::BioPtr out(BIO_new(BIO_s_mem()));
    put(out.get());
    char* data = nullptr;
    const long size = BIO_get_mem_data(out.get(), &data);
    folder.write(file, std::string(data, static_cast<std::size_t>(size)), mode);
  };
  write(name + ".crt", 0644, [&](BIO* out) { PEM_write_bio_X509(out, certificate.get()); });
  write(name + ".key", 0600, [&](BIO* out) { PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
}

// A client that verifies the server, and sends exactly what it is told to.
class Client {
 public:
  Client(uint16_t port, const std::string& trusted, int version_max = 0) : context_(SSL_CTX_new(TLS_client_method())) {
    EXPECT_EQ(SSL_CTX_load_verify_locations(context_.get(), trusted.c_str(), nullptr), 1);
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    if (version_max != 0) SSL_CTX_set_max_proto_version(context_.get(), version_max);
    sockaddr_storage address{};
    const socklen_t size = kernel::to_sockaddr({*Address::parse("127.0.0.1"), port}, address);
    socket_ = kernel::Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval limit{20, 0};  // A hang is a failure, not a wait without end.
    setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    is_connected_ = connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0;
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), socket_.get());
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), "127.0.0.1");
  }
  bool handshake() { return is_connected_ && SSL_connect(ssl_.get()) == 1; }
  bool offer(const std::vector<unsigned char>& protocols) { return SSL_set_alpn_protos(ssl_.get(), protocols.data(), static_cast<unsigned>(protocols.size())) == 0; }
  void send(const std::string& text) { EXPECT_EQ(SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())), static_cast<int>(text.size())); }
  // All that comes until the server ends it.
  std::string rest() {
    std::string got;
    char buffer[4096];
    for (int size = 0; (size = SSL_read(ssl_.get(), buffer, sizeof buffer)) > 0;) got.append(buffer, static_cast<std::size_t>(size));
    return got;
  }
  std::string ask(const std::string& text) {
    if (!handshake()) return "no handshake";
    send(text);
    return rest();
  }
  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] int version() const { return SSL_version(ssl_.get()); }

 private:
  transport::SslContextPtr context_;
  kernel::Fd socket_;
  transport::SslPtr ssl_;
  bool is_connected_ = false;
};

class ApiServerTest : public testing::Test {
 protected:
  ApiServerTest() {
    signal(SIGPIPE, SIG_IGN);  // The client's; the server's threads see to it themselves.
    make_pair_in(folder_);
    authority_.config.listen = {{*Address::parse("127.0.0.1"), 0}};
    authority_.config.certificate_file = folder_ / "api.crt";
    authority_.config.key_file = folder_ / "api.key";
    record_ = folder_.path;
  }
  void start() {
    auto listeners = open_api_listeners(authority_.config.listen);
    ASSERT_TRUE(listeners) << listeners.error().message;
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ASSERT_EQ(getsockname(listeners->front().get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = kernel::from_sockaddr(address).port;
    auto server = ApiServer::start(authority_.config, std::move(*listeners), {engine_, authority_, record_});
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }
  [[nodiscard]] Client client(int version_max = 0) const { return {port_, folder_ / "api.crt", version_max}; }
  Answer ask(const std::string& text) const { return test::answer_of(client().ask(text)); }
  static std::string get(const std::string& path, const std::string& token, const std::string& more = "") {
    return "GET " + path + " HTTP/1.1\r\nHost: gw\r\n" + (token.empty() ? "" : "Authorization: Bearer " + token + "\r\n") + more + "\r\n";
  }

  identify::testing::Folder folder_;
  test::Authority authority_;
  test::NotingEngine engine_;
  std::string record_;
  uint16_t port_ = 0;
  std::unique_ptr<ApiServer> server_;
};

TEST_F(ApiServerTest, SpeaksTls13AndNothingOlderByDefault) {
  start();
  Client now = client();
  const Answer answer = test::answer_of(now.ask(get("/v1/health", "")));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(now.version(), TLS1_3_VERSION);
  EXPECT_TRUE(answer.has_header("Connection: close"));
  EXPECT_FALSE(client(TLS1_2_VERSION).handshake());
  server_->stop();
  authority_.config.minimum = "1.2";
  start();
  EXPECT_EQ(test::answer_of(client(TLS1_2_VERSION).ask(get("/v1/health", ""))).status, 200);
  EXPECT_FALSE(client(TLS1_1_VERSION).handshake());
}

TEST_F(ApiServerTest, Http2AloneIsRefusedInTheHandshake) {
  start();
  Client old = client();
  ASSERT_TRUE(old.offer({2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1'}));
  EXPECT_EQ(test::answer_of(old.ask(get("/v1/health", ""))).status, 200);
  Client modern = client();
  ASSERT_TRUE(modern.offer({2, 'h', '2'}));
  EXPECT_FALSE(modern.handshake());
  server_->stop();
  EXPECT_EQ(server_->counters().handshake_faults, 1u);
}

TEST_F(ApiServerTest, ABindingIsOfTheSourceAddressWhateverTheHeadersSay) {
  start();
  const std::string token = authority_.token("user:alice");
  const Answer answer = ask("POST /v1/bindings HTTP/1.1\r\nHost: 198.18.9.9\r\nX-Forwarded-For: 198.18.9.9\r\nX-Real-IP: 198.18.9.9\r\nForwarded: for=198.18.9.9\r\nTrue-Client-IP: 198.18.9.9\r\n"
                            "REMOTE_ADDR: 198.18.9.9\r\nAuthorization: Bearer " + token + "\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(answer.status, 201) << answer.body;
  server_->stop();
  ASSERT_EQ(engine_.asked.size(), 1u);
  EXPECT_EQ(engine_.asked[0].arguments["address"], "127.0.0.1");
  EXPECT_EQ(engine_.asked[0].peer.address, "127.0.0.1");
}

TEST_F(ApiServerTest, NothingHidesBehindARequest) {
  start();
  const std::string admin = authority_.token_of(ApiRole::kAdmin);
  const std::string hidden = "POST /v1/reload HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer " + admin + "\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"reason\":\"x\"}";
  const std::string two = client().ask(get("/v1/health", "") + hidden);
  EXPECT_EQ(two.find("HTTP/1.1 ", 1), std::string::npos) << "one answer";
  const std::string sizes = std::to_string(hidden.size());
  EXPECT_EQ(ask("POST /v1/bindings HTTP/1.1\r\nHost: gw\r\nContent-Length: " + sizes + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden).status, 400);
  EXPECT_EQ(ask("POST /v1/bindings HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden).status, 411);
  EXPECT_EQ(ask("GET /v1/health HTTP/1.1\r\nHost: gw\r\nContent-Length: " + sizes + "\r\n\r\n" + hidden).status, 400);
  server_->stop();
  EXPECT_TRUE(engine_.asked.empty());
  EXPECT_EQ(server_->counters().refused, 3u);
}

TEST_F(ApiServerTest, ABodyThatIsTooLargeIsRefusedBeforeItIsRead) {
  authority_.config.body_size_max = 1024;
  start();
  Client large = client();
  const Answer answer = test::answer_of(large.ask("POST /v1/reload HTTP/1.1\r\nHost: gw\r\nContent-Length: 100000\r\n\r\n" + std::string(60'000, 'x')));
  EXPECT_EQ(answer.status, 413);
}

TEST_F(ApiServerTest, WhoIsTooSlowIsToldAndLetGo) {
  authority_.config.request_timeout = std::chrono::milliseconds(100);
  start();
  Client slow = client();
  ASSERT_TRUE(slow.handshake());
  slow.send("GET /v1/hea");
  EXPECT_EQ(test::answer_of(slow.rest()).status, 408);
  Client silent = client();  // Not even a handshake.
  char byte = 0;
  EXPECT_LE(recv(silent.fd(), &byte, 1, 0), 0);
  server_->stop();
  EXPECT_EQ(server_->counters().timeouts, 2u);
}

TEST_F(ApiServerTest, OneSourceHoldsSoManyConnectionsAndNoMore) {
  authority_.config.connections_per_source_max = 2;
  start();
  Client first = client(), second = client();
  ASSERT_TRUE(first.handshake());
  ASSERT_TRUE(second.handshake());
  EXPECT_FALSE(client().handshake());
  first.send(get("/v1/health", ""));
  EXPECT_EQ(test::answer_of(first.rest()).status, 200);
  server_->stop();
  EXPECT_EQ(server_->counters().connections_refused, 1u);
  EXPECT_EQ(server_->counters().connections, 2u);
}

TEST_F(ApiServerTest, AStopEndsConnectionsThatWait) {
  start();
  Client idle = client();
  ASSERT_TRUE(idle.handshake());
  server_->stop();
  EXPECT_EQ(idle.rest(), "");
  EXPECT_FALSE(client().handshake());
}

struct Whole { std::string text, trailer; std::size_t chunks = 0; };
// Chunks back to what was said; what stands behind the last is the trailer.
Whole unchunked(const std::string& body) {
  Whole whole;
  std::size_t at = 0;
  for (std::size_t size = 1; size != 0; ++whole.chunks) {
    size = std::stoul(body.substr(at), nullptr, 16);
    at = body.find("\r\n", at) + 2;
    whole.text += body.substr(at, size);
    at += size + (size == 0 ? 0 : 2);
  }
  EXPECT_TRUE(body.ends_with("\r\n"));
  whole.trailer = body.substr(at, body.size() - at - 2);
  return whole;
}

TEST_F(ApiServerTest, AReplayStreamsTheRecordAndIsItselfAnAct) {
  record::test::Gateway gateway;
  gateway.start();
  gateway.open(1, "orders-db", "user:ann");
  for (uint64_t unit = 1; unit <= 2'000; ++unit) gateway.command(1, unit, "select " + std::to_string(unit) + " as a_number_that_takes_some_room");
  gateway.close(1);
  gateway.seal();
  record_ = gateway.state();
  start();
  const std::string auditor = authority_.token_of(ApiRole::kAuditor);
  const Answer answer = ask(get("/v1/sessions/1/replay", auditor));
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.has_header("Content-Type: application/x-ndjson"));
  EXPECT_TRUE(answer.has_header("Transfer-Encoding: chunked"));
  const auto [lines, trailer, chunks] = unchunked(answer.body);
  EXPECT_EQ(trailer, "");
  EXPECT_GT(chunks, 3u);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2'002);
  EXPECT_EQ(json::parse(lines.substr(0, lines.find('\n')))["kind"], "opened");
  EXPECT_EQ(ask(get("/v1/sessions/1", auditor)).object()["commands"], 2'000);
  EXPECT_EQ(ask(get("/v1/sessions?target=orders-db", auditor)).object().size(), 1u);
  EXPECT_EQ(ask(get("/v1/sessions?target=other", auditor)).object().size(), 0u);
  EXPECT_EQ(ask(get("/v1/sessions/9/replay", auditor)).status, 404);
  server_->stop();
  ASSERT_FALSE(engine_.asked.empty());
  EXPECT_EQ(engine_.asked[0].verb, "view");
  EXPECT_EQ(engine_.asked[0].arguments, (json{{"act", "replay"}, {"object", "session 1"}}));
  EXPECT_EQ(engine_.asked[0].peer.subject, "user:auditor");
}

TEST_F(ApiServerTest, AReplayThatCannotBeRecordedShowsNothing) {
  record::test::Gateway gateway;
  gateway.start();
  gateway.open(1, "orders-db", "user:ann");
  for (uint64_t unit = 1; unit <= 500; ++unit) gateway.command(1, unit, "select " + std::to_string(unit) + " as a_number_that_takes_some_room");
  gateway.close(1);
  gateway.seal();
  record_ = gateway.state();
  engine_.failures["view"] = {Error::Kind::kUnavailable, "the record is full", 0};
  start();
  const Answer answer = ask(get("/v1/sessions/1/replay", authority_.token_of(ApiRole::kAuditor)));
  EXPECT_EQ(answer.status, 503);
  EXPECT_THAT(answer.body, Not(HasSubstr("orders-db")));
}

TEST_F(ApiServerTest, AnExportStreamsWhatFitsInEachFormAndIsItselfAnAct) {
  record::test::Gateway gateway;
  gateway.start();
  for (uint64_t session = 1; session <= 3; ++session) {
    gateway.open(session, session == 2 ? "other-db" : "orders-db", "user:ann");
    for (uint64_t unit = 1; unit <= 400; ++unit) gateway.command(session, unit, "select " + std::to_string(unit) + " as a_number_that_takes_some_room");
    gateway.close(session);
  }
  gateway.seal();
  record_ = gateway.state();
  start();
  const std::string auditor = authority_.token_of(ApiRole::kAuditor);
  const Answer answer = ask(get("/v1/export?target=orders-db&format=jsonl", auditor));
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.has_header("Content-Type: application/x-ndjson"));
  EXPECT_TRUE(answer.has_header("Trailer: Weir-Sessions, Weir-Unread"));
  const Whole whole = unchunked(answer.body);
  EXPECT_GT(whole.chunks, 3u);
  EXPECT_EQ(whole.trailer, "Weir-Sessions: 2\r\nWeir-Unread: 0\r\n");
  EXPECT_EQ(std::count(whole.text.begin(), whole.text.end(), '\n'), 2 * 402);
  EXPECT_EQ(json::parse(whole.text.substr(0, whole.text.find('\n')))["session"], 3u);
  const Answer csv = ask(get("/v1/export?format=csv&limit=1", auditor));
  EXPECT_TRUE(csv.has_header("Content-Type: text/csv; charset=utf-8"));
  EXPECT_THAT(unchunked(csv.body).trailer, HasSubstr("Weir-Sessions: 1\r\n"));
  EXPECT_EQ(unchunked(ask(get("/v1/export?who=nobody", auditor)).body).text, "") << "none fits: an answer that is whole";
  EXPECT_EQ(ask(get("/v1/export?format=xml", auditor)).status, 422);
  EXPECT_EQ(ask(get("/v1/export?limit=0", auditor)).status, 422);
  EXPECT_EQ(ask(get("/v1/export", authority_.token_of(ApiRole::kAdmin))).status, 403);
  server_->stop();
  EXPECT_EQ(engine_.asked[0].verb, "view");
  EXPECT_EQ(engine_.asked[0].arguments, (json{{"act", "export"}, {"object", "sessions target orders-db, format jsonl"}}));
}

TEST_F(ApiServerTest, AnExportThatCannotBeRecordedShowsNothingAndASlowClientHoldsUpNobody) {
  record::test::Gateway gateway;
  gateway.start();
  gateway.open(1, "orders-db", "user:ann");
  for (uint64_t unit = 1; unit <= 30'000; ++unit) gateway.command(1, unit, "select " + std::to_string(unit) + " as a_number_that_takes_some_room");
  gateway.close(1);
  gateway.seal();
  record_ = gateway.state();
  authority_.config.answer_timeout = std::chrono::seconds(1);
  start();
  const std::string auditor = authority_.token_of(ApiRole::kAuditor);
  Client slow(port_, folder_ / "api.crt");
  ASSERT_TRUE(slow.handshake());
  slow.send(get("/v1/export", auditor));   // And reads nothing.
  EXPECT_EQ(ask(get("/v1/health", "")).status, 200) << "others are answered meanwhile";
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (server_->counters().timeouts == 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(server_->counters().timeouts, 1u) << "it is given up at its deadline";
  server_->stop();
  engine_.failures["view"] = {Error::Kind::kUnavailable, "the record is full", 0};
  start();
  const Answer answer = ask(get("/v1/export", auditor));
  EXPECT_EQ(answer.status, 503);
  EXPECT_THAT(answer.body, Not(HasSubstr("orders-db")));
}

TEST_F(ApiServerTest, AWrongPairOrATakenAddressIsSaid) {
  make_pair_in(folder_, "other");
  authority_.config.key_file = folder_ / "other.key";
  const auto wrong = ApiServer::start(authority_.config, {}, {engine_, authority_, record_});
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, HasSubstr("is not the key of"));
  authority_.config.key_file = folder_.write("open.key", "x", 0644);
  EXPECT_FALSE(ApiServer::start(authority_.config, {}, {engine_, authority_, record_}));
  authority_.config.key_file = folder_ / "api.key";
  start();
  const auto taken = open_api_listeners({{*Address::parse("127.0.0.1"), port_}});
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().kind, Error::Kind::kUnavailable);
  EXPECT_THAT(taken.error().message, HasSubstr("api.listen: listening on 127.0.0.1:"));
}

}  // namespace
}  // namespace weir::control
