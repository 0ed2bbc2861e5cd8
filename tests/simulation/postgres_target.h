// A PostgreSQL server as far as the simulation needs one: startup with a clear-text password, simple and extended queries,
// transactions, COPY, errors that skip to Sync.  Written from the protocol's documentation, apart from the gateway's codec,
// so that the two do not share a misunderstanding.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "simulation/net.h"

namespace weir::simulation {

// One backend.  Statements that it knows:
//   select n as NAME from series (or guarded) where id = N   N rows           select card as NAME from cards where id = N   N card numbers
//   begin | commit | rollback                                    select 1/0 as NAME                            fails
//   copy sink from stdin | copy series to stdout
// Everything else fails with 42601.  With `forbids`, a text that says "forbidden" fails with 42501 when it is parsed: what
// a client should see of a gateway that blocks it, and one that is_denied() fails when it is to run.
// Reads of `guarded` are held, and reviewers deny those of odd ids.
bool is_denied(std::string_view sql);

class PostgresTarget : public std::enable_shared_from_this<PostgresTarget> {
 public:
  using Log = std::function<void(const std::string& statement)>;   // As log_statement = all: before it runs.

  PostgresTarget(World& world, Net& net, const Faults& faults, SocketPtr socket, Log log, bool forbids = false, bool is_trusting = false);
  void start();
  [[nodiscard]] const std::string& sent() const { return sent_; }
  [[nodiscard]] const std::string& password_seen() const { return password_seen_; }
  [[nodiscard]] bool has_seen_token() const { return has_seen_token_; }

  static std::string card(uint64_t row);     // 16 digits that pass Luhn.

 private:
  struct Portal { std::string sql; uint64_t given = 0; };
  void on_change();
  bool take_startup();
  bool take_message();
  void handle(char type, const std::string& body);
  void let_in();
  void simple(const std::string& sql);
  void parse(const std::string& body);
  void bind(const std::string& body);
  void describe(const std::string& body);
  void execute(const std::string& body);
  // False: it failed, and the error was said.
  bool run(const std::string& sql, bool with_description, uint64_t limit, Portal* portal);
  void fail(const char* code, const std::string& text);
  void ready();
  void say(char type, const std::string& body);
  void flush();

  World& world_;
  Net& net_;
  const Faults& faults_;
  SocketPtr socket_;
  Log log_;
  const bool forbids_, is_trusting_;   // is_trusting: it asks for no password (the gateway's own login).
  std::string in_, out_, sent_, password_seen_;
  bool has_seen_token_ = false;
  bool is_started_ = false, is_in_ = false, is_skipping_ = false, is_over_ = false, is_busy_ = false;
  bool is_copying_in_ = false, copy_is_extended_ = false;
  char state_ = 'I';
  std::map<std::string, std::string> statements_;
  std::map<std::string, Portal> portals_;
};

}  // namespace weir::simulation
