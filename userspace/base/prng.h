// xoshiro256** by Blackman and Vigna (public domain algorithm): the repeatable random source of the simulation and the
// tests.  Never for keys or nonces: those come from OpenSSL's RAND_bytes behind core/io.h.
#pragma once
#include <array>
#include <cstdint>

namespace weir {

class Prng {
 public:
  explicit Prng(uint64_t seed) noexcept {
    for (uint64_t& word : state_) {  // splitmix64
      seed += 0x9e3779b97f4a7c15ULL;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
      word = z ^ (z >> 31);
    }
  }
  uint64_t next() noexcept {
    const uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return result;
  }
  // Uniform in [0, bound).  Pre: bound > 0.  The modulo bias is below 2^-32 for the bounds that tests use.
  uint64_t below(uint64_t bound) noexcept { return next() % bound; }
  // True once in `n` draws on average.
  bool one_in(uint64_t n) noexcept { return below(n) == 0; }

 private:
  static uint64_t rotate(uint64_t x, int k) noexcept { return (x << k) | (x >> (64 - k)); }
  std::array<uint64_t, 4> state_{};
};

}  // namespace weir
