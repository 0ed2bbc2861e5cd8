// A queue that grows to the most it ever held and then stays: no allocation on the steady path.  One thread.
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

#include "base/check.h"

namespace weir::postgres {

template <class T>
class Ring {
 public:
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  T& operator[](std::size_t index) { return slots_[(first_ + index) & (slots_.size() - 1)]; }
  const T& operator[](std::size_t index) const { return slots_[(first_ + index) & (slots_.size() - 1)]; }
  T& front() { return (*this)[0]; }
  T& back() { return (*this)[size_ - 1]; }
  // A slot at the end.  It holds what its last user left there (strings keep their capacity): the caller fills it in.
  T& add() {
    if (size_ == slots_.size()) grow();
    ++size_;
    return back();
  }
  void pop() {
    WEIR_CHECK(size_ > 0);
    ++first_;
    --size_;
  }
  void clear() { size_ = 0; }

 private:
  void grow() {
    std::vector<T> larger(slots_.empty() ? 4 : slots_.size() * 2);
    for (std::size_t i = 0; i < size_; ++i) larger[i] = std::move((*this)[i]);
    slots_ = std::move(larger);
    first_ = 0;
  }
  std::vector<T> slots_;  // A power of two.
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace weir::postgres
