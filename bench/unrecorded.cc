// The product with its journal taken out, to measure what recording costs.  Only bench/loop/run starts it: `weir` has no such switch.
//
// The linker takes these definitions and so never the real ones.  Nothing is encoded, encrypted, written or sealed; all else
// (rules, masks, verdicts, steering) is the product.
#include "record/journal.h"

namespace weir::record {

JournalWriter::JournalWriter(JournalOptions options, Io& io, SegmentSupply& supply, MutableBytes pending, CoreCounters& counters)
    : options_(std::move(options)), io_(io), supply_(supply), counters_(counters), run_(0), pending_(pending, options_.shape, options_.core, run_), part_max_(0), seal_size_(0),
      segment_number_(options_.first_segment), next_group_(options_.first_group), durable_group_(options_.first_group - 1) {
  free_.resize(1);
}

Written JournalWriter::write(const RecordEvent&, uint64_t& group) {
  group = durable_group_;
  return Written::kDurableLater;
}

bool JournalWriter::is_accepting() const { return true; }
void JournalWriter::on_completion(const Completion&) {}
void JournalWriter::end_turn() {}
void JournalWriter::flush() {}
void JournalWriter::tidy() {}

}  // namespace weir::record
