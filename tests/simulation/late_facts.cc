#include "tests/simulation/late_facts.h"

#include <set>
#include <string>
#include <vector>

#include "parse/postgres/facts_source.h"

namespace weir::simulation {
namespace {

class LateFacts final : public FactsSource {
 public:
  LateFacts(World& world, const Faults& faults, const Limits& limits, std::function<void()> wake)
      : world_(world), faults_(faults), inner_(postgres::make_inline_facts(limits)), shared_(std::make_shared<Shared>()) {
    shared_->wake = std::move(wake);
  }
  ~LateFacts() override { shared_->wake = nullptr; }
  LateFacts(const LateFacts&) = delete;
  LateFacts& operator=(const LateFacts&) = delete;

  FactsAnswer facts(const FactsQuery& query) override {
    if (!faults_.late_facts) return inner_->facts(query);
    const std::string text(as_text(query.text));
    if (shared_->read.contains(text)) return inner_->facts(query);
    world_.after(world_.delay(std::chrono::milliseconds(20)), [shared = shared_, text, session = query.session] {
      shared->read.insert(text);
      shared->ready.push_back(session);
      if (shared->wake) shared->wake();
    });
    return {FactsAnswer::State::kPending, nullptr};
  }
  std::span<const uint64_t> collect() override {
    told_.swap(shared_->ready);
    shared_->ready.clear();
    return told_;
  }

 private:
  struct Shared {  // What an answer under way needs, though the source be gone.
    std::set<std::string> read;
    std::vector<uint64_t> ready;
    std::function<void()> wake;
  };
  World& world_;
  const Faults& faults_;
  std::unique_ptr<FactsSource> inner_;
  std::shared_ptr<Shared> shared_;
  std::vector<uint64_t> told_;
};

}  // namespace

std::unique_ptr<FactsSource> make_late_facts(World& world, const Faults& faults, const Limits& limits, std::function<void()> wake) {
  return std::make_unique<LateFacts>(world, faults, limits, std::move(wake));
}

}  // namespace weir::simulation
