// A gateway's recording side in a temporary folder, without threads and without a clock: for tests of this folder.
#pragma once
#include <sys/stat.h>

#include <unordered_map>

#include "record/keys.h"
#include "record/record_test_support.h"
#include "record/verify.h"

namespace weir::record::test {

// Segments as files, made when asked for.
class FileSupply final : public SegmentSupply {
 public:
  explicit FileSupply(std::string folder) : folder_(std::move(folder)) {}
  ~FileSupply() override {
    for (const int file : files_) ::close(file);
  }
  std::optional<SegmentFile> take() override {
    const uint64_t id = next_segment_id(folder_).value();
    Result<FileHandle> file = open_file(segment_path(folder_, id), O_RDWR | O_CREAT);
    EXPECT_TRUE(file);
    EXPECT_EQ(::ftruncate(file->get(), kSize), 0);
    files_.push_back(file->release());
    return SegmentFile{.file = files_.back(), .id = id, .size = kSize};
  }
  void give_up(const SegmentFile&) override {}
  [[nodiscard]] bool is_full() const override { return false; }
  static constexpr int64_t kSize = 128 << 10;

 private:
  std::string folder_;
  std::vector<int> files_;
};

class Gateway {
 public:
  // `parent`: where its folder is made; in memory where a test makes thousands of changes.
  explicit Gateway(const std::string& parent = std::filesystem::temp_directory_path().string())
      : folder_(parent), state_(folder_.path() + "/state"), key_file_(folder_.path() + "/log.key") {
    EXPECT_TRUE(SigningKey::generate(key_file_));
  }

  [[nodiscard]] const std::string& state() const { return state_; }
  [[nodiscard]] std::string key_file() const { return key_file_; }
  [[nodiscard]] int64_t time_ns() const { return now_.time_since_epoch().count(); }
  void advance(std::chrono::nanoseconds by) { now_ += by; }
  Sealer& sealer() { return *sealer_; }

  RecoveryReport recover_only() {
    stop();
    RecoveryReport report;
    const Result<void> done = try_recover(report);
    EXPECT_TRUE(done) << done.error().message;
    return report;
  }
  Result<void> try_recover(RecoveryReport& report) {
    stop();
    Result<JournalKeys> keys = JournalKeys::read(state_ + "/journal", sealer_options.keys.openers);
    if (!keys) return tl::unexpected(keys.error());
    journal_keys_ = std::make_shared<JournalKeys>(std::move(*keys));
    Result<RecoveryReport> recovered =
        recover({.state = state_, .gateway = "gw", .public_key_file = key_file_ + ".pub", .kernel_bytes = kernel_bytes, .keys = journal_keys_.get(), .now = now_});
    if (!recovered) return tl::unexpected(recovered.error());
    report = std::move(*recovered);
    return {};
  }
  RecoveryReport start() {
    RecoveryReport report;
    const Result<void> done = try_start(report);
    EXPECT_TRUE(done) << done.error().message;
    return report;
  }
  Result<void> try_start() {
    RecoveryReport report;
    return try_start(report);
  }
  // Recovery is not made to fail by `files`; opening the sealer is.
  Result<void> try_start(RecoveryReport& report) {
    if (Result<void> done = try_recover(report); !done) return done;
    std::shared_ptr<const JournalKey> key;
    if (sealer_options.keys.encrypts()) {
      const auto drawn = journal_keys_->draw(posix_files, sealer_options.keys);
      if (!drawn) return tl::unexpected(drawn.error());
      key = *drawn;
    }
    if (Result<void> done = journal_keys_->forget(posix_files, key ? key->id : 0); !done) return done;
    const CoreNumbers numbers = report.numbers(0);
    const PendingShape shape{.buffer_size = 32u << 10, .buffer_count = 8};
    pending_.emplace(PendingFile::create(pending_path(state_ + "/journal", 0), shape).value());
    supply_ = std::make_unique<FileSupply>(state_ + "/journal");
    io_ = std::make_unique<DiskIo>([](int file, uint64_t offset, Bytes bytes) {
      return write_at(file, offset, bytes) ? static_cast<int32_t>(bytes.size()) : -EIO;
    }, ++runs_);
    JournalOptions options{.gateway = "gw", .first_group = numbers.next_group, .first_segment = numbers.next_segment, .shape = shape, .key = key};
    journal_ = std::make_unique<JournalWriter>(options, *io_, *supply_, pending_->memory(), counters_);
    SealerOptions sealing = sealer_options;
    sealing.state = state_;
    sealing.gateway = "gw";
    sealing.unlisted = report.unlisted;
    sealing.journal_keys = journal_keys_;
    Result<std::unique_ptr<Sealer>> sealer = Sealer::open(sealing, SigningKey::read(key_file_).value(), *files, {{0, pending_->memory()}},
                                                          [this](uint64_t id) { ::unlink(segment_path(state_ + "/journal", id).c_str()); });
    if (!sealer) return tl::unexpected(sealer.error());
    sealer_ = std::move(*sealer);
    return {};
  }
  // kill -9: nothing is flushed; what the mapping and the disk hold stays.
  void kill() { stop(); }

  void put(RecordEvent event) {
    event.sequence = ++sequences_[event.session];
    event.at = now_;
    now_ += std::chrono::microseconds(1);
    uint64_t group = 0;
    ASSERT_EQ(journal_->write(event, group), Written::kDurableLater);
    journal_->end_turn();
    if (journal_->is_congested()) flush();
  }
  void open(uint64_t session, const std::string& target, const std::string& subject) {
    const std::string text = R"({"target":")" + target + R"(","subject":")" + subject + R"(","capability":"full","policy":"abc"})";
    put(event_of(RecordEvent::Kind::kOpened, session, 0, text));
  }
  void command(uint64_t session, uint64_t unit, const std::string& text, Verdict::Action action = Verdict::Action::kAllow, std::string_view rule = {}) {
    RecordEvent event = event_of(RecordEvent::Kind::kCommand, session, 0, text);
    event.unit.id = unit;
    event.unit.kind = UnitKind::kCommand;
    event.verb = "query";
    event.action = action;
    event.rule = rule;
    put(event);
  }
  void respond(uint64_t session, uint64_t unit, uint64_t masked, std::string_view sqlstate = {}) {
    RecordEvent event = event_of(RecordEvent::Kind::kResponse, session, 0, "SELECT 1");
    event.unit.in_reply_to = unit;
    event.unit.kind = UnitKind::kResponseEnd;
    event.masked = masked == 0 ? 0 : masked + 1;
    event.sqlstate = sqlstate;
    put(event);
  }
  void close(uint64_t session, uint64_t unaccounted = 0) {
    const ByteAccount accounts[2] = {{.kernel = 100 + unaccounted, .handshake = 40, .parsed = 50, .opaque = 4, .refused = 6},
                                     {.kernel = 200, .parsed = 200, .injected = 7}};
    RecordEvent event = event_of(RecordEvent::Kind::kClosed, session, 0);
    event.reason = "client closed";
    event.accounts = accounts;
    put(event);
  }
  void skip_sequence(uint64_t session) { ++sequences_[session]; }
  void set_sequence(uint64_t session, uint64_t sequence) { sequences_[session] = sequence; }

  void flush() {
    journal_->flush();
    io_->settle(*journal_);
  }
  void seal_without_flush() {
    const Result<void> done = sealer_->finish(now_);
    EXPECT_TRUE(done) << done.error().message;
  }
  Result<void> try_seal() {
    flush();
    return sealer_->finish(now_);
  }
  Result<void> try_step() {
    flush();
    return sealer_->step(now_);
  }
  void seal() {
    flush();
    seal_without_flush();
  }
  VerifyReport verify() { return verify(RecordPlace::of(state_)); }
  VerifyReport verify(const RecordPlace& place, const std::string& known_head = {}) {
    VerifyOptions options;
    options.place = place;
    options.threads = 1;
    options.known_head = known_head;
    options.keys.push_back(VerifyingKey::read(key_file_ + ".pub").value());
    const Result<VerifyReport> report = record::verify(options);
    EXPECT_TRUE(report) << report.error().message;
    return report ? *report : VerifyReport{};
  }

  SealerOptions sealer_options;
  std::function<std::optional<std::array<uint64_t, 2>>(uint64_t)> kernel_bytes;
  PosixFiles posix_files;
  Files* files = &posix_files;

 private:
  void stop() {
    sealer_.reset();
    journal_.reset();
    io_.reset();
    supply_.reset();
    pending_.reset();
  }

  TemporaryFolder folder_;
  std::string state_, key_file_;
  std::chrono::sys_time<std::chrono::nanoseconds> now_{std::chrono::seconds(1'790'000'000)};
  uint64_t runs_ = 0;
  CoreCounters counters_;
  std::optional<PendingFile> pending_;
  std::unique_ptr<FileSupply> supply_;
  std::unique_ptr<DiskIo> io_;
  std::shared_ptr<JournalKeys> journal_keys_;
  std::unique_ptr<JournalWriter> journal_;
  std::unique_ptr<Sealer> sealer_;
  std::unordered_map<uint64_t, uint64_t> sequences_;
};

}  // namespace weir::record::test
