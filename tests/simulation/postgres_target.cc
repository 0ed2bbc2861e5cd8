#include "simulation/postgres_target.h"

#include <algorithm>
#include <sstream>

#include "simulation/wire.h"
#include "simulation/wire_desk.h"

namespace weir::simulation {
namespace {

constexpr const char* kPassword = "plainly-fake-password";

// "select n as q17 from series where id = 3" -> {"n", "q17", "series", 3}
struct Select { bool is_one = false; std::string column, name, table; uint64_t count = 0; };
Select read_select(const std::string& sql) {
  Select select;
  std::istringstream words(sql);
  std::string verb, as, from, where, id, equals;
  if (words >> verb >> select.column >> as >> select.name >> from >> select.table >> where >> id >> equals >> select.count) {
    select.is_one = verb == "select" && as == "as" && from == "from" && where == "where" && id == "id";
  }
  return select;
}

std::string first_word(const std::string& sql) { return sql.substr(0, sql.find(' ')); }

}  // namespace

std::string PostgresTarget::card(uint64_t row) {
  std::string digits = "4" + std::to_string(10'000'000'000'000 + row % 89'999'999'999'999 * 7919 % 80'000'000'000'000);
  digits.resize(15, '7');
  int sum = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    int digit = digits[i] - '0';
    if (i % 2 == 0) digit = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
    sum += digit;
  }
  return digits + static_cast<char>('0' + (10 - sum % 10) % 10);
}

PostgresTarget::PostgresTarget(World& world, Net& net, const Faults& faults, SocketPtr socket, Log log, bool forbids, bool is_trusting)
    : world_(world), net_(net), faults_(faults), socket_(std::move(socket)), log_(std::move(log)), forbids_(forbids), is_trusting_(is_trusting) {}

void PostgresTarget::start() {
  socket_->on_change = [self = weak_from_this()] {
    if (const auto target = self.lock()) target->on_change();
  };
}

void PostgresTarget::say(char type, const std::string& body) { out_ += wire::message(type, body); }

void PostgresTarget::flush() {
  while (!out_.empty()) {
    const std::size_t taken = net_.send(socket_, out_);
    if (taken == 0) return;
    sent_ += out_.substr(0, taken);
    out_.erase(0, taken);
  }
  if (is_over_ && !socket_->is_closed) net_.close(socket_, false);
}

void PostgresTarget::on_change() {
  if (socket_->is_closed) return;
  if (socket_->reset) {
    is_over_ = true;
    net_.close(socket_, true);
    return;
  }
  if (faults_.resets && world_.random().one_in(400)) {
    is_over_ = true;
    net_.close(socket_, true);
    return;
  }
  in_ += net_.read(socket_, SIZE_MAX);
  has_seen_token_ = has_seen_token_ || in_.find(kTokenMark) != std::string::npos;
  if (faults_.slow_target) {
    // Work takes time; what comes meanwhile waits.
    if (!is_busy_) {
      is_busy_ = true;
      world_.after(world_.delay(std::chrono::milliseconds(20)), [self = weak_from_this()] {
        const auto target = self.lock();
        if (!target || target->socket_->is_closed) return;
        target->is_busy_ = false;
        while (!target->is_over_ && (target->is_started_ ? target->take_message() : target->take_startup())) {
        }
        if (target->socket_->fin_arrived && target->socket_->received.empty()) target->is_over_ = true;
        target->flush();
      });
    }
  } else {
    while (!is_over_ && (is_started_ ? take_message() : take_startup())) {
    }
  }
  if (socket_->fin_arrived && socket_->received.empty() && !is_busy_) is_over_ = true;
  flush();
}

bool PostgresTarget::take_startup() {
  if (in_.size() < 8) return false;
  const uint32_t size = wire::read_u32(in_, 0);
  if (in_.size() < size) return false;
  in_.erase(0, size);
  is_started_ = true;
  if (is_trusting_) let_in();
  else say('R', wire::u32(3));
  return true;
}

bool PostgresTarget::take_message() {
  if (in_.size() < 5) return false;
  const uint32_t size = wire::read_u32(in_, 1);
  if (in_.size() < size + 1) return false;
  const char type = in_[0];
  const std::string body = in_.substr(5, size - 4);
  in_.erase(0, size + 1);
  handle(type, body);
  return true;
}

void PostgresTarget::let_in() {
  is_in_ = true;
  say('R', wire::u32(0));
  for (const auto& [name, value] : {std::pair<const char*, const char*>{"server_version", "15.4"}, {"client_encoding", "UTF8"}, {"standard_conforming_strings", "on"}}) {
    say('S', wire::text(name) + wire::text(value));
  }
  say('K', wire::u32(static_cast<uint32_t>(socket_->fd)) + wire::u32(static_cast<uint32_t>(world_.random().next())));
  ready();
}

void PostgresTarget::handle(char type, const std::string& body) {
  if (!is_in_) {
    password_seen_ = body.substr(0, body.size() - 1);
    if (type != 'p' || password_seen_ != kPassword) {
      fail("28P01", "password authentication failed");
      is_over_ = true;
      return;
    }
    return let_in();
  }
  if (is_copying_in_) {
    if (type == 'c') {
      is_copying_in_ = false;
      say('C', wire::text("COPY 1"));
      if (!copy_is_extended_) ready();
    } else if (type == 'f') {
      is_copying_in_ = false;
      fail("57014", "COPY from stdin failed: " + body.substr(0, body.size() - 1));
      if (copy_is_extended_) is_skipping_ = true; else ready();
    }
    return;  // CopyData, Flush and Sync say nothing here.
  }
  if (is_skipping_ && type != 'S' && type != 'X') return;
  switch (type) {
    case 'Q': return simple(body.substr(0, body.size() - 1));
    case 'P': return parse(body);
    case 'B': return bind(body);
    case 'D': return describe(body);
    case 'E': return execute(body);
    case 'C':
      if (body[0] == 'S') statements_.erase(body.substr(1, body.size() - 2)); else portals_.erase(body.substr(1, body.size() - 2));
      return say('3', "");
    case 'H': case 'c': case 'd': case 'f': return;
    case 'S':
      is_skipping_ = false;
      if (state_ == 'I') portals_.clear();
      return ready();
    case 'X': is_over_ = true; return;
    default:
      fail("08P01", "invalid frontend message type");
      is_over_ = true;
  }
}

bool is_denied(std::string_view sql) {
  constexpr std::string_view kGuarded = " from guarded where id = ";
  for (std::size_t at = sql.find(kGuarded); at != std::string_view::npos; at = sql.find(kGuarded, at + 1)) {
    std::size_t end = at + kGuarded.size();
    while (end < sql.size() && sql[end] >= '0' && sql[end] <= '9') ++end;
    if ((sql[end - 1] - '0') % 2 == 1) return true;
  }
  return false;
}

void PostgresTarget::ready() { say('Z', std::string(1, state_)); }

void PostgresTarget::fail(const char* code, const std::string& text) {
  say('E', "SERROR" + std::string(1, '\0') + "VERROR" + std::string(1, '\0') + "C" + wire::text(code) + "M" + wire::text(text) + std::string(1, '\0'));
  if (state_ == 'T') state_ = 'E';
}

void PostgresTarget::simple(const std::string& sql) {
  statements_.erase("");
  portals_.erase("");
  log_(sql);
  if (forbids_ && (sql.find("forbidden") != std::string::npos || is_denied(sql))) {
    fail("42501", "forbidden");  // A gateway judges before it asks in what state the transaction is.
    return ready();
  }
  std::istringstream parts(sql);
  std::string part;
  bool any = false;
  while (std::getline(parts, part, ';')) {
    part.erase(0, part.find_first_not_of(' ') == std::string::npos ? part.size() : part.find_first_not_of(' '));
    if (part.empty()) continue;
    any = true;
    if (!run(part, true, 0, nullptr)) break;
    if (is_copying_in_) {
      copy_is_extended_ = false;
      return;
    }
  }
  if (!any) say('I', "");
  ready();
}

bool PostgresTarget::run(const std::string& sql, bool with_description, uint64_t limit, Portal* portal) {
  const std::string word = first_word(sql);
  if (state_ == 'E' && word != "commit" && word != "rollback") {
    fail("25P02", "current transaction is aborted");
    return false;
  }
  const Select select = read_select(sql);
  if (select.is_one) {
    if (with_description) {
      say('T', wire::u16(1) + wire::text(select.name) + wire::u32(select.table == "cards" ? 16'402 : 16'401) + wire::u16(2) + wire::u32(25) + wire::u16(0xffff) + wire::u32(0xffffffff) + wire::u16(0));
    }
    uint64_t given = portal != nullptr ? portal->given : 0, now = 0;
    for (; given < select.count; ++given, ++now) {
      if (limit != 0 && now == limit) {
        portal->given = given;
        say('s', "");
        return true;
      }
      const std::string value = select.column == "card" ? card(given) : "row " + std::to_string(given) + std::string(given % 97, 'x');
      say('D', wire::u16(1) + wire::u32(static_cast<uint32_t>(value.size())) + value);
    }
    say('C', wire::text("SELECT " + std::to_string(now)));
  } else if (word == "begin") {
    state_ = 'T';
    say('C', wire::text("BEGIN"));
  } else if (word == "commit" || word == "rollback") {
    say('C', wire::text(word == "commit" && state_ != 'E' ? "COMMIT" : "ROLLBACK"));
    state_ = 'I';
  } else if (sql == "copy sink from stdin") {
    is_copying_in_ = true;
    copy_is_extended_ = true;
    say('G', std::string(1, '\0') + wire::u16(1) + wire::u16(0));
  } else if (sql == "copy series to stdout") {
    say('H', std::string(1, '\0') + wire::u16(1) + wire::u16(0));
    for (int i = 0; i < 20; ++i) say('d', "line " + std::to_string(i) + "\n");
    say('c', "");
    say('C', wire::text("COPY 20"));
  } else if (word == "select" && sql.starts_with("select 1/0")) {
    fail("22012", "division by zero");
    return false;
  } else {
    fail("42601", "syntax error at or near \"" + sql.substr(0, 200) + "\"");
    return false;
  }
  return true;
}

void PostgresTarget::parse(const std::string& body) {
  std::size_t at = 0;
  const std::string name = wire::read_text(body, at), sql = wire::read_text(body, at);
  if (forbids_ && sql.find("forbidden") != std::string::npos) {
    fail("42501", "forbidden");
    is_skipping_ = true;
    return;
  }
  const bool is_known = read_select(sql).is_one || sql == "begin" || sql == "commit" || sql == "rollback" || sql.starts_with("copy ") || sql.starts_with("select 1/0");
  if (!is_known) {
    log_(sql);  // log_min_error_statement: the text of what failed to parse is in the log as well.
    fail("42601", "syntax error at or near \"" + sql.substr(0, 200) + "\"");
    is_skipping_ = true;
    return;
  }
  statements_[name] = sql;
  say('1', "");
}

void PostgresTarget::bind(const std::string& body) {
  std::size_t at = 0;
  const std::string portal = wire::read_text(body, at), statement = wire::read_text(body, at);
  const auto found = statements_.find(statement);
  if (found == statements_.end()) {
    fail("26000", "prepared statement \"" + statement + "\" does not exist");
    is_skipping_ = true;
    return;
  }
  portals_[portal] = {found->second, 0};
  say('2', "");
}

void PostgresTarget::describe(const std::string& body) {
  const std::string name = body.substr(1, body.size() - 2);
  std::string sql;
  if (body[0] == 'S') {
    const auto found = statements_.find(name);
    if (found != statements_.end()) sql = found->second;
    if (!sql.empty()) say('t', wire::u16(0));
  } else if (const auto found = portals_.find(name); found != portals_.end()) {
    sql = found->second.sql;
  }
  if (sql.empty()) {
    if (body[0] == 'S') fail("26000", "prepared statement \"" + name + "\" does not exist"); else fail("34000", "portal \"" + name + "\" does not exist");
    is_skipping_ = true;
    return;
  }
  const Select select = read_select(sql);
  if (!select.is_one) return say('n', "");
  say('T', wire::u16(1) + wire::text(select.name) + wire::u32(select.table == "cards" ? 16'402 : 16'401) + wire::u16(2) + wire::u32(25) + wire::u16(0xffff) + wire::u32(0xffffffff) + wire::u16(0));
}

void PostgresTarget::execute(const std::string& body) {
  std::size_t at = 0;
  const std::string name = wire::read_text(body, at);
  const uint32_t limit = wire::read_u32(body, at);
  const auto portal = portals_.find(name);
  if (portal == portals_.end()) {
    fail("34000", "portal \"" + name + "\" does not exist");
    is_skipping_ = true;
    return;
  }
  if (forbids_ && is_denied(portal->second.sql)) {
    fail("42501", "denied");
    is_skipping_ = true;
    return;
  }
  log_(portal->second.sql);
  if (!run(portal->second.sql, false, limit, &portal->second)) is_skipping_ = true;
}

}  // namespace weir::simulation
