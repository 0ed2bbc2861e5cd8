#include "signer/protocol.h"

#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "signer/channel.h"
#include "signer/setup.h"
#include "signer/signer_test_support.h"

namespace weir::signer {
namespace {

using testing::HasSubstr;

std::vector<Request> one_of_each() {
  std::vector<Request> all;
  record::Digest digest{};
  digest[5] = std::byte{9};
  all.emplace_back(SignSeal{"{\"a\":1}"});
  all.emplace_back(AdoptHead{"note\n"});
  all.emplace_back(SignCheckpoint{.text = "text\n", .proof = {digest, digest}});
  all.emplace_back(Wrap{{.session = 1, .part = 2, .commitment = digest}, record::SecretKey::random()});
  all.emplace_back(Open{{.session = 3, .part = 4, .commitment = digest}, "{}"});
  all.emplace_back(Derive{"id", {std::byte{1}}, "info"});
  all.emplace_back(SignLeaf{{"a.example", "b"}, {*Address::parse("198.18.2.2")}, {std::byte{0x30}}});
  all.emplace_back(AskCounts{});
  return all;
}

TEST(SignerProtocol, ARequestIsReadAsItWasWritten) {
  for (const Request& request : one_of_each()) {
    const Message message = encode(request);
    const auto read = decode_request(message.bytes());
    ASSERT_TRUE(read) << request.index();
    EXPECT_EQ(read->index(), request.index());
    EXPECT_TRUE(std::ranges::equal(encode(*read).bytes(), message.bytes()));
  }
}

TEST(SignerProtocol, ARequestThatIsCutOrHasMoreBehindItIsNone) {
  for (const Request& request : one_of_each()) {
    const Message message = encode(request);
    for (std::size_t size = 0; size < message.bytes().size(); ++size) EXPECT_FALSE(decode_request(message.bytes().first(size))) << request.index() << " at " << size;
    std::vector<std::byte> longer(message.bytes().begin(), message.bytes().end());
    longer.push_back(std::byte{0});
    EXPECT_FALSE(decode_request(longer)) << request.index();
  }
}

TEST(SignerProtocol, AFieldBeyondItsBoundIsNone) {
  EXPECT_FALSE(decode_request(encode(AdoptHead{std::string(kNoteMax + 1, 'a')}).bytes()));
  EXPECT_FALSE(decode_request(encode(Open{{}, std::string(kWrapMax + 1, 'a')}).bytes()));
  EXPECT_FALSE(decode_request(encode(SignCheckpoint{.text = "", .proof = std::vector<record::Digest>(kProofMax + 1)}).bytes()));
  EXPECT_FALSE(decode_request(encode(SignLeaf{{std::string(kNameMax + 1, 'a')}, {}, {}}).bytes()));
  EXPECT_FALSE(decode_request(encode(SignLeaf{std::vector<std::string>(kNamesMax + 1), {}, {}}).bytes()));
}

TEST(SignerProtocol, AnAnswerIsReadStrictly) {
  const record::SecretKey key = record::SecretKey::random();
  EXPECT_TRUE(std::ranges::equal((*read_key(answer_key(&key).bytes()))->bytes(), key.bytes()));
  EXPECT_FALSE(*read_key(answer_key(nullptr).bytes()));
  EXPECT_EQ(*read_text_answer(answer_text("abc").bytes(), 3), "abc");
  EXPECT_FALSE(read_text_answer(answer_text("abc").bytes(), 2));
  EXPECT_FALSE(read_signature(answer_text("abc").bytes()));
  Counts counts;
  counts.refused = 5;
  EXPECT_EQ(*read_counts(answer_counts(counts).bytes()), counts);
  const auto error = read_key(answer_error({Error::Kind::kDenied, "no", 0}).bytes());
  EXPECT_EQ(error.error().kind, Error::Kind::kDenied);
  EXPECT_EQ(error.error().message, "no");
  EXPECT_FALSE(read_counts(as_bytes(std::string("\x09\x00\x00\x00\x00", 5)))) << "a status that there is not";
  EXPECT_FALSE(read_counts({}));
}

struct Sockets {
  std::array<int, 2> ends{};
  Sockets() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0); }
  ~Sockets() {
    close(ends[0]);
    if (ends[1] >= 0) close(ends[1]);
  }
  void write_and_end(std::string_view bytes) {
    EXPECT_EQ(::write(ends[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    close(std::exchange(ends[1], -1));
  }
};

TEST(SignerChannel, AFrameComesAsItWasSent) {
  Sockets sockets;
  const std::string long_one(3u << 20, 'x');
  std::thread sender([&] {
    EXPECT_TRUE(send_frame(sockets.ends[1], as_bytes("hello")));
    EXPECT_TRUE(send_frame(sockets.ends[1], {}));
    EXPECT_TRUE(send_frame(sockets.ends[1], as_bytes(long_one)));
  });
  EXPECT_EQ(as_text(receive_frame(sockets.ends[0], 100, std::chrono::seconds(60))->bytes()), "hello");
  EXPECT_TRUE(receive_frame(sockets.ends[0], 100, std::chrono::seconds(60))->bytes().empty());
  EXPECT_EQ(as_text(receive_frame(sockets.ends[0], kFrameMax, std::chrono::seconds(60))->bytes()), long_one);
  sender.join();
}

TEST(SignerChannel, WhatIsNoFrameEndsTheStream) {
  const auto outcome = [](std::string_view bytes) {
    Sockets sockets;
    sockets.write_and_end(bytes);
    return receive_frame(sockets.ends[0], 100, std::chrono::seconds(60)).error().kind;
  };
  EXPECT_EQ(outcome(""), Error::Kind::kNotFound);
  EXPECT_EQ(outcome(std::string_view("\0\0", 2)), Error::Kind::kUnavailable);
  EXPECT_EQ(outcome(std::string_view("\0\0\0\5\1ab", 7)), Error::Kind::kUnavailable);
  EXPECT_EQ(outcome(std::string_view("\0\0\0\3\2ab", 7)), Error::Kind::kInvalid) << "another version";
  EXPECT_EQ(outcome(std::string_view("\0\0\0\0\1", 5)), Error::Kind::kInvalid);
  EXPECT_EQ(outcome("\xff\xff\xff\xff\1"), Error::Kind::kInvalid) << "longer than may be";
  Sockets silent;
  EXPECT_EQ(receive_frame(silent.ends[0], 100, std::chrono::milliseconds(1)).error().kind, Error::Kind::kUnavailable);
}

TEST(SignerSetup, IsReadAsItWasWritten) {
  signer::Setup setup;
  setup.gateway = "gw";
  setup.origin = "weir.invalid/gw";
  setup.folder = "/var/lib/weir-signer";
  setup.log_key_file = "/k";
  setup.names = {{"a"}, {*Address::parse("198.18.2.2")}};
  setup.needs_ca = true;
  setup.parent = 5;
  const auto read = setup_from_json(to_json(setup));
  ASSERT_TRUE(read);
  EXPECT_EQ(to_json(*read), to_json(setup));
  EXPECT_FALSE(setup_from_json("{}"));
  const auto error = hello_from_json(to_json(Result<Hello>(fail(Error::Kind::kDenied, "why"))));
  EXPECT_EQ(error.error().kind, Error::Kind::kDenied);
  EXPECT_THAT(error.error().message, HasSubstr("why"));
  EXPECT_FALSE(hello_from_json("[]"));
}

}  // namespace
}  // namespace weir::signer
