// What 1,000 statements take on disk and in time: in clear (format 1), compressed, compressed and encrypted.  Each is a command
// and its response, as a report writes them: one text, other constants.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "core/event.h"
#include "record/chunk.h"
#include "record/event_codec.h"

namespace weir::record {
namespace {

constexpr uint64_t kStatements = 1'000;

void append(std::vector<std::byte>& out, const RecordEvent& event) {
  EncodedEvent encoded(event);
  const std::size_t begin = out.size();
  out.resize(begin + FrameHeader::kSize + encoded.size());
  const MutableBytes frame = MutableBytes(out).subspan(begin);
  FrameHeader header;
  header.size = static_cast<uint32_t>(frame.size());
  header.kind = static_cast<uint8_t>(event.kind);
  header.session = event.session;
  header.sequence = event.sequence;
  header.at_ns = event.at.time_since_epoch().count();
  store(frame, header);
  encoded.copy_next(frame.subspan(FrameHeader::kSize));
  store_le(frame, 4, frame_crc(0, frame));
}

std::vector<std::byte> statements() {
  std::vector<std::byte> frames;
  RecordEvent event;
  event.session = 4711;
  for (uint64_t number = 1; number <= kStatements; ++number) {
    const std::string text = "select o.id, o.placed, p.name from orders o join people p on p.id = o.person where o.id = " + std::to_string(number * 7919 % 100'000);
    event.at = std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(1'790'000'000'000'000'000 + static_cast<int64_t>(number * 1'234'567)));
    event.kind = RecordEvent::Kind::kCommand;
    ++event.sequence;
    event.unit.id = number;
    event.unit.kind = UnitKind::kCommand;
    event.verb = "query";
    event.text = as_bytes(text);
    append(frames, event);
    event.kind = RecordEvent::Kind::kResponse;
    ++event.sequence;
    event.unit.in_reply_to = number;
    event.unit.kind = UnitKind::kResponseEnd;
    event.text = as_bytes("SELECT 1");
    append(frames, event);
  }
  return frames;
}

enum class Form { kClear, kCompressed, kEncrypted };

void archive(benchmark::State& state, Form form) {
  const std::vector<std::byte> frames = statements();
  const std::array<std::byte, kArchiveHeaderSize> header{};
  std::size_t size = frames.size();
  for (auto _ : state) {
    const SecretKey key = SecretKey::random();  // A nonce meets one message here as well.
    if (form != Form::kClear) size = pack_chunk(header, 0, 2 * kStatements, frames, false, form == Form::kEncrypted ? &key : nullptr).size();
    benchmark::DoNotOptimize(size);
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * static_cast<int64_t>(frames.size()));
  state.counters["bytes_per_1000_statements"] = static_cast<double>(size);
}

BENCHMARK_CAPTURE(archive, clear, Form::kClear);
BENCHMARK_CAPTURE(archive, compressed, Form::kCompressed);
BENCHMARK_CAPTURE(archive, encrypted, Form::kEncrypted);

}  // namespace
}  // namespace weir::record
