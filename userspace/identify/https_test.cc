// Against a server of our own on a loopback port that the kernel picks.
#include "identify/https.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mutex>
#include <thread>

#include "identify/token_test_support.h"

namespace weir::identify::testing {
namespace {

using ::testing::HasSubstr;

using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

Certificate self_signed(EVP_PKEY* key, const char* name) {
  Certificate made(X509_new(), X509_free);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), 3600);
  X509_set_version(made.get(), 2);
  X509_set_pubkey(made.get(), key);
  X509_NAME* subject = X509_get_subject_name(made.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
  X509_set_issuer_name(made.get(), subject);
  X509_EXTENSION* names = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, name);
  X509_add_ext(made.get(), names, -1);
  X509_EXTENSION_free(names);
  X509_sign(made.get(), key, EVP_sha256());
  return made;
}

std::string pem_of(X509* certificate) {
  BIO* memory = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(memory, certificate);
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  std::string pem(data, static_cast<std::size_t>(size));
  BIO_free(memory);
  return pem;
}

// Answers each connection with `answer`, and keeps what it was asked.
class Server {
 public:
  explicit Server(const char* name = "IP:127.0.0.1")
      : key_(make_ec("P-256")), certificate_(self_signed(key_.get(), name)), context_(SSL_CTX_new(TLS_server_method())) {
    SSL_CTX_use_certificate(context_, certificate_.get());
    SSL_CTX_use_PrivateKey(context_, key_.get());
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 8), 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    SSL_CTX_free(context_);
  }
  [[nodiscard]] std::string url(const std::string& path = "/keys") const {
    return "https://127.0.0.1:" + std::to_string(port_) + path;
  }
  [[nodiscard]] uint16_t port() const { return port_; }
  [[nodiscard]] std::string pem() const { return pem_of(certificate_.get()); }
  void set_answer(std::string text) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(text);
  }
  // Of the last connection; "" if there was none.
  [[nodiscard]] std::string asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  std::mutex mutex_;
  std::string answer_ = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: max-age=7\r\nConnection: close\r\n\r\n{}";
  std::string asked_;

  void serve() {
    // A client that is gone before it reads all is part of the tests.
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    for (int fd = 0; (fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0; ::close(fd)) {
      SSL* ssl = SSL_new(context_);
      SSL_set_fd(ssl, fd);
      char buffer[4096];
      std::string request;
      int size = 0;
      // All of the head, and of a form as long as the tests send.
      if (SSL_accept(ssl) == 1) {
        while (request.find("\r\n\r\n") == std::string::npos || (request.starts_with("POST") && !request.ends_with("&end=1"))) {
          if ((size = SSL_read(ssl, buffer, sizeof buffer)) <= 0) break;
          request.append(buffer, static_cast<std::size_t>(size));
        }
        const std::lock_guard lock(mutex_);
        asked_ = request;
        SSL_write(ssl, answer_.data(), static_cast<int>(answer_.size()));
        SSL_shutdown(ssl);
      }
      SSL_free(ssl);
    }
  }
  PrivateKey key_;
  Certificate certificate_;
  SSL_CTX* context_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::thread thread_;
};

class HttpsRequests : public ::testing::Test {
 protected:
  HttpsRequests() { trust(server.pem()); }
  void trust(const std::string& pem) {
    request = {
        .url = server.url(), .form = {}, .user = {}, .password = {}, .ca_file = folder.write("ca.crt", pem), .size_max = 100};
  }
  std::string error() const {
    const auto answer = https_request(request);
    return answer ? "" : answer.error().message;
  }
  Folder folder;
  Server server;
  HttpsRequest request;
};

TEST_F(HttpsRequests, GetsAnAnswerWithItsLifetime) {
  const auto answer = https_request(request);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "{}");
  EXPECT_EQ(answer->cache_control, "max-age=7");
}

TEST_F(HttpsRequests, PostsAFormAndTheSecretInItsHeader) {
  request.form = "a=1&end=1";
  request.user = "me";
  request.password = "pw";
  ASSERT_TRUE(https_request(request));
  EXPECT_THAT(server.asked(), HasSubstr("POST /keys HTTP/1.1"));
  EXPECT_THAT(server.asked(), HasSubstr("Authorization: Basic bWU6cHc="));
  EXPECT_THAT(server.asked(), HasSubstr("\r\n\r\na=1&end=1"));
}

TEST_F(HttpsRequests, ARedirectIsNotFollowed) {
  Server other;
  server.set_answer("HTTP/1.1 302 Found\r\nLocation: " + other.url() + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  const auto answer = https_request(request);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 302);
  EXPECT_EQ(other.asked(), "");
}

// A name of the DNS that leads to this host, as one would that somebody made to reach what listens here.
TEST_F(HttpsRequests, ANameThatLeadsInsideIsNotFollowed) {
  Server named("DNS:localhost");
  trust(named.pem());
  for (const char* host : {"localhost", "127.1", "2130706433", "0x7f.1"}) {
    request.url = "https://" + std::string(host) + ":" + std::to_string(named.port()) + "/keys";
    EXPECT_THAT(error(), HasSubstr("its name leads to ")) << host;
  }
  EXPECT_EQ(named.asked(), "");
}

TEST(Inside, IsWhatIsOfThisHostOrItsLink) {
  for (const char* text : {"127.0.0.1", "127.255.255.255", "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "febf::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254"})
    EXPECT_TRUE(is_inside(*Address::parse(text))) << text;
  for (const char* text : {"10.0.0.1", "192.168.1.1", "172.16.0.1", "198.18.2.10", "126.255.255.255", "128.0.0.1", "169.253.0.1", "223.255.255.255", "fd57::1", "2001:db8::1", "fec0::1"})
    EXPECT_FALSE(is_inside(*Address::parse(text))) << text;
}

TEST_F(HttpsRequests, AnAnswerThatIsTooLargeEndsIt) {
  const std::string body(101, 'x');
  for (const std::string& head : {std::string("HTTP/1.1 200 OK\r\nContent-Length: 101\r\nConnection: close\r\n\r\n"),
                                  std::string("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")}) {
    server.set_answer(head + body);
    EXPECT_THAT(error(), HasSubstr("larger than 100 bytes"));
  }
  server.set_answer("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body.substr(1));
  EXPECT_EQ(https_request(request)->body.size(), 100u);
}

TEST_F(HttpsRequests, ACertificateOfAnotherHostOrCaIsRefused) {
  const Server other;
  trust(other.pem());
  EXPECT_THAT(error(), HasSubstr("its certificate does not hold"));
  const Server elsewhere("DNS:elsewhere.example");
  trust(elsewhere.pem());
  request.url = elsewhere.url();
  EXPECT_THAT(error(), HasSubstr("or is of another host"));
  request.ca_file = folder / "none";
  EXPECT_THAT(error(), HasSubstr("cannot be read"));
}

TEST_F(HttpsRequests, NothingButHttpsIsSpoken) {
  for (const std::string& url : {"http://127.0.0.1:" + std::to_string(server.port()), "file://" + folder.write("secret", "x"),
                                 std::string("https://user:pw@127.0.0.1/"), std::string("nonsense")}) {
    request.url = url;
    EXPECT_FALSE(https_request(request)) << url;
  }
}

TEST_F(HttpsRequests, NoProxyIsTakenFromTheEnvironment) {
  for (const char* name : {"https_proxy", "HTTPS_PROXY", "ALL_PROXY"}) setenv(name, "http://127.0.0.1:1", 1);
  EXPECT_EQ(error(), "");
  for (const char* name : {"https_proxy", "HTTPS_PROXY", "ALL_PROXY"}) unsetenv(name);
}

TEST_F(HttpsRequests, NobodyThereIsSaid) {
  request.url = "https://127.0.0.1:1/";
  EXPECT_THAT(error(), HasSubstr("cannot connect: Connection refused"));
}

TEST_F(HttpsRequests, OneThatIsToStopStops) {
  // A listener that never accepts: the handshake would wait for its whole time.
  const int silent = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(silent, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(silent, 1), 0);
  ::getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size);
  request.url = "https://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
  const std::atomic<bool> stop = true;
  const auto answer = https_request(request, &stop);
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("aborted"));
  ::close(silent);
}

}  // namespace
}  // namespace weir::identify::testing
