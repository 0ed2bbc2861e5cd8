// Peers besides OpenSSH: dropbear (both ways), plink, paramiko.
#include "transport/ssh/ssh_driver.h"

namespace weir::ssh::testing {
namespace {

using State = SshTransport::State;

class OtherPeers : public PeerTest {
 protected:
  // Makes the peer's command, given the port; it copies "in" through our echo to "out".
  using Command = std::function<std::vector<std::string>(const std::string& port)>;
  void carry_through_our_server(KeyType host_key, const Command& command, uint64_t packets = 50) {
    auto leg = server_leg({host_key});
    leg->rekey.packets = packets;
    const std::string said = payload_of(bytes_to_carry());
    write_file("in", said);
    std::string port;
    const int listener = listen_once(port);
    const int in = open(path("in").c_str(), O_RDONLY | O_CLOEXEC), out = open(path("out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const pid_t child = spawn(command(port), in, out, "errors");
    close(in);
    close(out);
    EchoServer server(leg, accept_once(listener), key_of(path("user")).public_key().fingerprint());
    server.run();
    if (HasFailure() || server.transport.state() == State::kFault) kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << text_of("errors") << server.transport.fault();
    EXPECT_TRUE(text_of("out") == said) << text_of("out").size() << " of " << said.size() << " " << text_of("errors");
    EXPECT_GE(server.transport.exchanges(), 2U);
    RecordProperty("algorithms", server.transport.describe());
    RecordProperty("version", std::string(server.transport.peer_version()));
  }
};

TEST_F(OtherPeers, DropbearsClientTalksToOurServer) {
  if (!has("/usr/bin/dbclient") || !has("/usr/bin/dropbearkey")) FAIL() << "dropbear-bin is not installed: scripts/setup.sh";
  ASSERT_EQ(std::system(("dropbearkey -t ecdsa -s 256 -f " + path("dropbear") + " >/dev/null 2>&1 && dropbearconvert dropbear openssh " + path("dropbear") + " " +
                         path("user") + " >/dev/null 2>&1 && chmod 600 " + path("user"))
                            .c_str()),
            0);
  carry_through_our_server(KeyType::kEd25519, [&](const std::string& port) {
    return std::vector<std::string>{"/usr/bin/dbclient", "-y", "-y", "-i", path("dropbear"), "-p", port, "alice@127.0.0.1", "cat"};
  });
}

TEST_F(OtherPeers, PlinkTalksToOurServer) {
  if (!has("/usr/bin/plink") || !has("/usr/bin/puttygen")) FAIL() << "putty-tools is not installed: scripts/setup.sh";
  make_key("user", KeyType::kEd25519);
  ASSERT_EQ(std::system(("puttygen " + path("user") + " -o " + path("user.ppk")).c_str()), 0);
  carry_through_our_server(KeyType::kRsa, [&](const std::string& port) {
    return std::vector<std::string>{"/usr/bin/plink", "-batch", "-ssh", "-noagent", "-P", port, "-i", path("user.ppk"), "-hostkey", test_key(KeyType::kRsa).public_key().fingerprint(),
                                    "alice@127.0.0.1", "cat"};
  }, 200);  // With one every 50 packets plink may stop reading for good (README.md, "Known gaps").
}

TEST_F(OtherPeers, ParamikoTalksToOurServer) {
  if (std::system("/usr/bin/python3 -c 'import paramiko' 2>/dev/null") != 0) FAIL() << "python3-paramiko is not installed: scripts/setup.sh";
  make_key("user", KeyType::kEcdsa256);
  write_file("client.py", R"(
import paramiko, sys, threading
port, key, source, target = sys.argv[1:]
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect("127.0.0.1", int(port), "alice", pkey=paramiko.ECDSAKey.from_private_key_file(key), allow_agent=False, look_for_keys=False)
channel = client.get_transport().open_session()
channel.exec_command("cat")
def say():
    channel.sendall(open(source, "rb").read())
    channel.shutdown_write()
threading.Thread(target=say).start()
with open(target, "wb") as out:
    while True:
        got = channel.recv(65536)
        if not got: break
        out.write(got)
sys.exit(channel.recv_exit_status())
)");
  carry_through_our_server(KeyType::kEcdsa384, [&](const std::string& port) {
    return std::vector<std::string>{"/usr/bin/python3", path("client.py"), port, path("user"), path("in"), path("out")};
  });
}

// dropbear reads keys from a home folder alone: it refuses us, and that it can say so is what this is about.
TEST_F(OtherPeers, DropbearsServerTalksToOurClient) {
  if (!has("/usr/sbin/dropbear")) FAIL() << "dropbear-bin is not installed: scripts/setup.sh";
  ASSERT_EQ(std::system(("dropbearkey -t ecdsa -s 256 -f " + path("host") + " >/dev/null 2>&1").c_str()), 0);
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const pid_t child = spawn({"/usr/sbin/dropbear", "-i", "-r", path("host")}, ends[1], ends[1], "errors");
  close(ends[1]);
  auto leg = client_leg();
  leg->preferences.host_keys = "ecdsa-sha2-nistp256";
  const PrivateKey& user_key = test_key(KeyType::kEd25519);
  {
    CatClient client(leg, ends[0], user_key, {}, "");
    client.run();
    EXPECT_THAT(client.trouble, ::testing::HasSubstr("refused; left: ")) << client.transport.fault() << text_of("errors");
    EXPECT_EQ(client.transport.state(), State::kReady);
    RecordProperty("algorithms", client.transport.describe());
  }
  int status = 0;
  waitpid(child, &status, 0);
}

}  // namespace
}  // namespace weir::ssh::testing
