// Against OpenSSH itself: ssh as the client of our server's side, sshd (on its standard input, as inetd runs it) as the target
// of our client's side.  Each cipher, MAC, key exchange and type of host key; rekeys while both talk.
// WEIR_SSH_MIB=64 carries so much each way instead of the little that a quick test needs.  Skipped where OpenSSH is not.
#include "transport/ssh/ssh_driver.h"

namespace weir::ssh::testing {
namespace {

using State = SshTransport::State;

struct Variant {
  std::string name;
  SshPreferences preferences;
  KeyType host_key = KeyType::kEd25519;
  bool has_certificate = false;
};
void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }
// As many as there are host key algorithms, the most of all kinds; each has an exchange and a cipher of its own, in turn.
std::vector<Variant> variants() {
  std::vector<SshPreferences> suites;
  for (const std::string_view name : cipher_names()) {
    if (is_aead(*find_cipher(name))) suites.push_back({"", "", std::string(name), ""});
  }
  const char* const ctr[] = {"aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-ctr"};
  for (std::size_t i = 0; i < mac_names().size(); ++i) suites.push_back({"", "", ctr[i % 4], std::string(mac_names()[i])});
  std::vector<Variant> all;
  for (const SignatureAlgorithm& algorithm : signature_algorithms()) {
    SshPreferences preferences = suites[all.size() % suites.size()];
    preferences.kex = kex_methods()[all.size() % kex_methods().size()].name;
    preferences.host_keys = algorithm.name;
    all.push_back({std::string(algorithm.name) + "_" + preferences.kex + "_" + preferences.ciphers + "_" + preferences.macs, preferences, algorithm.type, algorithm.is_certificate});
  }
  return all;
}

class OpenSsh : public PeerTest, public ::testing::WithParamInterface<Variant> {};

TEST_P(OpenSsh, ItsClientTalksToOurServer) {
  if (!has("/usr/bin/ssh")) FAIL() << "openssh-client is not installed: scripts/setup.sh";
  const Variant& variant = GetParam();
  const std::string user_key = make_key("user", KeyType::kEd25519);
  auto leg = server_leg({variant.host_key});
  leg->preferences = variant.preferences;
  leg->rekey.packets = 50;
  const PublicKey& shown = leg->host_keys[0].key.public_key();
  if (variant.has_certificate) {
    leg->host_keys[0].certificate = certificate_for(shown, CertificateUse::kHost, "weir.test");
    write_file("known", "@cert-authority * " + public_line(test_key(KeyType::kEd25519).public_key().blob(), ""));
  } else {
    write_file("known", "weir.test " + public_line(shown.blob(), ""));
  }
  const std::string said = payload_of(bytes_to_carry());
  write_file("in", said);
  std::string port;
  const int listener = listen_once(port);
  const int in = open(path("in").c_str(), O_RDONLY | O_CLOEXEC), out = open(path("out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const pid_t child = spawn({"/usr/bin/ssh", "-F", "/dev/null", "-p", port, "-i", user_key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o",
                             "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + path("known"), "-o", "GlobalKnownHostsFile=/dev/null", "-o", "HostKeyAlias=weir.test", "-o",
                             "IdentityAgent=none", "alice@127.0.0.1", "cat"},
                            in, out, "errors");
  close(in);
  close(out);
  EchoServer server(leg, accept_once(listener), key_of(user_key).public_key().fingerprint());
  server.run();
  if (HasFailure() || server.transport.state() == State::kFault) kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << text_of("errors") << server.transport.fault();
  EXPECT_TRUE(text_of("out") == said);
  EXPECT_EQ(server.user, "alice");
  EXPECT_TRUE(server.was_hostbound);
  EXPECT_TRUE(server.transport.is_strict()) << "OpenSSH of Debian 12 is";
  EXPECT_GE(server.transport.exchanges(), 2U);
  EXPECT_EQ(server.transport.algorithms().host_key, variant.preferences.host_keys);
}

TEST_P(OpenSsh, ItsServerTalksToOurClient) {
  if (!has("/usr/sbin/sshd")) FAIL() << "openssh-server is not installed: scripts/setup.sh";
  if (geteuid() != 0) FAIL() << "run as root: sshd lets nobody in but who runs it, and another user may have no shell";
  mkdir("/run/sshd", 0755);  // Where sshd locks its unprivileged child in; its package's service makes it.
  const Variant& variant = GetParam();
  const std::string host_key = make_key("host", variant.host_key);
  write_file("ca.pub", public_line(test_key(KeyType::kEd25519).public_key().blob(), ""));
  std::vector<std::string> words = {"/usr/sbin/sshd", "-i", "-e", "-f", "/dev/null", "-o", "HostKey=" + host_key, "-o", "UsePAM=no", "-o", "StrictModes=no", "-o", "PidFile=none", "-o",
                                    "TrustedUserCAKeys=" + path("ca.pub"), "-o", "LogLevel=VERBOSE", "-o", "AuthorizedKeysFile=none"};
  if (variant.has_certificate) {
    const PrivateKey key = key_of(host_key);
    write_file("host-cert.pub", public_line(certificate_for(key.public_key(), CertificateUse::kHost, "weir.test"), ""));
    words.insert(words.end(), {"-o", "HostCertificate=" + path("host-cert.pub")});
  }
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const pid_t child = spawn(words, ends[1], ends[1], "errors");
  close(ends[1]);
  auto leg = client_leg();
  leg->preferences = variant.preferences;
  leg->rekey.packets = 50;
  const PrivateKey& user_key = test_key(KeyType::kEcdsa256);
  const std::string said = payload_of(bytes_to_carry());
  {
    CatClient client(leg, ends[0], user_key, certificate_for(user_key.public_key(), CertificateUse::kUser, "root"), said);
    client.run();
    EXPECT_TRUE(client.is_in) << client.trouble << client.transport.fault() << text_of("errors");
    EXPECT_TRUE(client.channel.heard == said) << client.channel.heard.size();
    EXPECT_EQ(client.fingerprint, key_of(host_key).public_key().fingerprint());
    EXPECT_EQ(client.has_certificate, variant.has_certificate);
    EXPECT_TRUE(client.transport.is_strict()) << "OpenSSH of Debian 12 is";
    EXPECT_GE(client.transport.exchanges(), 2U);
    EXPECT_EQ(client.transport.algorithms().kex, variant.preferences.kex);
  }
  if (HasFailure()) kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_THAT(text_of("errors"), ::testing::HasSubstr("ID weir:test"));  // The target's own log names who it was.
}

INSTANTIATE_TEST_SUITE_P(Peers, OpenSsh, ::testing::ValuesIn(variants()), [](const auto& variant) { return test_name(variant.param.name); });

}  // namespace
}  // namespace weir::ssh::testing
