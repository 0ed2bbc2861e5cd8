#include "simulation/postgres_client.h"

#include "simulation/wire.h"

namespace weir::simulation {
namespace {

std::string query(const std::string& sql) { return wire::message('Q', wire::text(sql)); }
std::string parse(const std::string& name, const std::string& sql) { return wire::message('P', wire::text(name) + wire::text(sql) + wire::u16(0)); }
std::string bind(const std::string& portal, const std::string& statement) {
  return wire::message('B', wire::text(portal) + wire::text(statement) + wire::u16(0) + wire::u16(0) + wire::u16(0));
}
std::string execute(const std::string& portal, uint32_t limit) { return wire::message('E', wire::text(portal) + wire::u32(limit)); }
std::string sync() { return wire::message('S', ""); }

// One statement; each text is unique, so that the target's log and the record can be compared.
std::string statement(Prng& random, bool blocked, uint64_t& next_name) {
  const std::string number = std::to_string(next_name++);
  const std::string name = "q" + std::string(6 - number.size(), '0') + number;  // No name is the beginning of another.
  const uint64_t kind = random.below(10);
  const std::string count = std::to_string(random.below(30));
  if (kind == 0 && blocked) return "select n as " + name + " from forbidden where id = " + count;
  if (kind == 3 && blocked) return "select n as " + name + " from guarded where id = " + count;
  if (kind == 1) return "select 1/0 as " + name;
  if (kind == 2) return "select card as " + name + " from cards where id = " + count;
  return "select n as " + name + " from series where id = " + count;
}

Step extended(Prng& random, bool blocked, uint64_t& next_name) {
  Step step;
  const uint64_t statements = 1 + random.below(4);
  for (uint64_t i = 0; i < statements; ++i) {
    const std::string name = random.one_in(2) ? "" : "s" + std::to_string(next_name);
    const std::string portal = random.one_in(2) ? "" : "p" + std::to_string(next_name);
    step.bytes += parse(name, statement(random, blocked, next_name));
    if (random.one_in(3)) step.bytes += wire::message('D', "S" + wire::text(name));
    const uint64_t uses = 1 + random.below(2);
    for (uint64_t use = 0; use < uses; ++use) {
      step.bytes += bind(portal, name);
      if (random.one_in(2)) step.bytes += wire::message('D', "P" + wire::text(portal));
      if (random.one_in(4)) step.bytes += execute(portal, 3);
      step.bytes += execute(portal, 0);
      if (!portal.empty()) step.bytes += wire::message('C', "P" + wire::text(portal));
    }
    if (random.one_in(5)) step.bytes += wire::message('H', "");
  }
  step.bytes += sync();
  return step;
}

}  // namespace

std::vector<Step> make_script(Prng& random, uint32_t count, bool blocked, uint64_t& next_name) {
  std::vector<Step> script;
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t kind = random.below(12);
    if (kind < 4) {
      script.push_back({query(statement(random, blocked, next_name))});
    } else if (kind < 5) {
      const std::string first = statement(random, blocked, next_name);
      script.push_back({query(first + "; " + statement(random, blocked, next_name))});
    } else if (kind < 7) {
      script.push_back({query(random.one_in(2) ? "begin" : random.one_in(2) ? "commit" : "rollback")});
    } else if (kind < 10) {
      script.push_back(extended(random, blocked, next_name));
    } else if (kind < 11) {
      script.push_back({query("copy series to stdout")});
    } else {
      script.push_back({query("copy sink from stdin"), 1, true});
    }
    script.back().is_pipelined = !script.back().is_copy_in && random.one_in(4);
  }
  if (!script.empty()) script.back().is_pipelined = false;
  return script;
}

PostgresClient::PostgresClient(World& world, Net& net, const Faults& faults, SocketPtr socket, std::vector<Step> script, std::optional<std::string> password)
    : world_(world), net_(net), faults_(faults), socket_(std::move(socket)), script_(std::move(script)), password_(std::move(password)) {}

void PostgresClient::start() {
  socket_->on_change = [self = weak_from_this()] {
    if (const auto client = self.lock()) client->on_change();
  };
  const std::string body = wire::u32(196'608) + wire::text("user") + wire::text("app") + wire::text("database") + wire::text("shop") + wire::text("");
  send(wire::u32(static_cast<uint32_t>(body.size() + 4)) + body);
}

void PostgresClient::send(const std::string& bytes) {
  out_ += bytes;
  flush();
}

void PostgresClient::flush() {
  while (!out_.empty()) {
    const std::size_t taken = net_.send(socket_, out_);
    if (taken == 0) return;
    out_.erase(0, taken);
  }
  if (is_done_ && !socket_->is_closed && !socket_->is_shut) net_.shut(socket_);
}

void PostgresClient::end(bool reset) {
  if (is_over_) return;
  is_over_ = true;
  net_.close(socket_, reset);
}

void PostgresClient::on_change() {
  if (is_over_) return;
  if (socket_->reset) return end(true);
  if (faults_.resets && world_.random().one_in(400)) return end(true);
  const std::string bytes = net_.read(socket_, SIZE_MAX);
  received_ += bytes;
  in_ += bytes;
  while (take_message()) {
  }
  flush();
  if (socket_->fin_arrived && socket_->received.empty()) end(false);
}

bool PostgresClient::take_message() {
  if (in_.size() < 5) return false;
  const uint32_t size = wire::read_u32(in_, 1);
  if (size < 4 || size > (1u << 24)) {
    violation_ = "a message of impossible size";
    end(true);
    return false;
  }
  if (in_.size() < size + 1) return false;
  const char type = in_[0];
  const std::string body = in_.substr(5, size - 4);
  in_.erase(0, size + 1);
  std::string entry(1, type);
  if (type == 'D') {
    entry += std::to_string(body.size());
  } else if (type == 'E') {
    for (std::size_t at = 0; at < body.size() && body[at] != 0;) {
      const char field = body[at++];
      const std::string value = wire::read_text(body, at);
      if (field == 'C') entry += value;
    }
  } else if (type == 'Z') {
    entry += body;
  } else if (type == 'C') {
    entry += body.substr(0, body.size() - 1);
  }
  told_.push_back(entry);
  if (type == 'R' && wire::read_u32(body, 0) == 3) {
    if (password_) send(wire::message('p', wire::text(*password_)));
  } else if (type == 'G') {
    if (!may_copy_) violation_ = "CopyInResponse to something else";
    send(wire::message('d', "a line\n") + wire::message('c', ""));
  } else if (type == 'Z') {
    if (awaited_ == 0) violation_ = "a ReadyForQuery that nothing asked for";
    if (awaited_ > 0 && --awaited_ == 0) proceed();
  }
  return true;
}

void PostgresClient::proceed() {
  may_copy_ = false;
  if (next_ >= script_.size()) {
    is_done_ = true;
    return send(wire::message('X', ""));
  }
  std::string bytes;
  bool goes_on = true;
  while (goes_on && next_ < script_.size()) {
    const Step& step = script_[next_++];
    bytes += step.bytes;
    awaited_ += step.ready;
    may_copy_ = step.is_copy_in;
    // What waits for CopyInResponse goes alone.
    goes_on = step.is_pipelined && next_ < script_.size() && !script_[next_].is_copy_in;
  }
  if (faults_.half_closes && world_.random().one_in(30)) {
    out_ += bytes;
    flush();
    if (out_.empty()) net_.shut(socket_);
    return;
  }
  // Thinking takes time.
  world_.after(world_.delay(std::chrono::milliseconds(2)), [self = weak_from_this(), bytes] {
    const auto client = self.lock();
    if (client && !client->is_over_) client->send(bytes);
  });
}

}  // namespace weir::simulation
