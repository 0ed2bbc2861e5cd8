// Replaces operator new for the whole of a test program, to count what the calling thread allocates.  Included by one of its files.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <new>

namespace weir::testing {
inline thread_local uint64_t g_news = 0;
inline void* counted_new(std::size_t size) {
  ++g_news;
  if (void* const block = std::malloc(size == 0 ? 1 : size); block != nullptr) return block;
  throw std::bad_alloc();
}
}  // namespace weir::testing

// Not inlined: GCC takes a pair of which it sees one half for a mistake.
[[gnu::noinline]] void* operator new(std::size_t size) { return weir::testing::counted_new(size); }
[[gnu::noinline]] void* operator new[](std::size_t size) { return weir::testing::counted_new(size); }
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete[](void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete[](void* block, std::size_t) noexcept { std::free(block); }
