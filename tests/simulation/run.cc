#include "simulation/run.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "record/files.h"

namespace weir::simulation {
namespace {

constexpr std::chrono::seconds kFaultsEnd{20};    // After this nothing goes wrong any more ...
constexpr std::chrono::seconds kAllEnd{200};      // ... and by then every session has ended (I8).

uint64_t mix(uint64_t hash, std::string_view text) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

// The same script against the target itself, which forbids on its own: what the client should see.
std::vector<std::string> direct(const std::vector<Step>& script) {
  World world(1);
  const Faults none;
  Net net(world, none);
  auto [client_end, target_end] = net.pair({*Address::parse("198.18.1.2"), 40'000}, {*Address::parse("198.18.2.2"), 5432});
  auto target = std::make_shared<PostgresTarget>(world, net, none, target_end, [](const std::string&) {}, true);
  target->start();
  auto client = std::make_shared<PostgresClient>(world, net, none, client_end, script);
  client->start();
  while (!client->is_over() && world.now() < kAllEnd && world.step()) {
  }
  return client->told();
}

bool has_guarded(const std::vector<Step>& script) {
  return std::any_of(script.begin(), script.end(), [](const Step& step) { return step.bytes.find("guarded") != std::string::npos; });
}

struct Simulation {
  explicit Simulation(uint64_t seed_of) : seed(seed_of), world(seed_of), faults(Faults::choose(world.random())), net(world, faults), disk(world, faults, 512u << 10) {}

  void start();
  void advance();
  void check_sessions();
  void check_notices();
  [[nodiscard]] bool is_unanswered(const std::vector<Step>& script) const;
  void check_record();
  void check_alerts(const std::vector<Recorded>& events);
  void check_leaks();
  void broken(const char* checker, std::string what) { report.violations.push_back({checker, std::move(what)}); }

  const uint64_t seed;
  World world;
  Faults faults;
  const Faults chosen = faults;    // What could go wrong in this run; `faults` ends.
  Net net;
  Disk disk;
  record::AlignedBuffer pending{pending_shape().bytes()};
  bool with_rules = true;
  std::vector<std::vector<Step>> scripts;
  std::vector<Person> people;   // Behind each client.
  std::vector<std::shared_ptr<PostgresClient>> clients;
  std::unique_ptr<Gateway> gateway;
  Report report;
};

void Simulation::start() {
  const Limits limits = simulation_limits();
  std::memset(pending.bytes().data(), 0, pending.bytes().size());  // What another seed left on the heap is not this one's.
  with_rules = !world.random().one_in(4);
  gateway = std::make_unique<Gateway>(world, net, disk, faults, make_runtime(world, faults, limits, with_rules, 1), pending.bytes());
  const uint64_t count = 1 + world.random().below(5);
  uint64_t next_name = 1;
  for (uint64_t i = 0; i < count; ++i) {
    const auto steps = static_cast<uint32_t>(1 + world.random().below(12));
    scripts.push_back(make_script(world.random(), steps, with_rules, next_name));
    people.push_back(world.random().one_in(8) ? Person::kStranger : world.random().one_in(8) ? Person::kWithoutGrant : Person::kGranted);
    if (world.random().one_in(3)) people.back() = world.random().one_in(2) ? Person::kWireValid : static_cast<Person>(static_cast<uint64_t>(Person::kWireValid) + world.random().below(kWirePeople));
    world.after(world.delay(std::chrono::milliseconds(50)), [this, i] {
      const SocketPtr socket = gateway->connect({address_of(people[i]), static_cast<uint16_t>(40'000 + i)}, is_on_wire(people[i]));
      clients[i] = std::make_shared<PostgresClient>(world, net, faults, socket, scripts[i], password_of(people[i]));
      clients[i]->start();
    });
  }
  clients.resize(count);
  if (faults.cuts) {
    world.after(world.delay(std::chrono::milliseconds(200)), [this] { gateway->io().post(session::encode(session::Request::kCutSession, 1 + world.random().below(5))); });
  }
  if (faults.reloads) {
    for (uint64_t generation = 2; generation < 5; ++generation) {
      world.after(world.delay(std::chrono::milliseconds(200)), [this, limits, generation] { gateway->loop().hand_over(make_runtime(world, faults, limits, with_rules, generation)); });
    }
  }
  if (faults.full_disk) {
    const auto from = world.delay(std::chrono::milliseconds(300));
    world.after(from, [this] { disk.set_full(true); });
    world.after(from + world.delay(std::chrono::milliseconds(500)), [this] { disk.set_full(false); });
  }
  if (faults.drain) {
    world.after(world.delay(std::chrono::milliseconds(300)), [this] { gateway->io().post(session::encode(session::Request::kDrain)); });
  }
  world.after(kFaultsEnd - world.now(), [this] {
    // From here on the world is kind.  (Windows of live connections stay as they are: slow is not broken.)
    faults.resets = faults.disk_errors = faults.no_segments = faults.refused_dials = faults.short_writes = faults.slow_disk = faults.slow_target = faults.few_buffers = false;
  });
}

void Simulation::advance() {
  start();
  const auto over = [this] {
    return std::all_of(clients.begin(), clients.end(), [](const auto& client) { return client && client->is_over(); }) && gateway->loop().live() == 0;
  };
  while (!over() && world.now() < kAllEnd) gateway->loop().turn();
  if (!over()) {
    broken("I8", std::to_string(gateway->loop().live()) + " sessions did not end\n" + gateway->loop().describe() + "now " + std::to_string(world.now().count() / 1'000'000) + " ms, clients over: " + std::to_string(std::count_if(clients.begin(), clients.end(), [](const auto& c) { return c && c->is_over(); })) + " of " + std::to_string(clients.size()) + ", buffers out: " + std::to_string(gateway->io().buffers_out()) + "\n");
    return;
  }
  // The journal gets its last groups out.
  gateway->io().post(session::encode(session::Request::kDrain));
  while (!gateway->loop().is_drained() && world.now() < kAllEnd) gateway->loop().turn();
  if (!gateway->loop().is_drained() && !chosen.disk_errors) broken("I8", "the core did not drain");
}

// Each held command was told once, and once more after a minute.
void Simulation::check_notices() {
  std::size_t told = 0;
  for (std::size_t i = 0; i < clients.size(); ++i) {
    if (!clients[i] || !may_work(people[i])) continue;
    if (!clients[i]->is_done()) return;  // Nobody knows what it would have heard.
    const auto& messages = clients[i]->told();
    told += static_cast<std::size_t>(std::count_if(messages.begin(), messages.end(), [](const std::string& message) { return message.starts_with('N'); }));
  }
  const Reviewers& reviewers = gateway->reviewers();
  if (told != reviewers.count() + reviewers.slow_count()) {
    broken("hold", "clients were told " + std::to_string(told) + " times of " + std::to_string(reviewers.count()) + " tickets, " + std::to_string(reviewers.slow_count()) + " of them slow");
  }
}

bool Simulation::is_unanswered(const std::vector<Step>& script) const {
  return std::any_of(script.begin(), script.end(), [&](const Step& step) { return gateway->reviewers().has_unanswered(step.bytes); });
}

void Simulation::check_sessions() {
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const auto& client = clients[i];
    if (!client) continue;
    ++report.sessions;
    report.trace = mix(report.trace, client->received());
    if (!client->violation().empty()) broken("protocol", client->violation());
    if (with_rules && !client->received().empty()) {
      for (uint64_t row = 0; row < 30; ++row) {
        if (client->received().find(PostgresTarget::card(row)) != std::string::npos) broken("I4", "the client received a card number");
      }
    }
    if (people[i] == Person::kWireEnding) continue;  // How far it came nobody knows beforehand.
    if (!may_work(people[i])) {
      const auto& told = client->told();
      const bool has_rows = std::any_of(told.begin(), told.end(), [](const std::string& message) { return message.starts_with('D'); });
      if (has_rows) broken("I1", "a client that may do nothing was answered");
      continue;
    }
    if (!client->is_done()) continue;
    ++report.finished;
    // A blocked statement leaves both state machines as if the server had raised the error; all else is as without us.
    const std::vector<std::string> expected = direct(scripts[i]);
    std::vector<std::string> told = client->told();
    std::erase_if(told, [](const std::string& message) { return message.starts_with('N'); });  // What a held client is told meanwhile.
    // A client that said its last word has left, for a reviewer: what it waits for is withdrawn.  So it is when the gateway stops.
    if ((chosen.half_closes || chosen.drain) && has_guarded(scripts[i])) continue;
    if (is_unanswered(scripts[i])) continue;   // Refused for want of an answer, which no target alone knows of.
    if (faults.drain && told.size() == expected.size() + 1 && told.back() == "E57P01") told.pop_back();  // The gateway is being stopped.
    if (told != expected) {
      std::size_t at = 0;
      while (at < expected.size() && at < told.size() && expected[at] == told[at]) ++at;
      broken("I3", "client " + std::to_string(i) + " message " + std::to_string(at) + ": told " + (at < told.size() ? told[at] : "nothing") + ", a target alone says " +
                       (at < expected.size() ? expected[at] : "nothing"));
    }
    ++report.compared;
  }
}

// What the record holds of one command.
struct Written {
  int verdicts = 0, fates = 0;
  bool is_blocked = false, was_unread = false;
};

void Simulation::check_record() {
  const std::vector<Recorded> events = read_record(disk, pending.bytes());
  report.events = events.size();
  check_alerts(events);
  std::map<uint64_t, uint64_t> last;
  std::map<uint64_t, bool> is_closed;
  std::set<uint64_t> unproven;   // Sessions that must prove themselves, and have not yet.
  std::map<std::pair<uint64_t, uint64_t>, Written> commands;
  for (const Recorded& event : events) {
    report.trace = mix(report.trace, event.verb + event.text + event.rule + std::to_string(event.sequence));
    if (event.sequence != last[event.session] + 1) {
      broken("I5", "session " + std::to_string(event.session) + " has event " + std::to_string(event.sequence) + " after " + std::to_string(last[event.session]));
    }
    last[event.session] = event.sequence;
    if (event.kind == RecordEvent::Kind::kClosed) {
      is_closed[event.session] = true;
      for (const ByteAccount& account : event.accounts) {
        if (!account.balances()) {
          broken("I11", "session " + std::to_string(event.session) + " (" + event.reason + "): kernel " + std::to_string(account.kernel) + ", handshake " + std::to_string(account.handshake) +
                            ", parsed " + std::to_string(account.parsed) + ", opaque " + std::to_string(account.opaque) + ", refused " + std::to_string(account.refused));
        }
      }
    }
    if (event.kind == RecordEvent::Kind::kCommand || event.kind == RecordEvent::Kind::kLogin) {
      Written& written = commands[{event.session, event.unit}];
      ++written.verdicts;
      written.is_blocked = event.action == Verdict::Action::kBlock;
      if (written.is_blocked) ++report.blocked;
    }
    if (event.kind == RecordEvent::Kind::kFate) {
      Written& written = commands[{event.session, event.unit}];
      ++written.fates;
      written.was_unread = event.fate == Fate::kUnread;
    }
    if (event.kind == RecordEvent::Kind::kOpened && event.text.find("\"admit\":\"credential\"") != std::string::npos) unproven.insert(event.session);
    if (event.kind == RecordEvent::Kind::kIdentified) unproven.erase(event.session);
    if (event.kind == RecordEvent::Kind::kLogin && event.action == Verdict::Action::kAllow && unproven.contains(event.session)) {
      broken("I9", "session " + std::to_string(event.session) + " logged in and proved nothing");
    }
    if (event.text.find("plainly-fake-password") != std::string::npos) broken("I4", "the record holds a password");
  }
  for (const auto& [command, written] : commands) {
    const std::string which = "session " + std::to_string(command.first) + ": command " + std::to_string(command.second);
    if (written.verdicts > 1 || written.fates > 1) broken("I5", which + " stands on the record twice");
    // What its session's end came before is told, and was never judged.
    if (written.verdicts == 0 && !written.was_unread) broken("I5", which + " has a fate and no verdict");
    if (written.is_blocked && written.fates == 0 && is_closed[command.first]) broken("I5", which + " was blocked, and what became of it is not on the record");
  }
  for (const auto& [session, sequence] : last) {
    if (!is_closed[session] && !chosen.disk_errors && gateway->counters().value(Metric::kJournalRefused) == 0) broken("I5", "session " + std::to_string(session) + " has no end on the record");
  }
  const auto check_tokens = [&](std::string_view bytes, const char* what) {
    if (bytes.find(kTokenMark) != std::string_view::npos) broken("I4", std::string(what) + " holds a token");
  };
  check_tokens(as_text(pending.bytes()), "pending memory");
  for (const auto& [file, content] : disk.files()) check_tokens(content, "the journal");
  for (const auto& target : gateway->targets()) {
    if (target->has_seen_token()) broken("I4", "a target received a token");
  }
  for (uint64_t row = 0; with_rules && row < 30; ++row) {
    const std::string card = PostgresTarget::card(row);
    const auto holds = [&](std::string_view bytes) { return bytes.find(card) != std::string_view::npos; };
    if (holds(as_text(pending.bytes()))) broken("I4", "pending memory holds a card number");
    for (const auto& [file, content] : disk.files()) {
      if (holds(content)) broken("I4", "the journal holds a card number");
    }
  }
}

// What a rule refused is told, once, and by what the record has: nothing that masks cover.
void Simulation::check_alerts(const std::vector<Recorded>& events) {
  using Command = std::pair<uint64_t, uint64_t>;
  std::map<Command, int> told;
  CoreNotice notice;
  while (gateway->notices().pop(notice)) {
    if (notice.event == NoticeEvent::kRefused) ++told[{notice.session, notice.unit}];
    for (uint64_t row = 0; with_rules && row < 30; ++row) {
      if (notice.statement.view().find(PostgresTarget::card(row)) != std::string_view::npos) broken("I4", "a notice holds a card number");
    }
    if (notice.statement.view().find("plainly-fake-password") != std::string_view::npos) broken("I4", "a notice holds a password");
  }
  if (gateway->notices().lost() != 0) return;
  for (const Recorded& event : events) {
    const bool is_refused = event.kind == RecordEvent::Kind::kCommand && event.action == Verdict::Action::kBlock && event.rule == "forbidden-word";
    const std::string which = "session " + std::to_string(event.session) + ": command " + std::to_string(event.unit);
    if (is_refused && told[{event.session, event.unit}] != 1) broken("notices", which + " was refused by a rule and told " + std::to_string(told[{event.session, event.unit}]) + " times");
  }
}

void Simulation::check_leaks() {
  gateway->reviewers().finish();
  for (const std::string& what : gateway->reviewers().broken()) broken("hold", what);
  if (gateway->loop().blocks_in_use() != 0) broken("I7", std::to_string(gateway->loop().blocks_in_use()) + " blocks are still out");
  if (gateway->io().buffers_out() != 0) broken("I7", std::to_string(gateway->io().buffers_out()) + " provided buffers are still out");
  if (gateway->reviewers().open_count() != 0) broken("hold", std::to_string(gateway->reviewers().open_count()) + " tickets are open and nobody waits for them");
  if (gateway->desk().open_count() != 0) broken("I7", std::to_string(gateway->desk().open_count()) + " credentials are asked for and nobody waits");
  if (!gateway->io().is_idle()) broken("I7", "operations are still under way");
}

}  // namespace

std::string Report::text(uint64_t seed) const {
  std::string text = "seed " + std::to_string(seed) + " (faults: " + faults + ")\n";
  for (const Violation& violation : violations) text += "  " + violation.checker + ": " + violation.what + "\n";
  return text + "  repeat: WEIR_SEED=" + std::to_string(seed) + " simulation_test --gtest_filter=Simulation.OneSeed\n";
}

Report run(uint64_t seed) {
  Simulation simulation(seed);
  Report& report = simulation.report;
  report.faults = simulation.faults.text();
  simulation.advance();
  report.violations.insert(report.violations.end(), simulation.gateway->violations().begin(), simulation.gateway->violations().end());
  report.statements = simulation.gateway->target_log().size();
  report.tickets = simulation.gateway->reviewers().count();
  report.refused_words = simulation.gateway->reviewers().refused_count();
  const bool is_over = simulation.gateway->loop().live() == 0;
  if (is_over) {
    simulation.check_sessions();
    simulation.check_notices();
    simulation.check_record();
    simulation.check_leaks();
  }
  for (const std::string& statement : simulation.gateway->target_log()) report.trace = mix(report.trace, statement);
  if (!is_over) {
    // A live session would abort in its destructor: the report matters more.
    static_cast<void>(simulation.gateway.release());
  }
  return std::move(simulation.report);
}

}  // namespace weir::simulation
