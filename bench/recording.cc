// What one core carries through journal, sealer and evidence log: real files, real io_uring, encrypted, in the order of the product.
//
//   recording [FOLDER] [SECONDS]
//
// The process is held to one processor, so journal, sealer, log and the helper that wipes segments share it.  Two loads: commands
// with small answers, and answers of 256 KiB (what a target sends, masked, on the record).  FOLDER is on the disk to be measured.
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "io/uring_io.h"
#include "record/journal.h"
#include "record/key_store.h"
#include "record/pending.h"
#include "record/sealer.h"
#include "record/segment_store.h"

namespace weir::record {
namespace {

using Clock = std::chrono::steady_clock;

template <typename T>
T must(Result<T> result, const char* what) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "recording: %s: %s\n", what, result.error().message.c_str());
  std::exit(1);
}
void must(const Result<void>& result, const char* what) {
  if (result) return;
  std::fprintf(stderr, "recording: %s: %s\n", what, result.error().message.c_str());
  std::exit(1);
}

double cpu_seconds() {
  struct rusage use {};
  ::getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

// Of the thread that seals.
double sealer_seconds() {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name, line;
    std::getline(std::ifstream(task.path() / "comm"), name);
    if (name != "weir-sealer") continue;
    std::ifstream stat(task.path() / "schedstat");  // Nanoseconds on a processor come first.
    double ns = 0;
    stat >> ns;
    return ns / 1e9;
  }
  return 0;
}

// Rows as JSON, other values in each: neither noise nor one line again and again.
std::string rows(std::size_t bytes, uint64_t seed) {
  std::string text = "[";
  uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
  while (text.size() < bytes) {
    state = state * 6364136223846793005 + 1442695040888963407;
    text += "[\"" + std::to_string(state >> 40) + "\",\"placed\",\"" + std::to_string((state >> 20) % 100'000) + ".00\",\"person-" + std::to_string(state % 100'000) + "@example.org\"],";
  }
  text.back() = ']';
  return text;
}

// A gateway's recording side, as the engine puts it together.
class Gateway {
 public:
  explicit Gateway(const std::string& folder) : state_(folder + "/state") {
    std::filesystem::create_directories(state_ + "/journal");
    must(SigningKey::generate(folder + "/log.key"), "log key");
    must(GatewayKeys::generate(folder + "/gateway.key"), "gateway key");
    ring_ = must(open_ring(folder + "/gateway.key", {}), "gateway key");
    keys_ = std::make_shared<JournalKeys>(must(JournalKeys::read(state_ + "/journal", ring_.openers), "journal keys"));
    segments_ = must(SegmentStore::start({.folder = state_ + "/journal"}), "segments");
    pending_.emplace(must(PendingFile::create(pending_path(state_ + "/journal", 0), {}), "pending memory"));
    io_ = must(io::UringIo::create(Limits{}, counters_), "io_uring");
    JournalOptions journal{.gateway = "bench", .key = must(keys_->draw(files_, ring_), "journal key")};
    journal_ = std::make_unique<JournalWriter>(journal, *io_, segments_->supply(0), pending_->memory(), counters_);
    SealerOptions sealing{.state = state_, .gateway = "bench", .keys = ring_, .journal_keys = keys_};
    sealing.after_close = std::chrono::milliseconds(0);
    auto sealer = must(Sealer::open(sealing, must(SigningKey::read(folder + "/log.key"), "log key"), files_, {{0, pending_->memory()}}, [this](uint64_t id) { segments_->recycle(id); }), "sealer");
    thread_ = std::make_unique<SealerThread>(std::move(sealer), std::chrono::milliseconds(20), [](const Error& error) { std::fprintf(stderr, "recording: sealing: %s\n", error.message.c_str()); });
  }
  ~Gateway() {
    thread_.reset();
    journal_.reset();
  }

  // Waits for place, as sessions do.
  void put(RecordEvent& event) {
    event.at = io_->wall();
    ++event.sequence;
    uint64_t group = 0;
    while (journal_->is_congested() || journal_->write(event, group) == Written::kRefused) turn();
    ++events_;
  }
  // One turn of the core.  What else would wake it are its sessions.
  void turn() {
    journal_->end_turn();
    if (journal_->is_congested() && !journal_->is_accepting()) ::usleep(200);  // No segment yet.
    io_->post(0);
    for (const Completion& completion : io_->turn()) {
      if (completion.token.kind == OpKind::kWrite || completion.token.kind == OpKind::kTimer) journal_->on_completion(completion);
    }
  }
  // All that was put has become archives.
  bool is_sealed() {
    while (!journal_->is_idle()) {
      journal_->flush();
      turn();
    }
    return thread_->counts().open_sessions == 0 && thread_->counts().events >= events_;
  }
  void finish() {
    must(thread_->finish(), "sealing");
  }
  [[nodiscard]] uint64_t events() const { return events_; }
  [[nodiscard]] uint64_t archived() const {
    uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(state_ + "/archive")) bytes += entry.is_regular_file() ? entry.file_size() : 0;
    return bytes;
  }

 private:
  std::string state_;
  PosixFiles files_;
  CoreCounters counters_;
  KeyRing ring_;
  std::shared_ptr<JournalKeys> keys_;
  std::unique_ptr<SegmentStore> segments_;
  std::optional<PendingFile> pending_;
  std::unique_ptr<io::UringIo> io_;
  std::unique_ptr<JournalWriter> journal_;
  std::unique_ptr<SealerThread> thread_;
  uint64_t events_ = 0;
};

// Sessions of `units` commands each, with `body` as each answer, until the time is over; then all is sealed.
void measure(const char* name, const std::string& parent, int seconds, uint64_t units, const std::vector<std::string>& bodies) {
  std::string folder = parent + "/weir-recording-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) std::exit(1);
  {
    Gateway gateway(folder);
    const auto begun = Clock::now();
    const double cpu = cpu_seconds();
    uint64_t statements = 0, bytes = 0, session = 0;
    const ByteAccount accounts[2] = {};
    while (Clock::now() - begun < std::chrono::seconds(seconds)) {
      RecordEvent event;
      event.session = ++session;
      event.kind = RecordEvent::Kind::kOpened;
      event.text = as_bytes(R"({"target":"shop","subject":"someone@example.org","capability":"full","policy":"bench"})");
      gateway.put(event);
      for (uint64_t unit = 1; unit <= units; ++unit) {
        const std::string text = "select o.id, o.placed, p.name from orders o join people p on p.id = o.person where o.id = " + std::to_string(++statements);
        event.kind = RecordEvent::Kind::kCommand;
        event.unit = {};
        event.unit.id = unit;
        event.unit.kind = UnitKind::kCommand;
        event.verb = "query";
        event.text = as_bytes(text);
        event.action = Verdict::Action::kAllow;
        gateway.put(event);
        const std::string& body = bodies[statements % bodies.size()];
        event.kind = RecordEvent::Kind::kResponse;
        event.unit.id = 0;
        event.unit.in_reply_to = unit;
        event.unit.kind = UnitKind::kResponseEnd;
        event.text = as_bytes("SELECT 1");
        event.body = as_bytes(body);
        bytes += body.size();
        gateway.put(event);
        event.body = {};
        if (unit % 8 == 0) gateway.turn();  // Eight clients.
      }
      event.kind = RecordEvent::Kind::kClosed;
      event.text = {};
      event.accounts = accounts;
      gateway.put(event);
    }
    while (!gateway.is_sealed()) ::usleep(5'000);
    const double sealer = sealer_seconds();
    gateway.finish();
    const double took = std::chrono::duration<double>(Clock::now() - begun).count(), used = cpu_seconds() - cpu;
    std::printf("%-14s %8.0f events/s, %7.0f statements/s, answers %6.1f MB/s, all sealed; of the processor %3.0f%%, %5.1f us a statement; the sealer %5.1f us a statement, %6.1f MB of answers per second of its own; archives %.1f KB per 1,000 statements\n", name,
                static_cast<double>(gateway.events()) / took, static_cast<double>(statements) / took, static_cast<double>(bytes) / took / 1e6, used / took * 100, used * 1e6 / static_cast<double>(statements),
                sealer * 1e6 / static_cast<double>(statements), static_cast<double>(bytes) / sealer / 1e6, static_cast<double>(gateway.archived()) / static_cast<double>(statements));
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace weir::record

int main(int argc, char** argv) {
  const std::string folder = argc > 1 ? argv[1] : "/var/tmp";
  const int seconds = argc > 2 ? std::max(1, std::atoi(argv[2])) : 10;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  if (sched_setaffinity(0, sizeof one, &one) != 0) return std::perror("recording: one processor"), 1;
  std::vector<std::string> small, large;
  for (uint64_t seed = 0; seed < 64; ++seed) {
    small.push_back(weir::record::rows(120, seed));
    large.push_back(weir::record::rows(256 << 10, seed));
  }
  if (argc <= 3) weir::record::measure("small answers", folder, seconds, 1'000, small);
  weir::record::measure("large answers", folder, seconds, 100, large);
}
