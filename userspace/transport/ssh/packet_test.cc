#include "transport/ssh/packet.h"

#include <openssl/sha.h>

#include <map>

#include "transport/ssh/ssh_test_support.h"

namespace weir::ssh::testing {
namespace {

using Status = PacketOpener::Status;
using Use = PacketCipher::Use;

Buffer seal_one(PacketSealer& sealer, std::string_view payload) {
  const Bytes part = as_bytes(payload);
  return copy_of(sealer.seal({&part, 1}));
}

class EverySuite : public ::testing::TestWithParam<Suite> {
 protected:
  EverySuite() {
    const Suite& suite = GetParam();
    if (suite.cipher == Cipher::kNone) return;
    sealer.set_cipher(cipher_of(suite.cipher, suite.mac, Use::kSeal), true);
    opener.set_cipher(cipher_of(suite.cipher, suite.mac, Use::kOpen), true);
  }
  // All packets of `wire`, given in pieces of `cut` bytes.
  Status open_all(Bytes wire, std::size_t cut, std::vector<std::string>& payloads) {
    while (!wire.empty()) {
      Bytes piece = wire.first(std::min(cut, wire.size()));
      wire = wire.subspan(piece.size());
      Status status = Status::kPacket;
      while (status == Status::kPacket && !(piece.empty())) {
        Bytes payload;
        status = opener.next(piece, payload);
        if (status == Status::kPacket) payloads.push_back(string_of(payload));
      }
      if (status != Status::kMore && status != Status::kPacket) return status;
    }
    return Status::kMore;
  }
  SeededRandom random{7};
  PacketSealer sealer{random};
  PacketOpener opener;
};

TEST_P(EverySuite, OpensWhatItSealedCutAtEveryPlace) {
  Buffer wire;
  std::vector<std::string> said;
  for (std::size_t size = 1; size < 70; ++size) {
    said.push_back(std::string(size, static_cast<char>('a' + size % 26)));
    const Buffer packet = seal_one(sealer, said.back());
    wire.insert(wire.end(), packet.begin(), packet.end());
  }
  // In one piece, byte by byte, and by odd sizes: the same connection three times, each from its own beginning.
  for (const std::size_t cut : {wire.size(), std::size_t{1}, std::size_t{7}, std::size_t{33}}) {
    std::vector<std::string> heard;
    PacketOpener fresh;
    if (GetParam().cipher != Cipher::kNone) fresh.set_cipher(cipher_of(GetParam().cipher, GetParam().mac, Use::kOpen), true);
    Bytes rest(wire);
    while (!rest.empty()) {
      Bytes piece = rest.first(std::min(cut, rest.size()));
      rest = rest.subspan(piece.size());
      Bytes payload;
      for (Status status = fresh.next(piece, payload); status != Status::kMore; status = fresh.next(piece, payload)) {
        ASSERT_EQ(status, Status::kPacket);
        heard.push_back(string_of(payload));
      }
    }
    ASSERT_EQ(heard, said);
  }
}

TEST_P(EverySuite, OpensOnePacketCutInTwoAtEveryByte) {
  const std::string said = "a message that is cut";
  std::size_t size = 0;
  for (std::size_t cut = 0; size == 0 || cut < size; ++cut) {
    const Buffer wire = seal_one(sealer, said);
    size = wire.size();
    Bytes payload;
    Bytes first = Bytes(wire).first(cut), second = Bytes(wire).subspan(cut);
    ASSERT_EQ(opener.next(first, payload), Status::kMore);
    ASSERT_TRUE(first.empty());
    ASSERT_EQ(opener.next(second, payload), Status::kPacket);
    ASSERT_TRUE(second.empty());
    ASSERT_EQ(as_text(payload), said);
  }
}

TEST_P(EverySuite, CarriesTheLargestPayload) {
  const std::string said(kPayloadSizeMax, 'x');
  std::vector<std::string> heard;
  EXPECT_EQ(open_all(seal_one(sealer, said), 16'384, heard), Status::kMore);
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(heard[0], said);
}

TEST_P(EverySuite, PartsAreOnePayload) {
  const Bytes parts[] = {as_bytes("one, "), Bytes{}, as_bytes("two")};
  const Buffer wire = copy_of(sealer.seal(parts));
  std::vector<std::string> heard;
  EXPECT_EQ(open_all(wire, wire.size(), heard), Status::kMore);
  EXPECT_EQ(heard, std::vector<std::string>{"one, two"});
}

TEST_P(EverySuite, FindsEveryChangedBit) {
  if (GetParam().cipher == Cipher::kNone) return;  // There is nothing to find it by.
  const Buffer whole = seal_one(sealer, "payload of a packet");
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Buffer changed = whole;
    changed[bit / 8] ^= std::byte{1} << (bit % 8);
    changed.resize(changed.size() + 512);  // A length that grew must not pass as one that is waited for.
    PacketOpener fresh;
    fresh.set_cipher(cipher_of(GetParam().cipher, GetParam().mac, Use::kOpen), true);
    Bytes wire(changed), payload;
    Status status = fresh.next(wire, payload);
    if (status == Status::kMore) {  // Its length is in bounds: it waits for the rest, which is wrong as well.
      const Buffer rest(kPacketLengthMax + 128);
      wire = rest;
      status = fresh.next(wire, payload);
    }
    ASSERT_TRUE(status == Status::kForged || status == Status::kLength) << "bit " << bit;
    ASSERT_TRUE(payload.empty());
    // And it stays so: the right packet is not taken after it.
    wire = whole;
    ASSERT_EQ(fresh.next(wire, payload), status);
  }
}

TEST_P(EverySuite, APacketIsOfItsOwnPlace) {
  if (GetParam().cipher == Cipher::kNone) return;
  const Buffer first = seal_one(sealer, "first"), second = seal_one(sealer, "second");
  Bytes wire(second), payload;
  const Status skipped = opener.next(wire, payload);
  EXPECT_TRUE(skipped == Status::kForged || skipped == Status::kLength || skipped == Status::kMore);
  PacketOpener again;
  again.set_cipher(cipher_of(GetParam().cipher, GetParam().mac, Use::kOpen), true);
  wire = first;
  EXPECT_EQ(again.next(wire, payload), Status::kPacket);
  wire = first;  // Once more: a replay.
  const Status replayed = again.next(wire, payload);
  EXPECT_TRUE(replayed == Status::kForged || replayed == Status::kLength || replayed == Status::kMore);
}

TEST_P(EverySuite, CountsAndNumbersPackets) {
  uint64_t bytes = 0;
  std::vector<std::string> heard;
  for (int i = 0; i < 3; ++i) {
    const Buffer wire = seal_one(sealer, "counted");
    bytes += wire.size();
    ASSERT_EQ(open_all(wire, wire.size(), heard), Status::kMore);
  }
  EXPECT_EQ(sealer.sequence(), 3U);
  EXPECT_EQ(opener.sequence(), 3U);
  EXPECT_EQ(sealer.counts().packets, 3U);
  EXPECT_EQ(sealer.counts().bytes, bytes);
  EXPECT_EQ(opener.counts().bytes, bytes);
}

TEST_P(EverySuite, NewKeysGoOnFromTheSequenceNumberOrFromZero) {
  if (GetParam().cipher == Cipher::kNone) return;
  std::vector<std::string> heard;
  const Buffer before = seal_one(sealer, "before");
  ASSERT_EQ(open_all(before, 5, heard), Status::kMore);
  for (const bool resets : {false, true}) {
    sealer.set_cipher(cipher_of(GetParam().cipher, GetParam().mac, Use::kSeal), resets);
    opener.set_cipher(cipher_of(GetParam().cipher, GetParam().mac, Use::kOpen), resets);
    EXPECT_EQ(opener.sequence(), resets ? 0U : 1U);
    EXPECT_EQ(sealer.counts().bytes, 0U);
    heard.clear();
    ASSERT_EQ(open_all(seal_one(sealer, "after"), 5, heard), Status::kMore);
    ASSERT_EQ(heard.size(), 1U);
  }
}

INSTANTIATE_TEST_SUITE_P(Packet, EverySuite, ::testing::ValuesIn(all_suites()), [](const auto& suite) { return test_name(suite.param.name); });

// A packet without keys around a body that is said byte by byte.
Status open_plain(std::string_view hex, std::string* said = nullptr) {
  const Buffer bytes = from_hex(hex);
  PacketOpener opener;
  Bytes wire(bytes), payload;
  const Status status = opener.next(wire, payload);
  if (said != nullptr) *said = to_hex(payload);
  return status;
}

TEST(Packet, LengthsAreBoundedBeforeAnythingElse) {
  EXPECT_EQ(open_plain("0000000000"), Status::kLength);
  EXPECT_EQ(open_plain("00000004"), Status::kLength);
  EXPECT_EQ(open_plain("ffffffff"), Status::kLength);
  EXPECT_EQ(open_plain("00040004"), Status::kLength);  // One block more than 256 KiB.
  EXPECT_EQ(open_plain("0003fffc"), Status::kMore);    // The largest.
  EXPECT_EQ(open_plain("0000000d"), Status::kLength);  // No whole number of blocks.
  EXPECT_EQ(open_plain("0000000c"), Status::kMore);
}

TEST(Packet, PaddingIsFourBytesAtLeastAndLeavesAPayload) {
  std::string said;
  EXPECT_EQ(open_plain("0000000c0a15" + std::string(20, '0'), &said), Status::kPacket);
  EXPECT_EQ(said, "15");
  EXPECT_EQ(open_plain("0000000c03" + std::string(22, '0')), Status::kPadding);
  EXPECT_EQ(open_plain("0000000c0b" + std::string(22, '0')), Status::kPadding);  // Nothing is left.
  EXPECT_EQ(open_plain("0000000cff" + std::string(22, '0')), Status::kPadding);
}

TEST(Packet, APayloadThatCouldNotBeSentOnIsNotTaken) {
  // | length | padding 4 | payload | padding |, in the largest packet that there may be.
  Buffer packet(4 + 0x3fffc);
  store_be<uint32_t>(packet, 0, 0x3fffc);
  packet[4] = std::byte{4};
  PacketOpener opener;
  Bytes wire(packet), payload;
  EXPECT_EQ(opener.next(wire, payload), Status::kLength);
  EXPECT_TRUE(payload.empty());
}

// draft-ietf-sshm-chacha20-poly1305-04, appendix A: sequence number 7.
TEST(Packet, ChachaOpensThePublishedPacket) {
  const Buffer keys = from_hex(
      "8bbff6855fc102338c373e73aac0c914f076a905b2444a32eecaffeae22becc5e9b7a7a5825a8249346ec1c28301cf394543fc7569887d76e168f37562ac0740");
  const Buffer sent = from_hex(
      "2c3ecce4a5bc05895bf07a7ba956b6c68829ac7c83b780b7000ecde745afc705bbc378ce03a280236b87b53bed5839662302b164b6286a48cd1e097138e3cb90"
      "9b8b2b829dd18d2a35ff82d995349e855bf02c298ef775f2d1a7e8b8");
  const std::string clear =
      "00000048065e00000000000000384c6f72656d20697073756d20646f6c6f722073697420616d65742c20636f6e7365637465747572206164697069736963696e"
      "6720656c69744e43e804dc6c";
  const auto keys_again = [&] { return PacketKeys{Cipher::kChacha20Poly1305, Mac::kNone, {}, Secret(as_text(keys)), {}}; };
  auto opens = PacketCipher::make(keys_again(), Use::kOpen);
  ASSERT_TRUE(opens);
  uint32_t length = 0;
  ASSERT_TRUE(opens->open_length(7, sent, length));
  EXPECT_EQ(length, 0x48U);
  Buffer plain(sent.size() - 16);
  ASSERT_TRUE(opens->open(7, sent, plain));
  EXPECT_EQ(to_hex(Bytes(plain).subspan(4)), clear.substr(8));
  EXPECT_FALSE(opens->open(8, sent, plain));

  auto seals = PacketCipher::make(keys_again(), Use::kSeal);
  Buffer packet = from_hex(clear + std::string(32, '0'));
  ASSERT_TRUE(seals->seal(7, packet));
  EXPECT_EQ(packet, sent);
}

// Made with Python's hmac and cryptography: keys that count up from 0x10 (IV), 0x20 (key), 0x60 (MAC key), padding of 0x11,
// two packets of "ssh-userauth".
TEST(Packet, AesGivesTheBytesOfAnotherImplementation) {
  const std::map<std::string, std::string> packets = {
      {"aes128-gcm@openssh.com",
       "00000020d43a1af0bb6645dcec0aea292ff139f8ce3f3e09cfd6cf34ebc1d86ac11f46c4e9b09d725f016764fb5e157f965eaf2f"
       "000000206e51353789f59465ec5e98554ea25f057315479be052e6b72d3c109e1b8cc50f20887206ee2b1eebcd563316b8b84fa1"},
      {"aes256-gcm@openssh.com",
       "0000002033ae8c7a623661e301395250bcd9b1307c9cc54924191603b12b57f29dd993fa3557c441c108edc3cac4867b1b2cfc7f"
       "000000204f64dbc4c6e5d76cc86b82df555cae9b9b269dc6f985c763ace018a6eea2d036c89ad0c67ee5021dce14fdba983f8207"}};
  const std::map<std::string, std::string> digests = {
      {"aes128-ctr_hmac-sha2-256-etm@openssh.com", "f0a5ddee926e7b900d7e2b43a5e8adc0a91526072819ae408bc080efedf7f570"},
      {"aes128-ctr_hmac-sha2-512-etm@openssh.com", "070f8f308ef75f8984e4219225010f5fbee2470cdc500b371bf66250432f276f"},
      {"aes128-ctr_hmac-sha2-256", "73d8e03ba582effd34f7a0650bf8a0e6ba492693af3567fb35fb2152b9f2ddb5"},
      {"aes128-ctr_hmac-sha2-512", "0e60dd5e85a52ba737caad6456c8313bbb660bd6449afa38493a6c876fb77c57"},
      {"aes192-ctr_hmac-sha2-256-etm@openssh.com", "394a5522e1f96b480bf54127feb02bf75d9fe81aa19ed48263f5b4ddff643517"},
      {"aes192-ctr_hmac-sha2-512-etm@openssh.com", "ef80a3f82e8a7765fb1483f21b101cd52ebad4a602108738af2b3d319d6baed3"},
      {"aes192-ctr_hmac-sha2-256", "86cbcde6cfe0c9ddfb8880e19d458ad7fad65f1646c1b70d6fbc0b5ce944a0d9"},
      {"aes192-ctr_hmac-sha2-512", "50e4a74cdf012ef71a7779ab4c92a5fdf22e3fe2464bb436f58efbcf773d2f8c"},
      {"aes256-ctr_hmac-sha2-256-etm@openssh.com", "0776840f33a61eed26e3dbf31734b4afe88906623515c4f51f615a8fa0f01b09"},
      {"aes256-ctr_hmac-sha2-512-etm@openssh.com", "0b34d764a0fa33619c706291039507d99fb2e23ee25f607afac243696ba9503e"},
      {"aes256-ctr_hmac-sha2-256", "44ec19600c38eee457ac3fcb55d442bf800b79def54b0bbd9e99b4afb48c2a3d"},
      {"aes256-ctr_hmac-sha2-512", "7a924aaf35d249a84e5163eb9cf0b25aaa81267d4e712e95189115e7f01c1da1"}};
  std::size_t compared = 0;
  for (const Suite& suite : all_suites()) {
    if (suite.cipher == Cipher::kNone || suite.cipher == Cipher::kChacha20Poly1305) continue;
    FixedRandom random;
    PacketSealer sealer(random);
    sealer.set_cipher(cipher_of(suite.cipher, suite.mac, Use::kSeal), true);
    Buffer both = seal_one(sealer, "ssh-userauth");
    const Buffer second = seal_one(sealer, "ssh-userauth");
    both.insert(both.end(), second.begin(), second.end());
    const auto packet = packets.find(suite.name);
    if (packet != packets.end()) {
      EXPECT_EQ(to_hex(both), packet->second) << suite.name;
    } else {
      Buffer digest(SHA256_DIGEST_LENGTH);
      SHA256(reinterpret_cast<const unsigned char*>(both.data()), both.size(), reinterpret_cast<unsigned char*>(digest.data()));
      ASSERT_TRUE(digests.contains(suite.name)) << suite.name;
      EXPECT_EQ(to_hex(digest), digests.at(suite.name)) << suite.name;
    }
    ++compared;
  }
  EXPECT_EQ(compared, 14U);
}

TEST(Packet, NamesLeadToWhatTheyName) {
  EXPECT_FALSE(find_cipher("aes128-cbc"));
  EXPECT_FALSE(find_cipher("none"));
  EXPECT_FALSE(find_mac("hmac-sha1"));
  EXPECT_EQ(find_cipher("aes256-ctr"), Cipher::kAes256Ctr);
  EXPECT_EQ(find_mac("hmac-sha2-512"), Mac::kHmacSha512);
  EXPECT_EQ(key_sizes(Cipher::kAes128Gcm, Mac::kHmacSha512).mac_key, 0U);
}

TEST(Packet, AMacIsNotLeftOut) {
  PacketKeys keys = counting_keys(Cipher::kAes128Ctr, Mac::kNone);
  EXPECT_FALSE(PacketCipher::make(std::move(keys), Use::kSeal));
}

}  // namespace
}  // namespace weir::ssh::testing
