#include "simulation/gateway.h"

#include <gtest/gtest.h>

#include "base/check.h"
#include "decide/policy_compiler.h"
#include "mask/masker.h"
#include "parse/registry.h"
#include "record/journal_reader.h"
#include "tests/simulation/late_facts.h"

namespace weir::simulation {
namespace {

Address address(std::string_view text) { return *Address::parse(text); }

Config make_config(const Limits& limits, bool with_rules) {
  Config config;
  config.name = "gw-simulation";
  config.state = "/simulated";
  config.engine.limits = limits;
  TargetConfig target;
  target.name = "db";
  target.protocol = "postgres";
  target.addresses = {*Prefix::parse("198.18.2.2")};
  target.ports = {5432};
  target.tls.to_client = LegTls::kNone;
  target.tls.to_target = VerifyMode::kNone;
  TargetConfig on_wire = target;
  on_wire.name = "db-wire";
  on_wire.addresses = {*Prefix::parse("198.18.2.3")};
  on_wire.admit = Admit::kCredential;
  on_wire.wire_token = WireToken::kPlain;
  on_wire.inject = true;
  config.targets = {target, on_wire};
  GrantConfig grant;
  grant.name = "all";
  grant.who.subjects = {"svc:simulated"};
  grant.targets = {"db", "db-wire"};
  grant.verbs = Verb::kRead | Verb::kWrite;
  config.grants = {grant};
  if (!with_rules) return config;
  DataKindConfig card;
  card.name = "card";
  card.pattern = "[0-9]{13,19}";
  card.validator = "luhn";
  card.width_max = 19;
  config.data_kinds = {card};
  RuleConfig block;
  block.id = "forbidden-word";
  block.what.words = {"forbidden"};
  block.then = RuleAction::kBlock;
  block.message = "forbidden";
  RuleConfig mask;
  mask.id = "mask-cards";
  mask.where.direction = Direction::kToClient;
  mask.what.data = {"card"};
  mask.then = RuleAction::kMask;
  RuleConfig hold;
  hold.id = "guarded-word";
  hold.what.words = {"guarded"};
  hold.then = RuleAction::kHold;
  hold.approval = "two-eyes";
  config.rules = {block, hold, mask};
  return config;
}

// The journal's segments as the simulated disk has them.
class DiskFolder final : public record::JournalFolder {
 public:
  explicit DiskFolder(const Disk& disk) : disk_(disk) {}
  Result<std::vector<record::SegmentEntry>> segments() override {
    std::vector<record::SegmentEntry> entries;
    for (const auto& [file, content] : disk_.files()) {
      const auto header = record::load_segment_header(as_bytes(content));
      if (header) entries.push_back({*header, static_cast<uint64_t>(file)});
    }
    return entries;
  }
  Result<std::unique_ptr<record::SegmentSource>> open(const record::SegmentEntry& entry) override {
    struct Source final : record::SegmentSource {
      explicit Source(const std::string& content_of) : content(content_of) {}
      Result<std::size_t> read(uint64_t offset, MutableBytes out) override {
        if (offset >= content.size()) return std::size_t{0};
        const std::size_t size = std::min<std::size_t>(out.size(), content.size() - offset);
        std::memcpy(out.data(), content.data() + offset, size);
        return size;
      }
      const std::string& content;
    };
    return std::unique_ptr<record::SegmentSource>(new Source(disk_.files().at(static_cast<int>(entry.id))));
  }

 private:
  const Disk& disk_;
};

}  // namespace

Limits simulation_limits() {
  Limits limits;
  limits.receive_buffer_count = 256;
  limits.receive_buffer_size = 4096;
  limits.queued_output_max = 64 << 10;
  limits.handshake_timeout = std::chrono::milliseconds(60'000);
  limits.drain_timeout = std::chrono::milliseconds(3'000);
  return limits;
}

record::PendingShape pending_shape() { return {.buffer_size = 128u << 10, .buffer_count = 8}; }

session::RuntimePtr make_runtime(World& world, const Faults& faults, const Limits& limits, bool with_rules, uint64_t generation) {
  auto runtime = std::make_shared<session::Runtime>();
  runtime->generation = generation;
  runtime->config = make_config(limits, with_rules);
  auto policy = decide::compile_policy(runtime->config, mask::make_masker({}), {.generation = generation});
  if (!policy) ADD_FAILURE() << policy.error().message;
  WEIR_CHECK(policy);
  runtime->policy = *policy;
  for (const TargetConfig& each : runtime->config.targets) {
    session::TargetRuntime target;
    target.config = each;
    target.module = find_protocol("postgres");
    target.facts.name = each.name;
    target.facts.tls_to_client = LegTls::kNone;
    target.facts.inject = each.inject;
    if (each.inject) target.facts.logins.push_back({"app", "app", "plainly-fake-target-password", "plainly-fake-password"});
    target.capability = "full";
    target.make_facts = [&world, &faults, limits](std::function<void()> wake) { return make_late_facts(world, faults, limits, std::move(wake)); };
    runtime->targets.push_back(std::move(target));
  }
  return runtime;
}

Address address_of(Person person) {
  if (person == Person::kWireByAddress) person = Person::kGranted;
  return address("198.18.1." + std::to_string(2 + static_cast<int>(person)));
}

std::optional<std::string> password_of(Person person) {
  const auto token = [](std::string_view word) { return "eyJ" + std::string(kTokenMark) + "." + std::string(word) + ".x"; };
  switch (person) {
    case Person::kWireValid: return token("valid");
    case Person::kWireEnding: return token("ending");
    case Person::kWireExpired: return token("expired");
    case Person::kWireForeign: return token("foreign");
    case Person::kWireReplayed: return token("replayed");
    case Person::kWireGarbage: return "garbage";
    case Person::kWireNone: return "";
    case Person::kWireSilent: return std::nullopt;
    case Person::kGranted: case Person::kStranger: case Person::kWithoutGrant: case Person::kWireByAddress: break;
  }
  return "plainly-fake-password";
}

IdentityPtr identity_of(const Address& from) {
  if (from != address_of(Person::kGranted) && from != address_of(Person::kWithoutGrant)) return nullptr;
  auto identity = std::make_shared<Identity>();
  identity->binding_id = 1;
  identity->subject = from == address_of(Person::kGranted) ? "svc:simulated" : "svc:without-grant";
  identity->assurance = Assurance::kStatic;
  return identity;
}

Gateway::Gateway(World& world, Net& net, Disk& disk, const Faults& faults, session::RuntimePtr runtime, MutableBytes pending)
    : world_(world), net_(net), disk_(disk), faults_(faults), limits_(runtime->config.engine.limits), admission_(limits_), reviewers_(world), desk_(world, [this](uint64_t session) { io_->post(session::encode(session::Request::kWakeSession, session)); }) {
  io_ = std::make_unique<SimIo>(world, net, disk, faults, limits_, [this](const DialPlan& plan) { return dial(plan); });
  record::JournalOptions options;
  options.gateway = "gw-simulation";
  options.shape = pending_shape();
  options.write_token = session::owner_token(session::Owner::kJournal, OpKind::kWrite);
  options.timer_token = session::owner_token(session::Owner::kJournal, OpKind::kTimer);
  journal_ = std::make_unique<record::JournalWriter>(options, *io_, disk, pending, counters_);
  loop_ = std::make_unique<session::CoreLoop>(session::CoreLoop::Parts{*io_, *journal_, steering_, counters_, directory_, admission_, std::move(runtime), 0,
                                                                      [is_elsewhere = world.seed() % 2 == 0](const Address& from, std::chrono::sys_seconds) {
                                                                        return identity_of(is_elsewhere && from == address_of(Person::kStranger) ? address_of(Person::kGranted) : from);
                                                                      }, &reviewers_, {}, nullptr, &notices_, &desk_});
  const int listener = 3;
  loop_->listen({&listener, 1});
}

Gateway::~Gateway() = default;

SocketPtr Gateway::connect(const Endpoint& client, bool to_wire_target) {
  auto [client_end, engine_end] = net_.pair(client, {address(to_wire_target ? "198.18.2.3" : "198.18.2.2"), 5432});
  io_->incoming(engine_end);
  return client_end;
}

SocketPtr Gateway::dial(const DialPlan& plan) {
  auto [engine_end, target_end] = net_.pair(plan.source, plan.target);
  if (plan.is_transparent && plan.source.port == 0) violations_.push_back({"I3", "dialled without the client's address and port"});
  if (plan.source.address == address_of(Person::kStranger)) violations_.push_back({"I1", "dialled for who has no identity"});
  const bool is_wire_target = plan.target.address == address("198.18.2.3");
  const bool is_proven = plan.source.address == address_of(Person::kWireValid) || plan.source.address == address_of(Person::kWireEnding);
  // (A cancel request is the gateway's own, from its own address.)
  if (is_wire_target && plan.is_transparent && !is_proven) violations_.push_back({"I9", "dialled for who proved nothing on the wire"});
  const bool may_speak = is_wire_target ? is_proven : plan.source.address == address_of(Person::kGranted);
  auto target = std::make_shared<PostgresTarget>(world_, net_, faults_, target_end, [this, may_speak, from = plan.source.address](const std::string& statement) {
    if (!may_speak) violations_.push_back({"I1", "the target received, from " + from.text() + ": " + statement});
    on_statement(statement);
  }, false, is_wire_target);
  target->start();
  targets_.push_back(target);
  return engine_end;
}

// The target received a statement: it was judged, and its record is on disk (I2, I5, I9).
void Gateway::on_statement(const std::string& statement) {
  target_log_.push_back(statement);
  if (statement.find("forbidden") != std::string::npos) violations_.push_back({"I2", "the target received: " + statement});
  if (statement.find("guarded") != std::string::npos && !reviewers_.use_approval(statement)) violations_.push_back({"hold", "nobody approved: " + statement});
  const std::size_t at = statement.find(" as q");
  if (at == std::string::npos) return;
  const std::string name = statement.substr(at, statement.find(' ', at + 4) - at);
  for (const auto& [file, content] : disk_.files()) {
    if (content.find(name) != std::string::npos) return;
  }
  violations_.push_back({"I5", "the target received a statement before its record was on disk: " + statement});
}

std::vector<Recorded> read_record(const Disk& disk, Bytes pending) {
  std::vector<Recorded> events;
  record::EventAssembler assembler;
  const auto take = [&](const record::JournalFrame& frame) {
    const auto event = assembler.add(frame.frame);
    if (!event) return true;
    RecordEvent decoded;
    record::Accounts accounts;
    if (!record::decode_event(event->header, event->payload, decoded, accounts)) return true;
    events.push_back({decoded.kind, decoded.session, decoded.sequence, decoded.unit.id, std::string(decoded.verb), std::string(as_text(decoded.text)), std::string(decoded.rule),
                      std::string(decoded.reason), std::string(decoded.sqlstate), decoded.action, decoded.fate, accounts});
    return true;
  };
  DiskFolder folder(disk);
  record::CoreReader reader(folder, 0);
  EXPECT_TRUE(reader.refresh());
  EXPECT_TRUE(reader.read(UINT64_MAX, take));
  record::read_pending(pending, std::max<uint64_t>(1, reader.next_group()), take);
  return events;
}

}  // namespace weir::simulation
