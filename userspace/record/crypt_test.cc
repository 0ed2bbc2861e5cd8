// Archives that are compressed and encrypted: who reads them, who does not, and that every change shows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <zstd.h>

#include <fstream>
#include <set>

#include "record/archive.h"
#include "record/archive_vectors.h"
#include "record/evidence_log.h"
#include "record/key_store.h"
#include "record/record_test_gateway.h"
#include "record/verify_archive.h"

namespace weir::record {
namespace {

namespace fs = std::filesystem;
using test::Gateway;
using testing::HasSubstr;

constexpr std::string_view kStatement = "select 'a text that nobody outside may see' from people";

std::string slurp(const std::string& path) { return read_text(path, 64u << 20).value(); }
void spew(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(text.data(), static_cast<std::streamsize>(text.size()));
}
bool has(const VerifyReport& report, std::string_view code) {
  return std::any_of(report.findings.begin(), report.findings.end(), [&](const Finding& finding) { return finding.code == code; });
}

// An auditor's pair, as `openssl genpkey -algorithm X25519` makes it: `path` and `path`.pub.
void make_auditor(const std::string& path) {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519");
  FILE* file = fopen(path.c_str(), "w");
  PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  fclose(file);
  chmod(path.c_str(), 0600);
  file = fopen((path + ".pub").c_str(), "w");
  PEM_write_PUBKEY(file, key);
  fclose(file);
  EVP_PKEY_free(key);
}

class Encrypted : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(GatewayKeys::generate(kek()));
    make_auditor(auditor());
    make_auditor(files_.path() + "/other.key");
    gw_.sealer_options.keys = open_ring(kek(), {auditor() + ".pub"}).value();
    gw_.sealer_options.chunk_size = 600;  // Several chunks.
    gw_.start();
    for (uint64_t session = 1; session <= 2; ++session) {
      gw_.open(session, "orders-db", "user:ann");
      for (uint64_t unit = 1; unit <= 5; ++unit) {
        gw_.command(session, unit, std::string(kStatement) + " where id = " + std::to_string(unit));
        gw_.respond(session, unit, 0);
      }
      gw_.close(session);
      gw_.seal();
      for (const auto& entry : fs::recursive_directory_iterator(gw_.state() + "/archive")) {
        if (entry.path().extension() == ".weir" && entry.path().stem() == std::to_string(session)) archives_.push_back(entry.path().string());
      }
      names_.push_back(archives_.back().substr((gw_.state() + "/archive/").size()));
      keys_.push_back(gw_.state() + "/keys/" + keys_name(names_.back()));
    }
    ASSERT_EQ(archives_.size(), 2U);
  }
  std::string kek() const { return files_.path() + "/kek.key"; }
  std::string auditor() const { return files_.path() + "/auditor.key"; }
  RecordPlace place(const std::string& key = {}) const {
    RecordPlace place = RecordPlace::of(gw_.state());
    if (!key.empty()) place.openers.push_back(read_opener(key).value());
    return place;
  }
  // The session's commands; or what the error says.
  std::string read(const RecordPlace& place, uint64_t session = 1) const {
    uint64_t commands = 0;
    const Result<void> done = replay(place, session, [&](const std::string& line) {
      commands += line.find(kStatement) != std::string::npos ? 1 : 0;
      return true;
    });
    return done ? std::to_string(commands) : done.error().message;
  }

  test::TemporaryFolder files_{"/dev/shm"};
  Gateway gw_{"/dev/shm"};
  std::vector<std::string> archives_, names_, keys_;
};

TEST_F(Encrypted, IsReadWithTheGatewaysKeyOrAnAuditorsAndNoOther) {
  EXPECT_EQ(read(place(kek())), "5");
  EXPECT_EQ(read(place(auditor())), "5");
  EXPECT_THAT(read(place()), HasSubstr("no key was given; it opens with that of: gateway"));
  EXPECT_THAT(read(place()), HasSubstr("--key-file"));
  EXPECT_THAT(read(place(files_.path() + "/other.key")), HasSubstr("is encrypted for other keys"));
  const std::string another = files_.path() + "/another-kek.key";
  ASSERT_TRUE(GatewayKeys::generate(another));
  EXPECT_THAT(read(place(another)), HasSubstr("is encrypted for other keys"));
  fs::remove(keys_[0]);
  EXPECT_THAT(read(place(kek())), HasSubstr("its keys are not there"));
  EXPECT_EQ(read(place(kek()), 2), "5");
}

TEST_F(Encrypted, NothingOfAStatementStandsInTheFiles) {
  for (const char* folder : {"/archive", "/keys", "/log"}) {
    for (const auto& entry : fs::recursive_directory_iterator(gw_.state() + folder)) {
      if (!entry.is_regular_file()) continue;
      EXPECT_EQ(slurp(entry.path().string()).find("nobody outside"), std::string::npos) << entry.path();
    }
  }
  EXPECT_LT(slurp(archives_[0]).size(), 6'000U);
}

TEST_F(Encrypted, VerifyNeedsNoKeyAndLooksInsideWithOne) {
  const VerifyReport shut = gw_.verify();
  EXPECT_EQ(shut.exit_code(), 0);
  EXPECT_EQ(shut.shut, 2U);
  for (const std::string& key : {kek(), auditor()}) {
    const VerifyReport open = gw_.verify(place(key));
    EXPECT_EQ(open.exit_code(), 0);
    EXPECT_EQ(open.shut, 0U);
  }
  EXPECT_EQ(gw_.verify(place(files_.path() + "/other.key")).exit_code(), 0) << "another's key opens nothing, and breaks nothing";
}

TEST_F(Encrypted, AnyByteOfAnArchiveAndOfItsKeysIsFoundWithoutAKey) {
  const ArchiveFile file{.session = 1, .part = 1, .name = names_[0]};
  std::vector<VerifyingKey> keys;
  keys.push_back(VerifyingKey::read(gw_.key_file() + ".pub").value());
  ASSERT_THAT(check_archive(place(), file, keys).findings, testing::IsEmpty());
  for (const std::string& path : {archives_[0], keys_[0]}) {
    const std::string original = slurp(path);
    for (std::size_t at = 0; at < original.size(); ++at) {
      std::string changed = original;
      changed[at] = static_cast<char>(changed[at] ^ 0x01);
      spew(path, changed);
      const CheckedArchive checked = check_archive(place(), file, keys);
      ASSERT_FALSE(checked.findings.empty()) << path << " byte " << at;
      ASSERT_EQ(checked.findings[0].severity, Finding::Severity::kBroken);
      ASSERT_TRUE(path != keys_[0] || checked.findings[0].code == "keys-changed") << at;
    }
    spew(path, original);
  }
  EXPECT_EQ(gw_.verify().exit_code(), 0);
}

TEST_F(Encrypted, DestroyedKeysNeedAnExplanationAndTheProofHolds) {
  fs::remove(keys_[1]);
  const VerifyReport report = gw_.verify(place(kek()));
  EXPECT_EQ(report.exit_code(), 3);
  EXPECT_TRUE(has(report, "keys-missing"));
  EXPECT_EQ(report.shut, 1U);
}

TEST_F(Encrypted, KeysOfAnotherSessionAndKeysWrappedAnewAreFound) {
  const std::string first = slurp(keys_[0]);
  spew(keys_[0], slurp(keys_[1]));
  EXPECT_TRUE(has(gw_.verify(), "keys-changed"));
  EXPECT_THAT(read(place(kek())), HasSubstr("not the keys that the session was sealed with"));
  spew(keys_[0], first);
  // Somebody who has the key wraps it for a reader of their own.
  const ArchiveReader reader = ArchiveReader::open(archives_[0]).value();
  const WrapContext context{.session = 1, .part = 1, .commitment = reader.manifest().key_commitment};
  const SecretKey key = session_key(place(kek()), names_[0], reader.manifest()).value();
  spew(keys_[0], wrap_for_all(open_ring(kek(), {files_.path() + "/other.key.pub"}).value(), key, context).value());
  EXPECT_TRUE(has(gw_.verify(), "keys-changed"));
}

TEST_F(Encrypted, AWrapOpensForItsOwnSessionAlone) {
  const KeyRing ring = open_ring(kek(), {auditor() + ".pub"}).value();
  const SecretKey key = SecretKey::random();
  const WrapContext context{.session = 7, .part = 2, .commitment = commitment_of(key)};
  std::vector<std::shared_ptr<const KeyOpener>> openers{read_opener(kek()).value(), read_opener(auditor()).value()};
  for (std::size_t index = 0; index < 2; ++index) {
    const nlohmann::json wrap = ring.wrappers[index]->wrap(key, context).value();
    ASSERT_TRUE(openers[index]->open(wrap, context));
    EXPECT_EQ(openers[index]->open(wrap, context)->bytes()[31], key.bytes()[31]);
    EXPECT_FALSE(openers[1 - index]->open(wrap, context));
    for (const WrapContext& other : {WrapContext{8, 2, context.commitment}, WrapContext{7, 1, context.commitment}, WrapContext{7, 2, Digest{}}}) {
      EXPECT_FALSE(openers[index]->open(wrap, other));
    }
    for (const auto& [name, value] : wrap.items()) {
      nlohmann::json changed = wrap;
      std::string text = value.get<std::string>();
      text.back() = text.back() == '0' ? '1' : '0';
      changed[name] = text;
      EXPECT_FALSE(openers[index]->open(changed, context)) << name;
    }
  }
  nlohmann::json zero = ring.wrappers[1]->wrap(key, context).value();
  zero["ephemeral"] = std::string(64, '0');
  EXPECT_FALSE(openers[1]->open(zero, context)) << "a point of small order";
}

TEST_F(Encrypted, ARotatedKeyFileReadsOldAndNew) {
  const std::string fresh = files_.path() + "/fresh.key", old = slurp(kek());
  ASSERT_TRUE(GatewayKeys::generate(fresh));
  spew(kek(), slurp(fresh) + old);
  gw_.kill();
  gw_.sealer_options.keys = open_ring(kek(), {}).value();
  gw_.start();
  gw_.open(3, "orders-db", "user:ann");
  gw_.command(3, 1, std::string(kStatement));
  gw_.close(3);
  gw_.seal();
  EXPECT_EQ(read(place(kek()), 1), "5");
  EXPECT_EQ(read(place(kek()), 3), "1");
  EXPECT_EQ(read(place(fresh), 3), "1") << "wrapped by the first";
  EXPECT_THAT(read(place(fresh), 1), HasSubstr("is encrypted for other keys"));
  EXPECT_THAT(read(place(auditor()), 3), HasSubstr("is encrypted for other keys"));
}

TEST_F(Encrypted, TheKeyFileIsTheOwnersAloneAndWellFormed) {
  struct stat status {};
  ASSERT_EQ(stat(kek().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  const auto problem = [&](const std::string& text, mode_t mode = 0600) {
    const std::string path = files_.path() + "/try.key";
    spew(path, text);
    chmod(path.c_str(), mode);
    const auto keys = GatewayKeys::read(path);
    return keys ? std::string("none") : keys.error().message;
  };
  const std::string line = "weir-key-1 " + std::string(64, 'a') + "\n";
  EXPECT_EQ(problem("# mine\n\n" + line), "none");
  EXPECT_THAT(problem(line, 0640), HasSubstr("chmod 600"));
  EXPECT_THAT(problem(""), HasSubstr("there is no key in it"));
  EXPECT_THAT(problem(line + line), HasSubstr("line 2: this key stands there twice"));
  EXPECT_THAT(problem("weir-key-1 abc\n"), HasSubstr("64 hexadecimal digits"));
  EXPECT_EQ(problem("weir-key-1 " + std::string(64, 'q') + "\n").find("qqq"), std::string::npos) << "no part of it in a message";
  EXPECT_FALSE(GatewayKeys::generate(kek())) << "never over another";
  EXPECT_THAT(make_gateway_keys(files_.path() + "/lost.key", gw_.state()).error().message, HasSubstr("put it back"));
  EXPECT_TRUE(make_gateway_keys(files_.path() + "/first.key", files_.path() + "/no-such-folder"));
  chmod(auditor().c_str(), 0644);
  EXPECT_FALSE(read_opener(auditor()));
  EXPECT_FALSE(AuditorKey::read(gw_.key_file() + ".pub")) << "Ed25519";
}

// Chunks are bound to their archive, their place and the end.
TEST_F(Encrypted, AChunkOpensInItsPlaceAlone) {
  const std::string file = slurp(archives_[0]);
  const Bytes header = as_bytes(file).first(kArchiveHeaderSize);
  const ArchiveReader reader = ArchiveReader::open(archives_[0]).value();
  const SecretKey key = session_key(place(kek()), names_[0], reader.manifest()).value();
  const Bytes chunk = as_bytes(file).subspan(kArchiveHeaderSize);
  const ChunkHeader head = chunk_header(chunk, true).value();
  const Bytes stored = chunk.subspan(kChunkHeaderSize, head.stored);
  std::vector<std::byte> plain;
  ASSERT_TRUE(unpack_chunk(header, chunk.first(kChunkHeaderSize), stored, &key, plain));
  EXPECT_GE(reader.manifest().chunk_count, 3U);
  ChunkHeader moved = head;
  moved.index = 1;
  EXPECT_FALSE(unpack_chunk(header, to_bytes(moved), stored, &key, plain));
  moved = head;
  moved.plain -= 1;
  EXPECT_FALSE(unpack_chunk(header, to_bytes(moved), stored, &key, plain));
  for (std::size_t at = 0; at < kArchiveHeaderSize; ++at) {
    std::vector<std::byte> other(header.begin(), header.end());
    other[at] ^= std::byte{1};
    EXPECT_FALSE(unpack_chunk(other, chunk.first(kChunkHeaderSize), stored, &key, plain)) << at;
  }
  const SecretKey wrong = SecretKey::random();
  EXPECT_FALSE(unpack_chunk(header, chunk.first(kChunkHeaderSize), stored, &wrong, plain));
  EXPECT_FALSE(reader.read([](const FrameView&) { return true; }, &wrong));
  EXPECT_FALSE(reader.read([](const FrameView&) { return true; }));
}

std::vector<std::byte> bytes_of(std::string_view digits) {
  std::vector<std::byte> bytes;
  for (std::size_t at = 0; at < digits.size(); at += 2) bytes.push_back(static_cast<std::byte>(std::stoi(std::string(digits.substr(at, 2)), nullptr, 16)));
  return bytes;
}

TEST(Chunk, AnotherMakersWrapsAndChunksOpen) {
  test::TemporaryFolder folder("/dev/shm");
  const std::string path = folder.path() + "/key";
  const SecretKey key = std::move(*SecretKey::from(bytes_of(vectors::kSessionKey)));
  const WrapContext context{.session = vectors::kSession, .part = vectors::kPart, .commitment = commitment_of(key)};
  for (const std::string_view text : {vectors::kAuditorPem, vectors::kGatewayFile}) {
    spew(path, std::string(text));
    chmod(path.c_str(), 0600);
    const Result<SecretKey> opened = unwrap(vectors::kKeysFile, {read_opener(path).value()}, context);
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(hex(opened->bytes()), vectors::kSessionKey);
  }
  const std::vector<std::byte> header = bytes_of(vectors::kArchiveHeader), chunk = bytes_of(vectors::kChunk), end = bytes_of(vectors::kEndChunk);
  std::vector<std::byte> plain;
  ASSERT_TRUE(unpack_chunk(header, Bytes(chunk).first(kChunkHeaderSize), Bytes(chunk).subspan(kChunkHeaderSize), &key, plain));
  EXPECT_EQ(as_text(plain), vectors::kChunkPlain);
  EXPECT_EQ(pack_chunk(header, 4, 0, {}, true, &key), end);
}

TEST(Chunk, ABombIsRefused) {
  const std::array<std::byte, kArchiveHeaderSize> header{};
  const std::vector<std::byte> zeros(32u << 20);
  std::vector<std::byte> bomb(ZSTD_compressBound(zeros.size())), plain;
  bomb.resize(ZSTD_compress(bomb.data(), bomb.size(), zeros.data(), zeros.size(), 3));
  ASSERT_LT(bomb.size(), 10'000U);
  const ChunkHeader small{.stored = static_cast<uint32_t>(bomb.size()), .frames = 1, .plain = 20'000, .index = 0, .is_last = false};
  EXPECT_FALSE(unpack_chunk(header, to_bytes(small), bomb, nullptr, plain)) << "more than it declares";
  EXPECT_LE(plain.capacity(), 20'000U);
  ChunkHeader large = small;
  large.plain = kChunkPlainMax + 1;
  EXPECT_FALSE(chunk_header(to_bytes(large), false)) << "more than any may";
  // Without a content size of its own, and two frames behind each other.
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(), &ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_contentSizeFlag, 0);
  std::vector<std::byte> silent(ZSTD_compressBound(1000));
  silent.resize(ZSTD_compress2(context.get(), silent.data(), silent.size(), zeros.data(), 1000));
  EXPECT_FALSE(unpack_chunk(header, to_bytes({.stored = static_cast<uint32_t>(silent.size()), .frames = 1, .plain = 1000}), silent, nullptr, plain));
  std::vector<std::byte> packed = pack_chunk(header, 0, 1, Bytes(zeros).first(500), false, nullptr);
  std::vector<std::byte> twice(packed.begin() + kChunkHeaderSize, packed.end());
  twice.insert(twice.end(), packed.begin() + kChunkHeaderSize, packed.end());
  EXPECT_FALSE(unpack_chunk(header, to_bytes({.stored = static_cast<uint32_t>(twice.size()), .frames = 2, .plain = 1000}), twice, nullptr, plain));
}

// What could not be written is written later as it was: no nonce meets two messages, whatever fails when.
TEST(Archive, ANonceMeetsOneMessageThoughWritesFail) {
  test::TemporaryFolder folder("/dev/shm");
  const SigningKey key = SigningKey::generate(folder.path() + "/log.key").value();
  test::RefusingFiles files;
  ArchiveBuilder builder(files, folder.path() + "/a.weir", 1, 1, true);
  std::vector<std::byte> bytes(FrameHeader::kSize + 100);
  FrameHeader header;
  header.size = static_cast<uint32_t>(bytes.size());
  header.kind = 3;
  header.session = header.sequence = 1;
  store(bytes, header);
  Manifest manifest;
  manifest.session = manifest.seal = 1;
  uint64_t frames = 0;
  for (int turn = 0; turn < 6; ++turn) {
    for (int frame = 0; frame <= turn; ++frame, ++frames) builder.add({header, bytes});
    files.refusals = turn % 3;
    const bool is_written = builder.spill().has_value();
    EXPECT_EQ(is_written, builder.gathered() == 0);
    if (turn % 2 != 0) continue;
    files.refusals = 0;
    ASSERT_TRUE(builder.spill());
    files.refusals = 1;
    EXPECT_FALSE(builder.finish(manifest, key));  // An end that failed; and more comes.
  }
  files.refusals = 0;
  ASSERT_TRUE(builder.finish(manifest, key));
  const ArchiveReader reader = ArchiveReader::open(folder.path() + "/a.weir").value();
  uint64_t read = 0;
  const Result<void> done = reader.read([&](const FrameView&) { return ++read != 0; }, builder.key());
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(read, frames);
  // Of all that was ever handed to the disk: a nonce (index, end mark) has one ciphertext.
  std::map<std::string, std::string> by_nonce;
  for (std::string tried : files.tried) {
    if (tried.starts_with("WEIRARC1")) tried.erase(0, kArchiveHeaderSize);
    while (const auto head = chunk_header(as_bytes(tried), true)) {
      const std::string nonce = tried.substr(16, 12), content = tried.substr(0, kChunkHeaderSize + head->stored);
      EXPECT_EQ(by_nonce.emplace(nonce, content).first->second, content);
      tried.erase(0, content.size() + sizeof(Digest));
    }
  }
  EXPECT_GE(by_nonce.size(), 6U);
}

// A folder that an earlier version wrote.
TEST(Archive, FormatOneIsReadAndVerified) {
  Gateway gw("/dev/shm");
  gw.start();
  gw.open(1, "orders-db", "user:ann");
  gw.command(1, 1, std::string(kStatement));
  gw.respond(1, 1, 0);
  gw.close(1);
  gw.flush();
  // Its archive made anew as format 1 drew it, by the key's holder.
  gw.seal();
  std::string path;
  for (const auto& entry : fs::recursive_directory_iterator(gw.state() + "/archive")) {
    if (entry.path().extension() == ".weir") path = entry.path().string();
  }
  const ArchiveReader reader = ArchiveReader::open(path).value();
  std::vector<std::byte> header(32), chunk(16), frames;
  uint32_t count = 0;
  ASSERT_TRUE(reader.read([&](const FrameView& frame) {
    frames.insert(frames.end(), frame.whole.begin(), frame.whole.end());
    return ++count != 0;
  }));
  const std::string_view magic = "WEIRARC1CHNK";
  std::memcpy(header.data(), magic.data(), 8);
  store_le<uint16_t>(MutableBytes(header), 8, 1);
  store_le<uint64_t>(MutableBytes(header), 16, 1);
  store_le<uint32_t>(MutableBytes(header), 24, 1);
  std::memcpy(chunk.data(), magic.data() + 8, 4);
  store_le(MutableBytes(chunk), 4, static_cast<uint32_t>(frames.size()));
  store_le(MutableBytes(chunk), 8, count);
  Manifest manifest = reader.manifest();
  manifest.format = 1;
  manifest.chunk_count = 1;
  manifest.chunk_bytes = frames.size();
  manifest.chain_head = sha256({Bytes(sha256(Bytes(header))), Bytes(chunk), Bytes(frames)});
  const std::string text = to_json(manifest);
  const Signature signature = SigningKey::read(gw.key_file()).value().sign(as_bytes(signed_text(sha256(as_bytes(text))))).value();
  std::array<std::byte, 80> trailer{};
  std::copy(signature.begin(), signature.end(), trailer.begin());
  store_le(MutableBytes(trailer), 64, static_cast<uint32_t>(text.size()));
  std::memcpy(trailer.data() + 72, "WEIREND1", 8);
  std::string file;
  for (const Bytes piece : {Bytes(header), Bytes(chunk), Bytes(frames), Bytes(manifest.chain_head), as_bytes(text), Bytes(trailer)}) file += as_text(piece);
  spew(path, file);
  const VerifyReport report = gw.verify(RecordPlace{.archive = gw.state() + "/archive"});  // The log names the other one.
  EXPECT_EQ(report.exit_code(), 0);
  EXPECT_EQ(report.shut, 0U);
  uint64_t lines = 0;
  ASSERT_TRUE(replay(RecordPlace{.archive = gw.state() + "/archive"}, 1, [&](const std::string&) { return ++lines != 0; }));
  EXPECT_EQ(lines, 4U);
}

// The log's acts are held against an archive that nobody opens.
TEST_F(Encrypted, AnActThatTheLogDoesNotNameIsMissedWithoutAKey) {
  RecordEvent event = test::event_of(RecordEvent::Kind::kAct, 3, 0, R"({"salt":"x"})");
  event.verb = "revoke";
  gw_.put(test::event_of(RecordEvent::Kind::kOpened, 3, 0, R"({"about":"gateway"})"));
  gw_.put(event);
  gw_.put(event);
  gw_.close(3);
  gw_.seal();
  EXPECT_EQ(gw_.verify().exit_code(), 0);
  EXPECT_EQ(gw_.verify(place(kek())).exit_code(), 0);
  // Made anew by the key's holder, with one act less.
  std::vector<std::string> leaves;
  ASSERT_TRUE(read_entries(gw_.state() + "/log", read_head(gw_.state() + "/log").value().checkpoint.size, [&](uint64_t, Bytes entry) { leaves.emplace_back(as_text(entry)); }));
  for (const int change : {0, 1, 2}) {
    fs::remove_all(gw_.state() + "/log/tile");
    const std::string origin = read_head(gw_.state() + "/log").value().checkpoint.origin;
    fs::remove(checkpoint_path(gw_.state() + "/log"));
    PosixFiles files;
    EvidenceLog forged(gw_.state() + "/log", origin, SigningKey::read(gw_.key_file()).value(), files);
    ASSERT_TRUE(forged.open([](uint64_t, Bytes) {}));
    bool has_changed = false;
    for (std::string leaf : leaves) {
      const bool is_act = leaf.find(R"("kind":"act")") != std::string::npos && !std::exchange(has_changed, has_changed || leaf.find(R"("kind":"act")") != std::string::npos);
      if (is_act && change == 0) continue;
      if (is_act && change == 1) leaf.replace(leaf.find("revoke"), 6, "bypass");
      forged.add(leaf);
      if (is_act && change == 2) {
        const std::size_t at = leaf.find(R"("sequence":)") + 11;
        leaf.replace(at, leaf.find_first_of(",}", at) - at, "4");
        forged.add(leaf);
      }
    }
    ASSERT_TRUE(has_changed);
    ASSERT_TRUE(forged.commit());
    const VerifyReport report = gw_.verify();
    EXPECT_TRUE(has(report, change == 0 ? "act-unlisted" : change == 1 ? "act-differs" : "act-missing")) << change;
  }
}

}  // namespace
}  // namespace weir::record
