#include "record/event_codec.h"

#include "record/crc32c.h"
#include "record/record_test_support.h"

namespace weir::record {
namespace {

using test::event_of;

std::vector<std::byte> encode(const RecordEvent& event) {
  EncodedEvent message(event);
  std::vector<std::byte> bytes(message.size());
  message.copy_next(bytes);
  return bytes;
}

FrameHeader header_of(const RecordEvent& event) {
  return {.kind = static_cast<uint8_t>(event.kind), .session = event.session, .sequence = event.sequence, .at_ns = event.at.time_since_epoch().count()};
}

TEST(Crc32c, IsTheCastagnoliPolynomial) {
  EXPECT_EQ(crc32c(0, as_bytes("123456789")), 0xe3069283U);  // RFC 3720 B.4 names the polynomial; this is its check value.
}

TEST(Crc32c, InstructionAndTableAgreeAtEverySizeAndSplit) {
  Prng prng(7);
  std::vector<std::byte> bytes(300);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(prng.next());
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    const Bytes whole = Bytes(bytes).first(size);
    const std::size_t split = size / 3;
    EXPECT_EQ(crc32c(0, whole), crc32c_by_table(0, whole));
    EXPECT_EQ(crc32c(crc32c(0, whole.first(split)), whole.subspan(split)), crc32c(0, whole));
  }
}

TEST(EventCodec, AllFieldsComeBack) {
  const Accounts accounts = {ByteAccount{.kernel = 1, .handshake = 2, .parsed = 3, .opaque = 4, .refused = 5, .injected = UINT64_MAX}, ByteAccount{.kernel = 300}};
  RecordEvent event = event_of(RecordEvent::Kind::kClosed, 42, 7, "select 1");
  event.unit = {.id = 9, .in_reply_to = 8, .stream = 7, .principal = 6, .kind = UnitKind::kCommand, .part = Part::kLast,
                .direction = Direction::kToClient, .wire = {.offset = uint64_t{1} << 40, .size = 0xffffffff}};
  event.verb = "query";
  event.body = as_bytes("[\"a\",null]");
  event.action = Verdict::Action::kMask;
  event.observed = true;
  event.rule = "mask-cards";
  event.reason = "because";
  event.fate = Fate::kUnknown;
  event.rows = 1000;
  event.bytes = 1u << 30;
  event.masked = 3;
  event.sqlstate = "42501";
  event.request_id = "ticket-4711";
  event.grant = "app-reads";
  event.verbs = Verb::kRead | Verb::kWrite;
  event.objects = "public.orders, public.items";
  event.accounts = accounts.data();
  const std::vector<std::byte> bytes = encode(event);
  RecordEvent back;
  Accounts back_accounts;
  ASSERT_TRUE(decode_event(header_of(event), bytes, back, back_accounts));
  EXPECT_EQ(back.session, 42U);
  EXPECT_EQ(back.sequence, 7U);
  EXPECT_EQ(back.at, event.at);
  EXPECT_EQ(back.unit.id, 9U);
  EXPECT_EQ(back.unit.in_reply_to, 8U);
  EXPECT_EQ(back.unit.stream, 7U);
  EXPECT_EQ(back.unit.principal, 6U);
  EXPECT_EQ(back.unit.kind, UnitKind::kCommand);
  EXPECT_EQ(back.unit.part, Part::kLast);
  EXPECT_EQ(back.unit.direction, Direction::kToClient);
  EXPECT_EQ(back.unit.wire, event.unit.wire);
  EXPECT_EQ(back.verb, "query");
  EXPECT_EQ(as_text(back.text), "select 1");
  EXPECT_EQ(as_text(back.body), "[\"a\",null]");
  EXPECT_EQ(back.action, Verdict::Action::kMask);
  EXPECT_TRUE(back.observed);
  EXPECT_EQ(back.rule, "mask-cards");
  EXPECT_EQ(back.request_id, "ticket-4711");
  EXPECT_EQ(back.grant, "app-reads");
  EXPECT_EQ(back.verbs, Verb::kRead | Verb::kWrite);
  EXPECT_EQ(back.objects, "public.orders, public.items");
  EXPECT_EQ(back.reason, "because");
  EXPECT_EQ(back.fate, Fate::kUnknown);
  EXPECT_EQ(back.rows, 1000U);
  EXPECT_EQ(back.bytes, 1U << 30);
  EXPECT_EQ(back.masked, 3U);
  EXPECT_EQ(back.sqlstate, "42501");
  ASSERT_NE(back.accounts, nullptr);
  EXPECT_EQ(back.accounts[0].injected, UINT64_MAX);
  EXPECT_EQ(back.accounts[1].kernel, 300U);
}

TEST(EventCodec, FieldsOfANewerVersionAreSkipped) {
  const RecordEvent event = event_of(RecordEvent::Kind::kNote, 1, 1, "text");
  std::vector<std::byte> bytes = encode(event);
  for (const int byte : {0xf8, 0x07, 0x05, /* 127: varint */ 0xfa, 0x07, 0x01, 0x41, /* 127: bytes */ 0xf9, 0x07, 1, 2, 3, 4, 5, 6, 7, 8 /* fixed64 */}) {
    bytes.push_back(static_cast<std::byte>(byte));
  }
  RecordEvent back;
  Accounts accounts;
  ASSERT_TRUE(decode_event(header_of(event), bytes, back, accounts));
  EXPECT_EQ(as_text(back.text), "text");
}

TEST(EventCodec, NoPrefixAndNoMutationIsReadOutOfBounds) {
  RecordEvent event = event_of(RecordEvent::Kind::kCommand, 1, 1, "select 1 from t");
  event.verb = "query";
  event.rule = "r";
  const std::vector<std::byte> bytes = encode(event);
  RecordEvent back;
  Accounts accounts;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    (void)decode_event(header_of(event), cut, back, accounts);
    for (const int value : {0, 1, 0x7f, 0x80, 0xff}) {
      std::vector<std::byte> changed = bytes;
      changed[size] = static_cast<std::byte>(value);
      (void)decode_event(header_of(event), changed, back, accounts);
    }
  }
}

TEST(EventCodec, UnknownEnumeratorsAreRefused) {
  RecordEvent back;
  Accounts accounts;
  EXPECT_FALSE(decode_event(FrameHeader{.kind = 0}, {}, back, accounts));
  EXPECT_FALSE(decode_event(FrameHeader{.kind = 12}, {}, back, accounts));
  const std::array<std::byte, 3> fate = {std::byte{0x88}, std::byte{0x01}, std::byte{99}};
  EXPECT_FALSE(decode_event(FrameHeader{.kind = 4}, fate, back, accounts));
}

TEST(Frame, ASeedOfAnotherGroupDoesNotFit) {
  std::vector<std::byte> frame(FrameHeader::kSize + 3);
  store(MutableBytes(frame), FrameHeader{.size = static_cast<uint32_t>(frame.size()), .kind = 8, .session = 1, .sequence = 1});
  store_le(MutableBytes(frame), 4, frame_crc(frame_seed(5, 6), frame));
  Bytes rest(frame);
  EXPECT_FALSE(take_frame(rest, frame_seed(5, 7)));
  EXPECT_FALSE(take_frame(rest, frame_seed(4, 6)));
  EXPECT_TRUE(take_frame(rest, frame_seed(5, 6)));
  EXPECT_TRUE(rest.empty());
}

}  // namespace
}  // namespace weir::record
