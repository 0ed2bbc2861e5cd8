// The journal's disk: files of segments that survive a kill, writes that take time, fail, or are taken in part.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "record/segments.h"
#include "simulation/world.h"

namespace weir::simulation {

class Disk final : public record::SegmentSupply {
 public:
  Disk(World& world, const Faults& faults, uint64_t segment_size) : world_(world), faults_(faults), segment_size_(segment_size) {}

  std::optional<record::SegmentFile> take() override;
  void give_up(const record::SegmentFile&) override {}
  [[nodiscard]] bool is_full() const override { return is_full_; }
  void set_full(bool full) { is_full_ = full; }

  // What became of a write of `size` bytes that was asked for now: its delay and its result (bytes or -errno).
  struct Outcome { std::chrono::nanoseconds delay; int32_t result; };
  Outcome plan(std::size_t size);
  void apply(int file, uint64_t offset, std::string_view bytes);
  // Files in the order in which they were taken; what was written, up to the last byte ever written.
  [[nodiscard]] const std::map<int, std::string>& files() const { return files_; }

 private:
  World& world_;
  const Faults& faults_;
  const uint64_t segment_size_;
  std::map<int, std::string> files_;
  int next_file_ = 1;
  bool is_full_ = false;
};

}  // namespace weir::simulation
