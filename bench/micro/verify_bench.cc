// How fast one core of `weir verify` goes through encrypted archives without a key: 64 sessions of 16 MiB that do not compress, and
// 20,000 of one statement, out of the page cache.  Beside it, in the same run, SHA-256 alone over as much.
#include <benchmark/benchmark.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "base/check.h"
#include "core/event.h"
#include "record/archive.h"
#include "record/event_codec.h"
#include "record/keys.h"
#include "record/verify.h"

namespace weir::record {
namespace {

constexpr std::size_t kTextSize = 32u << 10;
constexpr int64_t kOpenedNs = 1'790'000'000'000'000'000;

std::vector<std::byte> random_bytes(std::size_t size) {
  std::vector<std::byte> bytes(size);
  WEIR_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(size)) == 1);
  return bytes;
}

// A command of that text as one frame.
std::vector<std::byte> frame_of(uint64_t session, uint64_t sequence, Bytes text) {
  RecordEvent event;
  event.kind = RecordEvent::Kind::kCommand;
  event.session = session;
  event.sequence = sequence;
  event.at = std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(kOpenedNs));
  event.unit.kind = UnitKind::kCommand;
  event.verb = "query";
  event.text = text;
  EncodedEvent encoded(event);
  std::vector<std::byte> frame(FrameHeader::kSize + encoded.size());
  FrameHeader header;
  header.size = static_cast<uint32_t>(frame.size());
  header.kind = static_cast<uint8_t>(event.kind);
  header.session = session;
  header.sequence = sequence;
  header.at_ns = kOpenedNs;
  store(frame, header);
  encoded.copy_next(MutableBytes(frame).subspan(FrameHeader::kSize));
  return frame;
}

// A folder of archives, each of one session with `count` commands of `size` bytes of text.
class Archives {
 public:
  Archives(uint64_t sessions, uint64_t count, std::size_t size) {
    std::string path = (std::filesystem::temp_directory_path() / "weir-verify-bench-XXXXXX").string();
    WEIR_CHECK(::mkdtemp(path.data()) != nullptr);
    folder_ = path;
    const Result<SigningKey> key = SigningKey::generate(folder_ + "/log.key");
    WEIR_CHECK(key);
    key_.emplace(key->verifying());
    Digest previous{};
    for (uint64_t session = 1; session <= sessions; ++session) previous = write(*key, session, count, size, previous);
  }
  ~Archives() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Archives(const Archives&) = delete;
  Archives& operator=(const Archives&) = delete;

  [[nodiscard]] VerifyReport verify() const {
    VerifyOptions options;
    options.place.archive = folder_ + "/archive";
    options.keys.push_back(*key_);
    options.threads = 1;
    const Result<VerifyReport> report = record::verify(options);
    WEIR_CHECK(report && report->exit_code() == 0);
    return *report;
  }

 private:
  Digest write(const SigningKey& key, uint64_t session, uint64_t count, std::size_t size, const Digest& previous) {
    const std::string path = folder_ + "/archive/" + archive_name(kOpenedNs, session, 1);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    ArchiveBuilder builder(files_, path, session, 1, true);
    for (uint64_t sequence = 1; sequence <= count; ++sequence) {
      const std::vector<std::byte> frame = frame_of(session, sequence, random_bytes(size));
      builder.add({.header = load_frame_header(frame).value(), .whole = frame});
      if (builder.gathered() >= (1u << 20)) WEIR_CHECK(builder.spill());
    }
    Manifest manifest;
    manifest.gateway = "gw-1";
    manifest.session = session;
    manifest.seal = session;
    manifest.previous = previous;
    manifest.opened_ns = manifest.sealed_ns = kOpenedNs;
    manifest.key = key.id();
    manifest.is_encrypted = true;
    manifest.summary.session = session;
    manifest.summary.first_sequence = 1;
    manifest.summary.last_sequence = manifest.summary.events = manifest.summary.commands = count;
    manifest.summary.is_closed = true;
    const Result<Digest> digest = builder.finish(manifest, key);
    WEIR_CHECK(digest);
    return *digest;
  }

  std::string folder_;
  PosixFiles files_;
  std::optional<VerifyingKey> key_;
};

void verify_archives(benchmark::State& state, uint64_t sessions, uint64_t count, std::size_t size) {
  const Archives archives(sessions, count, size);
  uint64_t bytes = 0, verified = 0;
  for (auto _ : state) {
    const VerifyReport report = archives.verify();
    bytes += report.bytes;
    verified += report.archives;
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
  state.SetItemsProcessed(static_cast<int64_t>(verified));
}

void sha256_alone(benchmark::State& state) {
  const std::vector<std::byte> bytes = random_bytes(16u << 20);
  for (auto _ : state) benchmark::DoNotOptimize(sha256(bytes));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * static_cast<int64_t>(bytes.size()));
}

BENCHMARK(sha256_alone)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(verify_archives, large, 64, 512, kTextSize)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(verify_archives, small, 20'000, 1, 64)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace weir::record
