// The window's cursors, the segments and the output queue.
#include <gtest/gtest.h>

#include <string>

#include "base/prng.h"
#include "forward/out_queue.h"
#include "forward/stream_buffer.h"
#include "forward/window.h"

namespace weir::forward {
namespace {

struct Pool : BufferPool {
  int out = 0;
  void give_back(uint16_t) noexcept override { --out; }
  BufferLease lease(std::string_view text) {
    ++out;
    return BufferLease(this, 0, as_bytes(text));
  }
};

TEST(Window, UnjudgedBytesCannotSettle) {
  Window window;
  window.on_received(10);
  window.on_parsed(10);
  EXPECT_DEATH(window.on_settled({0, 10}, 10), "in.end\\(\\) <= judged_");
}

TEST(Window, SettlingIsContiguous) {
  Window window;
  window.on_received(10);
  window.on_parsed(10);
  window.on_judged(10);
  window.on_settled({0, 4}, 4);
  EXPECT_DEATH(window.on_settled({5, 5}, 5), "in.offset == settled_");
}

TEST(Window, NothingIsSentThatWasNotQueued) {
  Window window;
  window.on_injected(3);
  window.on_sent(3);
  EXPECT_DEATH(window.on_sent(1), "out_size <= queued_ - sent_");
}

TEST(StreamBuffer, AUnitThatStraddlesLeasesMovesOnceAndReleasesThem) {
  Pool pool;
  BlockPool blocks(2);
  {
    StreamBuffer buffer(blocks);
    buffer.append(pool.lease("aaaabb"));
    buffer.append(pool.lease("bb"));
    buffer.append(pool.lease("bbcccc"));
    EXPECT_EQ(as_text(buffer.contiguous(4)), "bb");
    EXPECT_TRUE(buffer.straddle(4, 6));
    EXPECT_EQ(as_text(buffer.contiguous(4)), "bbbbbb");
    EXPECT_EQ(as_text(buffer.contiguous(10)), "cccc");
    EXPECT_EQ(as_text(buffer.slice({0, 4})), "aaaa");
    EXPECT_EQ(pool.out, 2);  // The middle one is back.
    buffer.release(4);
    EXPECT_EQ(pool.out, 1);
    buffer.release(14);
    EXPECT_EQ(buffer.segment_count(), 0u);
  }
  EXPECT_EQ(pool.out, 0);
  EXPECT_EQ(blocks.in_use(), 0u);
}

TEST(StreamBuffer, APartialUnitLeavesItsLeaseAtOnce) {
  Pool pool;
  BlockPool blocks(1);
  StreamBuffer buffer(blocks);
  buffer.append(pool.lease("abc"));
  EXPECT_FALSE(buffer.straddle(0, 10));
  EXPECT_EQ(pool.out, 0);  // A slow peer holds no provided buffer.
  EXPECT_EQ(as_text(buffer.contiguous(0)), "abc");
  buffer.append(pool.lease("defghijkl"));
  EXPECT_TRUE(buffer.straddle(0, 10));
  EXPECT_EQ(as_text(buffer.contiguous(0)), "abcdefghij");
  EXPECT_EQ(as_text(buffer.contiguous(10)), "kl");
}

TEST(StreamBuffer, WhoWaitsHoldsNoProvidedBuffer) {
  Pool pool;
  BlockPool blocks(2);
  StreamBuffer buffer(blocks);
  buffer.append(pool.lease("sent|wait"));
  buffer.append(pool.lease("ing "));
  buffer.append(pool.lease("bytes"));
  buffer.own_rest(5);
  EXPECT_EQ(pool.out, 1);  // The first holds bytes that are queued.
  EXPECT_EQ(buffer.received(), 18u);
  EXPECT_EQ(as_text(buffer.contiguous(5)), "waiting bytes");
  EXPECT_EQ(as_text(buffer.slice({0, 5})), "sent|");
  buffer.append(pool.lease(" and more"));
  buffer.release(5);
  buffer.own_rest(5);
  EXPECT_EQ(pool.out, 0);
  EXPECT_EQ(as_text(buffer.contiguous(5)), "waiting bytes and more");
}

// However a login is cut, and wherever its bytes moved on the way: nothing of it is left in memory that goes back, and what comes
// after it is not touched.
TEST(StreamBuffer, WhatIsSecretIsOverwrittenAndNothingElse) {
  const std::string login = "p....TOKEN-TOKEN-TOKEN", rest = "Q....select 1 and more";
  for (std::size_t cut = 1; cut < login.size(); ++cut) {
    for (const bool is_waiting : {false, true}) {
      Pool pool;
      BlockPool blocks(4);
      std::string one = login.substr(0, cut), two = login.substr(cut), three = rest;
      StreamBuffer buffer(blocks);
      buffer.set_secret_until(UINT64_MAX);
      buffer.append(pool.lease(one));
      EXPECT_FALSE(buffer.straddle(0, static_cast<uint32_t>(login.size())) && cut < login.size());
      const Bytes block = buffer.contiguous(0);
      buffer.append(pool.lease(two));
      EXPECT_TRUE(buffer.straddle(0, static_cast<uint32_t>(login.size())));
      if (is_waiting) buffer.own_rest(0);
      EXPECT_EQ(as_text(buffer.contiguous(0)), login);
      buffer.set_secret_until(login.size());
      buffer.append(pool.lease(three));
      EXPECT_EQ(as_text(buffer.contiguous(login.size())), rest);
      buffer.release(login.size());
      for (const std::string& left : {one, two, std::string(as_text(block))}) EXPECT_EQ(left.find_first_not_of('\0'), std::string::npos) << cut << ": " << left;
      buffer.release(login.size() + rest.size());
      EXPECT_EQ(three, rest);
      EXPECT_EQ(pool.out, 0);
    }
  }
}

TEST(StreamBuffer, ASecretThatIsNeverReleasedGoesWithTheBuffer) {
  Pool pool;
  BlockPool blocks(1);
  std::string login = "p....TOKEN";
  {
    StreamBuffer buffer(blocks);
    buffer.set_secret_until(UINT64_MAX);
    buffer.append(pool.lease(login));
  }
  EXPECT_EQ(login.find_first_not_of('\0'), std::string::npos);
}

TEST(StreamBuffer, ABurstOfManyBuffersIsHeldAndItsMemoryGoes) {
  constexpr std::string_view kDigits = "0123456789";
  Pool pool;
  BlockPool blocks(2);
  StreamBuffer buffer(blocks);
  for (int round = 0; round < 2; ++round) {
    uint64_t at = buffer.received();
    for (uint64_t i = 0; i < 1000; ++i) {
      ASSERT_TRUE(buffer.has_room_for(16u << 10)) << i;
      buffer.append(pool.lease(kDigits.substr(i % 10, 1)));
    }
    EXPECT_EQ(pool.out, 1000);
    for (uint64_t i = 0; i < 1000; ++i, ++at) {
      ASSERT_EQ(as_text(buffer.contiguous(at)), kDigits.substr(i % 10, 1)) << i;
      buffer.release(at + 1);
    }
    EXPECT_EQ(pool.out, 0);
  }
}

TEST(StreamBuffer, AnyCutsGiveTheSameBytes) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Prng random(seed);
    Pool pool;
    BlockPool blocks(4);
    std::string stream;
    for (int i = 0; i < 4000; ++i) stream.push_back(static_cast<char>('a' + random.below(26)));
    StreamBuffer buffer(blocks);
    std::size_t fed = 0;
    uint64_t at = 0;
    while (at < stream.size()) {
      const auto need = static_cast<uint32_t>(std::min<uint64_t>(1 + random.below(300), stream.size() - at));
      while (buffer.contiguous(at).size() < need) {
        if (buffer.received() > at && buffer.straddle(at, need)) continue;
        if (buffer.contiguous(at).size() >= need) break;
        ASSERT_LT(fed, stream.size());
        const std::size_t size = std::min<std::size_t>(1 + random.below(200), stream.size() - fed);
        const std::string_view part = std::string_view(stream).substr(fed, size);
        if (random.one_in(2)) buffer.append(pool.lease(part)); else buffer.append_copy(as_bytes(part));
        fed += size;
      }
      ASSERT_EQ(as_text(buffer.slice({at, need})), std::string_view(stream).substr(at, need)) << "seed " << seed;
      at += need;
      if (random.one_in(2)) buffer.release(at);
      if (!buffer.has_room()) buffer.release(at);
      if (random.one_in(5)) buffer.own_rest(at);
    }
    buffer.release(at);
    EXPECT_EQ(pool.out, 0) << "seed " << seed;
    EXPECT_EQ(blocks.in_use(), 0u) << "seed " << seed;
  }
}

TEST(OutQueue, KeepsOrderAndReleasesWhatWasSent) {
  BlockPool blocks(2);
  OutQueue queue(blocks);
  const std::string input = "0123456789";
  queue.pass(as_bytes(std::string_view(input).substr(0, 4)), 4);
  queue.own(as_bytes("XY"), 0);
  queue.mark(6);
  queue.pass(as_bytes(std::string_view(input).substr(6, 4)), 10);
  EXPECT_EQ(queue.size(), 10u);
  std::string sent;
  while (!queue.empty()) {
    for (const Bytes bytes : queue.gather()) sent += as_text(bytes);
    EXPECT_EQ(queue.on_sent(), 10u);
  }
  EXPECT_EQ(sent, "0123XY6789");
  EXPECT_EQ(blocks.in_use(), 0u);
}

TEST(OutQueue, WhatIsInFlightIsNotExtended) {
  BlockPool blocks(2);
  OutQueue queue(blocks);
  queue.own(as_bytes("ab"), 0);
  const auto first = queue.gather();
  queue.own(as_bytes("cd"), 0);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(as_text(first[0]), "ab");
  queue.on_sent();
  EXPECT_EQ(as_text(queue.gather()[0]), "cd");
  queue.on_sent();
  EXPECT_EQ(blocks.in_use(), 0u);
}

TEST(OutQueue, LargeOwnPiecesSpanBlocks) {
  BlockPool blocks(2);
  OutQueue queue(blocks);
  std::string big(50'000, 'x');
  big[49'999] = 'y';
  queue.own(as_bytes(big), 7);
  std::string sent;
  uint64_t release = 0;
  while (!queue.empty()) {
    for (const Bytes bytes : queue.gather()) sent += as_text(bytes);
    release = std::max(release, queue.on_sent());
  }
  EXPECT_EQ(sent, big);
  EXPECT_EQ(release, 7u);
  EXPECT_EQ(blocks.in_use(), 0u);
  EXPECT_GT(blocks.grown(), 0u);
}

TEST(BlockPool, ArenasAreKeptForTheNextStepAndOtherLargeBlocksAreNot) {
  constexpr uint32_t kArena = 64u << 10;
  BlockPool blocks(1, kArena);
  const std::byte* first = blocks.take_large(kArena).memory().data();
  for (int step = 0; step < 100; ++step) {
    const Block arena = blocks.take_large(kArena);
    EXPECT_EQ(arena.memory().data(), first);
    EXPECT_EQ(arena.memory().size(), kArena);
  }
  EXPECT_EQ(blocks.grown(), 1u);
  { const Block other = blocks.take_large(kArena + 1); }
  { const Block other = blocks.take_large(kArena + 1); }
  EXPECT_EQ(blocks.grown(), 3u);
  {
    std::vector<Block> many;
    for (std::size_t i = 0; i < BlockPool::kSparesMax + 5; ++i) many.push_back(blocks.take_large(kArena));
  }
  EXPECT_EQ(blocks.in_use(), 0u) << "and the sanitizers see that none is lost";
  const uint64_t grown = blocks.grown();
  std::vector<Block> many;
  for (std::size_t i = 0; i < BlockPool::kSparesMax + 1; ++i) many.push_back(blocks.take_large(kArena));
  EXPECT_EQ(blocks.grown(), grown + 1) << "no more than kSparesMax are kept";
}

}  // namespace
}  // namespace weir::forward
