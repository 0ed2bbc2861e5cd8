// What each request to the signer costs, through its socket, beside the same work with the key at hand.  Run as root.
//
//   signer_cost [ROUNDS] [FOLDER]      FOLDER: on the disk whose syncs a checkpoint waits for
#include <openssl/evp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <vector>

#include "record/evidence_log.h"
#include "record/key_store.h"
#include "record/manifest.h"
#include "signer/process.h"
#include "transport/ca.h"
#include "transport/openssl_ptr.h"

namespace weir {
namespace {

template <typename T>
T must(Result<T> result, const char* what) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "signer_cost: %s: %s\n", what, result.error().message.c_str());
  std::exit(1);
}
void must(const Result<void>& result, const char* what) {
  if (!result) must(Result<int>(tl::unexpected<Error>(result.error())), what);
}

void measure(const char* what, int rounds, const std::function<void(int)>& act) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> took;
  for (int round = 0; round < rounds; ++round) {
    const auto begun = Clock::now();
    act(round);
    took.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begun).count());
  }
  std::sort(took.begin(), took.end());
  std::printf("%-34s median %8.1f us, 90%% %8.1f, 99%% %8.1f\n", what, took[took.size() / 2], took[took.size() * 9 / 10], took[took.size() * 99 / 100]);
}

// A signer without an exec, that keeps its user.
std::unique_ptr<signer::Process> start(const signer::Setup& setup) {
  std::array<int, 2> sockets{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0) return std::perror("signer_cost: socketpair"), nullptr;
  const pid_t pid = fork();
  if (pid == 0) {
    ::close(sockets[0]);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    _exit(signer::serve(sockets[1], [](const std::string&) -> Result<void> { return {}; }));
  }
  ::close(sockets[1]);
  return std::make_unique<signer::Process>(pid, must(signer::Client::open(sockets[0], setup), "start"));
}

void run(const std::string& folder, int rounds) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  must(transport::init_ca({.certificate_file = folder + "/ca.crt", .key_file = folder + "/ca.key"}, now), "CA");
  signer::Setup setup;
  setup.gateway = "bench";
  setup.origin = "weir.invalid/bench";
  setup.state = folder + "/state";
  setup.folder = folder + "/signer";
  setup.log_key_file = folder + "/log.key";
  setup.gateway_key_file = folder + "/gateway.key";
  setup.ca = {folder + "/ca.crt", folder + "/ca.key", "1.2"};
  setup.needs_ca = true;
  setup.names = {{"db.example"}, {}};
  setup.parent = getpid();
  const auto process = start(setup);
  if (!process) std::exit(1);
  signer::Client& client = process->client();
  must(client.adopt_head(""), "the log's head");

  const record::LogKey remote = client.log_key(), at_hand(must(record::SigningKey::read(setup.log_key_file), "log key"));
  const record::KeyRing remote_ring = must(client.ring({}), "ring"), own_ring = must(record::open_ring(setup.gateway_key_file, {}), "ring");
  const auto own_ca = must(transport::CaKey::load(setup.ca, now), "CA");
  const transport::PkeyPtr leaf_key(EVP_EC_gen("P-256"));
  record::Manifest manifest;
  manifest.gateway = setup.gateway;
  manifest.session = manifest.seal = 1;
  manifest.key = remote.id();
  const std::string text = record::to_json(manifest);
  record::PosixFiles files;

  measure("round trip (counts)", rounds, [&](int) { must(client.counts(), "counts"); });
  for (const auto* key : {&remote, &at_hand}) measure(key == &remote ? "seal" : "seal, key at hand", rounds, [&](int) { must(key->sign_seal(text), "seal"); });
  for (const auto* ring : {&remote_ring, &own_ring}) {
    const record::SecretKey secret = record::SecretKey::random();
    const record::WrapContext context{.session = 7, .part = 1, .commitment = record::commitment_of(secret)};
    std::string wraps;
    measure(ring == &remote_ring ? "wrap" : "wrap, key at hand", rounds, [&](int) { wraps = must(record::wrap_for_all(*ring, secret, context), "wrap"); });
    measure(ring == &remote_ring ? "open" : "open, key at hand", rounds, [&](int) { must(record::unwrap(wraps, ring->openers, context), "open"); });
  }
  // Leaves are signed for a gateway's few targets: more at once than a start needs is refused.
  const auto remote_ca = client.leaf_signer();
  for (auto* const ca : std::initializer_list<transport::LeafSigner*>{remote_ca.get(), own_ca.get()}) {
    measure(ca == remote_ca.get() ? "leaf" : "leaf, key at hand", std::min(rounds, 50), [&](int) { must(ca->sign(setup.names, leaf_key.get(), now), "leaf"); });
  }
  for (const auto* key : {&remote, &at_hand}) {
    record::EvidenceLog log(folder + (key == &remote ? "/log" : "/log-at-hand"), setup.origin, *key, files);
    must(log.open([](uint64_t, Bytes) {}), "log");
    if (key == &at_hand) log.add("{\"other\":0}");
    measure(key == &remote ? "an entry, committed and signed" : "the same, key at hand", std::min(rounds, 500), [&](int round) {
      log.add("{\"entry\":" + std::to_string(round) + "}");
      must(log.commit(), "commit");
    });
  }
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(10, std::atoi(argv[1])) : 2'000;
  std::string folder = std::string(argc > 2 ? argv[2] : "/var/tmp") + "/weir-signer-cost-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return std::perror("signer_cost"), 1;
  weir::run(folder, rounds);
  std::filesystem::remove_all(folder);
}
