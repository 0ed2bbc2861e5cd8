// For tests: a book on a store that forgets.
#pragma once
#include <gmock/gmock.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "decide/ticket_book.h"
#include "store/memory_store.h"

namespace weir::decide {

inline constexpr std::chrono::sys_seconds kNow{std::chrono::seconds(1'767'225'600)};

inline ApprovalConfig approval_of(const std::string& name, WhoConfig who, uint32_t count = 1, bool is_for_class = false) {
  ApprovalConfig config;
  config.name = name;
  config.reviewers = std::move(who);
  config.min_reviewers = count;
  config.deadline = std::chrono::minutes(10);
  config.is_for_class = is_for_class;
  config.window_max = std::chrono::hours(1);
  return config;
}
inline Reviewer person(const std::string& name, std::vector<std::string> groups = {"security"}) {
  return {"user:" + name, std::move(groups), "lab-idp", {}};
}

class TicketFixture : public testing::Test {
 protected:
  TicketFixture() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-tickets-XXXXXX").string();
    folder = mkdtemp(pattern.data());
    approvals = {approval_of("two-eyes", {{}, {"security"}}), approval_of("four-eyes", {{"user:*"}, {"security"}}, 2),
                 approval_of("night", {{"user:ann", "user:bob", "local:root"}, {}}, 1, true),
                 approval_of("night-pair", {{"user:*"}, {}}, 2, true)};
    restart();
  }
  ~TicketFixture() override {
    book.reset();  // It may be writing.
    std::filesystem::remove_all(folder);
  }

  void restart(std::chrono::sys_seconds now = kNow) {
    book.reset();
    options.gateway = "gw-1";
    options.earlier_file = file();
    auto opened = TicketBook::open(memory, options, approvals, now);
    ASSERT_TRUE(opened) << opened.error().message;
    book = std::move(*opened);
    book->set_on_answer([this](uint64_t session) {
      const std::lock_guard lock(told_mutex);
      told.push_back(session);
    });
  }
  [[nodiscard]] std::string file() const { return folder + "/tickets.json"; }
  // As the store has it: what a restart would find.
  [[nodiscard]] std::string text() const {
    const std::lock_guard lock(shared->mutex);
    std::string all;
    for (const auto& [key, item] : shared->items) all += item.body + "\n";
    return all;
  }
  [[nodiscard]] Ticket stored(uint64_t number) const {
    const std::lock_guard lock(shared->mutex);
    const auto found = shared->items.find({"ticket", std::to_string(number)});
    return found == shared->items.end() ? Ticket() : parse_ticket(found->second.body).value_or(Ticket());
  }
  void refuse_writes(bool is_refused) {
    const std::lock_guard lock(shared->mutex);
    shared->refuse_writes = is_refused;
  }
  // As after kill -9: the store stays as it is, whatever the book does at its end.
  void kill(std::chrono::sys_seconds now = kNow) {
    refuse_writes(true);
    book.reset();
    refuse_writes(false);
    restart(now);
  }
  static TicketRequest request(const std::string& approval, const std::string& subject = "svc:agent",
                               VerbSet verbs = bit(Verb::kWrite)) {
    Identity identity;
    identity.subject = subject;
    identity.issuer = "lab-idp";
    identity.groups = {"agents"};
    identity.acting_for = {"user:carl"};
    identity.assurance = Assurance::kNetwork;
    TicketRequest made;
    made.session = 41;
    made.unit = 7;
    made.identity = std::make_shared<const Identity>(std::move(identity));
    made.target = "orders-db";
    made.login = "app";
    made.database = "shop";
    made.approval = approval;
    made.rule = "whole-table-change";
    made.reason = "waiting for a reviewer";
    made.statement = "delete from orders";
    made.parameters = "[1]";
    made.objects = "public.orders";
    made.verbs = verbs;
    made.digest[0] = std::byte{0xab};
    return made;
  }
  uint64_t open(const TicketRequest& asked, std::chrono::sys_seconds now = kNow) {
    const auto number = book->open(asked, now);
    EXPECT_TRUE(number) << number.error().message;
    return number.value_or(0);
  }
  TicketAnswer::State state(uint64_t number, std::chrono::sys_seconds now = kNow) { return book->ask(number, now).state; }
  auto approve(uint64_t number, const Reviewer& by, std::chrono::sys_seconds until = {}, std::chrono::sys_seconds now = kNow) {
    return book->approve(number, by, "looked at it", until, now);
  }
  std::string refusal(uint64_t number, const Reviewer& by, std::chrono::sys_seconds until = {}, std::chrono::sys_seconds now = kNow) {
    const auto outcome = approve(number, by, until, now);
    EXPECT_FALSE(outcome) << outcome->text;
    return outcome ? "" : outcome.error().message;
  }

  std::string folder;
  std::shared_ptr<store::SharedMemory> shared = std::make_shared<store::SharedMemory>();
  store::MemoryStore memory{"gw-1", shared};
  TicketBook::Options options;
  std::vector<ApprovalConfig> approvals;
  // Sessions that were told, once there are so many: the book's own thread tells some.
  std::vector<uint64_t> told_after(std::size_t count) {
    for (int i = 0; i < 2'000; ++i) {
      {
        const std::lock_guard lock(told_mutex);
        if (told.size() >= count) return told;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return {};
  }

  std::mutex told_mutex;
  std::vector<uint64_t> told;  // Before the book: it tells to its end.
  std::unique_ptr<TicketBook> book;
};

}  // namespace weir::decide
