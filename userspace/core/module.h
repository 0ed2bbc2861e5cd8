// What a wire protocol gives the gateway.  Sans-IO: bytes and signals in, units and edits out.  No sockets, clocks,
// threads or randomness inside; what a codec needs of those comes in CodecEnvironment.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "core/unit.h"
#include "core/verdict.h"

namespace weir {

enum class Outcome : uint8_t {
  kNeedBytes,  // `need` more than what is there (a hint; at least 1).
  kUnitsFull,  // The sink said no; call again after it was drained.
  kFence,      // Parse no further in this direction until resume(): what follows depends on the peer's answer.
  kUpgrade,    // What follows `consumed` belongs to a new transport layer on `upgraded` (TLS), once its units are settled.
  kTooLarge,   // A command above command_size_max: it is given as kOpaque parts; blocked bytes are discarded as they come.
  kMalformed,  // `why`; the session ends with the protocol's own violation message (08P01) and a record.
};
struct Step {
  Outcome outcome = Outcome::kNeedBytes;
  uint32_t consumed = 0;
  uint32_t need = 1;
  Side upgraded = Side::kClient;
  const char* why = nullptr;  // Static.
};

class UnitSink {
 public:
  virtual ~UnitSink() = default;
  [[nodiscard]] virtual bool add(const Unit&) = 0;  // False: full; the unit was not taken and must not count as consumed.
};

// Edits on one output.  Every input byte of a settled unit is covered exactly once, in order, by pass, replace or drop.
class Outbox {
 public:
  virtual ~Outbox() = default;
  virtual void pass(ByteRange) = 0;            // Zero copy.
  virtual void replace(ByteRange, Bytes) = 0;  // `Bytes` are copied before it returns.
  virtual void drop(ByteRange) = 0;
  // Bytes of our own, queued behind all that was passed on to that side so far.  Copied.  Counted as injected (I11).
  virtual void inject(Side, Bytes) = 0;
};

struct Signal {
  enum class Kind : uint8_t {
    kClientConnected,    // First signal: a module may inject (none does for PostgreSQL).
    kTargetConnected,    // The target leg is up: ask for TLS on it, if the target's setting says so.
    kTargetUnreachable,  // `text` says why: tell the client in the protocol's words.
    kSideReady,          // `side`'s TLS handshake is complete.
    kRefuse,             // The session is not admitted (unbound, no capacity, shutdown, record failure): `text` is for the
                         // client.  May come before anything was parsed; the codec waits until it can speak, then says it.
    kClientCancel,
    kShutdown,           // Drain: the client is told (57P01) at the next unit boundary.
    kHoldBegan, kHoldTick, kHoldEnded,
  };
  Kind kind;
  Side side = Side::kClient;
  uint64_t unit = 0;
  uint64_t ticket = 0;
  std::string_view text;
  std::string_view code{};  // kRefuse: the protocol's own error code (PostgreSQL SQLSTATE); empty: the codec's choice.
};

struct Settlement {
  bool done = false;  // False: not now; ask again after more of the other direction was settled (replies outstanding).
  Fate fate = Fate::kPassed;
};

// What the codec learnt at login and afterwards.  Views are valid while the codec lives and until the next parse().
struct LoginFacts {
  std::string_view login;             // As the client asked.
  std::string_view database;
  std::string_view application_name;  // As the login gave it, then as the target says it is now.
  std::string_view target_login;      // As we log in at the target (inject), else `login`.
  bool is_complete = false;           // The target has accepted it.
};
// The lexical settings in force for what is parsed next in to_target (see the fence on SET).
struct GrammarFacts {
  bool standard_conforming_strings = true;
  bool encoding_is_safe = true;       // UTF8, LATINx, SQL_ASCII.
  bool search_path_is_default = true; // False: the login itself brought one (options, a startup parameter).
  bool is_settled = true;             // No transaction is open and no answer outstanding: what was done, others can see.
};
struct ResultFacts {                  // Of a kResponseEnd or command tag.
  uint64_t rows = 0;
  std::string_view tag;               // "SELECT 5", "INSERT 0 1"; masked nowhere since it carries no value.
  std::string_view sqlstate;          // Empty: no error.
};

class Codec {
 public:
  virtual ~Codec() = default;

  // Post: units tile [at, at+consumed).  After joining neighbouring kRows/kData/kOpaque of one reply they do not depend on
  // the cuts (I6).  Parsing never commits state that a verdict or an answer may undo; settle() and the answers do that.
  virtual Step parse(uint32_t stream, Direction, uint64_t at, Bytes, UnitSink&) = 0;
  // The peer closed this direction.  `left` was not consumed.
  virtual Step finish(uint32_t stream, Direction, uint64_t at, Bytes left, UnitSink&) = 0;

  // Pre: index < unit.field_count.  `wire` is the unit's bytes.
  virtual Field field(const Unit&, Bytes wire, uint32_t index) const = 0;
  // All fields of a unit in order, for callers that walk rows: one pass, no search per field.  Stops when `visit` says false.
  class FieldVisitor { public: virtual ~FieldVisitor() = default; virtual bool visit(uint32_t index, const Field&) = 0; };
  virtual void fields(const Unit&, Bytes wire, FieldVisitor&) const = 0;
  // Columns of the reply that a kRows (or row description) unit belongs to; empty: the target never described them.
  virtual std::span<const Column> columns(const Unit&) const = 0;
  // Text of a statement named in Unit::meanings; empty: unknown, hence opaque.
  virtual Bytes statement(uint64_t id) const = 0;
  // The to_target command that a to_client unit answers, as statement ids (0: none).  For masks.
  virtual std::array<uint64_t, 2> reply_meanings(const Unit&) const = 0;
  virtual LoginFacts login() const = 0;
  virtual GrammarFacts grammar() const = 0;
  virtual ResultFacts result(const Unit&) const = 0;

  // In order for each stream and direction, once a unit has its final verdict and its record is as durable as the target
  // wants.  `wire` is the unit's bytes again.  Not called again after done.
  virtual Settlement settle(const Unit&, Bytes wire, const Verdict&, Outbox&) = 0;
  virtual void signal(const Signal&, Outbox&) = 0;
  // True: the fence of that direction is down, parse again.
  [[nodiscard]] virtual bool resume(Direction) = 0;
  // The session is to end once what is queued is sent (Terminate seen, fatal error answered, violation answered).
  [[nodiscard]] virtual bool wants_close() const = 0;
  // No reply is outstanding and no transaction of ours is half-way: a drain may close here.
  [[nodiscard]] virtual bool is_idle() const = 0;

  // What the last settle() put into the target's stream on its own account, for the record; empty: nothing.
  [[nodiscard]] virtual std::string_view stand_in() const { return {}; }

  // What the kLogin unit that is being judged brings as its proof (a token, or the login's password), where the client was
  // asked for one; empty: nothing.  A secret: for who verifies it, and gone once the unit is settled.
  [[nodiscard]] virtual Bytes credential() const { return {}; }
  // credential() is the password that the login asked for has here (inject).  In time that its content does not change.
  [[nodiscard]] virtual bool is_login_password() const { return false; }

  // A message that cancels what runs, for a fresh connection to the same target.  Size 0: not possible (yet).
  virtual uint32_t cancel_request(MutableBytes out) const = 0;
  // kCancel units: the key presented.  For BackendKeyData and a kCancel unit the same bytes mean the same session.
  virtual Bytes cancel_key() const = 0;
};

struct Identification {
  enum class Answer : uint8_t { kNo, kMaybe, kYes } answer = Answer::kNo;
  uint32_t need = 0;
};
struct FlowHint {
  uint16_t target_port = 0;
  std::string_view target_name;
};

enum class LegTls : uint8_t { kNone, kOffer, kRequire };  // offer: the client may ask for it.

// Of one login that the gateway may make at a target (config `logins`).  Secrets are wiped by their owner.
struct LoginSecret {
  std::string client_login;    // What the client may ask for.
  std::string target_login;    // What we log in with.
  std::string target_password;
  std::string client_password; // What the client proves to us; same as target_password unless configured apart.
};
struct TargetFacts {
  std::string name;
  LegTls tls_to_client = LegTls::kOffer;
  bool tls_to_target = false;          // Ask for TLS on the target leg, and refuse to go on without it.
  bool inject = false;                 // `login: inject`.
  bool client_binding_is_own_pair = false;  // The client leg shows the target's own certificate: channel binding can be relayed.
  std::vector<LoginSecret> logins;
  std::vector<std::byte> client_leaf_hash;  // tls-server-end-point hash of what the client leg shows (RFC 5929), for SCRAM-PLUS that we answer.
};
class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual void fill(MutableBytes) = 0;  // Unpredictable in production, seeded in simulation.
};
// How the client of a session is to prove itself; fixed from its first login message on.
enum class ClientProof : uint8_t {
  kOwnLogin,  // As `login` says: relayed, or the login's own password.
  kToken,     // It is asked for a token, in the protocol's password message, which is then the kLogin unit.
  kDone,      // It has, by its TLS certificate: it is asked for nothing.
};
// What a codec may know of the live legs.
class SideFacts {
 public:
  virtual ~SideFacts() = default;
  virtual bool is_tls(Side) const = 0;
  virtual Bytes peer_certificate_hash(Side) const = 0;  // tls-server-end-point (RFC 5929) of the peer on that side; empty if none.
  [[nodiscard]] virtual ClientProof client_proof() const { return ClientProof::kOwnLogin; }
};
struct CodecEnvironment {
  Arena& arena;                 // Decoded text of unsettled units; the session rewinds it.
  const TargetFacts& target;
  const SideFacts& sides;
  RandomSource& random;
  const struct Limits& limits;
};
using CodecPtr = std::unique_ptr<Codec>;

struct ProtocolModule {
  std::string_view name;        // Also the folder, the rule file and the metric label.
  uint16_t usual_port;
  bool server_speaks_first;
  Identification (*identify)(const FlowHint&, Bytes from_client, Bytes from_target);
  CodecPtr (*make_codec)(CodecEnvironment&);  // Allocates once per session (counted); never afterwards but as limits name.
};

}  // namespace weir
