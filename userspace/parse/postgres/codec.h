// The PostgreSQL codec: one session's two directions.  See README.md for the states and for how a refusal is carried out.
//   codec.cc            entry points, framing helpers, memory
//   codec_login.cc      startup packets, relayed authentication   codec_inject.cc  our own
//   codec_to_target.cc  commands to units          codec_settle.cc  verdicts to edits
//   codec_to_client.cc  replies to units           codec_refuse.cc  refusals in the protocol's words
//   codec_fields.cc     fields of units            codec_edits.cc   masks carried out on the wire
//   codec_names.cc      what statement and portal names mean
// Must never: pass a byte that parse() did not put into a unit, or keep a password or a key beyond its use.
#pragma once
#include <array>
#include <string>

#include "core/limits.h"
#include "core/module.h"
#include "parse/postgres/auth.h"
#include "parse/postgres/codec_ring.h"
#include "parse/postgres/codec_startup.h"
#include "parse/postgres/column_tables.h"
#include "parse/postgres/copy_rows.h"
#include "parse/postgres/error_fields.h"
#include "parse/postgres/render.h"
#include "parse/postgres/reply_queue.h"
#include "parse/postgres/statements.h"

namespace weir::postgres {

// One parse() call: what is there, how far it got.
struct ParseCall {
  Direction direction;
  uint64_t at;
  Bytes bytes;
  UnitSink& sink;
  uint32_t consumed = 0;
  [[nodiscard]] Bytes rest() const { return bytes.subspan(consumed); }
  [[nodiscard]] Step need(std::size_t more) const { return {Outcome::kNeedBytes, consumed, static_cast<uint32_t>(more == 0 ? 1 : more)}; }
  [[nodiscard]] Step stop(Outcome outcome) const { return {outcome, consumed, 1}; }
};

class PostgresCodec final : public Codec {
 public:
  explicit PostgresCodec(CodecEnvironment&);
  ~PostgresCodec() override;

  Step parse(uint32_t stream, Direction, uint64_t at, Bytes, UnitSink&) override;
  Step finish(uint32_t stream, Direction, uint64_t at, Bytes left, UnitSink&) override;

  Field field(const Unit&, Bytes wire, uint32_t index) const override;
  void fields(const Unit&, Bytes wire, FieldVisitor&) const override;
  std::span<const Column> columns(const Unit&) const override;
  Bytes statement(uint64_t id) const override { return statements_.text(id); }
  Meanings reply_meanings(const Unit&) const override;
  LoginFacts login() const override;
  GrammarFacts grammar() const override;
  ResultFacts result(const Unit&) const override;

  Settlement settle(const Unit&, Bytes wire, const Verdict&, Outbox&) override;
  void signal(const Signal&, Outbox&) override;
  [[nodiscard]] bool resume(Direction) override;
  [[nodiscard]] bool wants_close() const override { return wants_close_; }
  [[nodiscard]] bool is_idle() const override;
  [[nodiscard]] std::string_view stand_in() const override { return stand_in_; }
  [[nodiscard]] Bytes credential() const override { return as_bytes(credential_); }
  [[nodiscard]] bool is_login_password() const override;
  uint32_t cancel_request(MutableBytes out) const override;
  Bytes cancel_key() const override { return cancel_key_; }

 private:
  // Where the client's stream stands, as parsed.
  enum class ClientPhase : uint8_t {
    kStartup,   // The first packet, or the next one after an 'N'.
    kHello,     // 'S' was or will be said: only a TLS layer may bring bytes, after kSideReady.
    kWaiting,   // Logged in or authenticating: the client may say nothing before the target (or we) asked.
    kAnswer,    // The next message answers an authentication request.
    kCommands,
    kNothing,   // After a CancelRequest.
  };
  enum class TargetPhase : uint8_t {
    kAbsent,    // Not connected.
    kAsked,     // Our SSLRequest is out: one byte comes back.
    kHello,     // 'S' came: TLS is being set up.
    kSilent,    // Connected; it has no reason to speak before a login was passed.
    kLogin,     // Authentication, settings, until the first ReadyForQuery.
    kReplies,
  };
  // One to_target unit between parse() and settle().
  struct Sent {
    uint64_t unit = 0;
    char type = 0;
    char object = 0;             // Describe, Close: 'S' or 'P'.
    Traits traits = 0;
    bool is_fence = false;
    uint64_t statement = 0;      // Query, Parse.
    Meanings meanings{};
    PortalMeaning portal{};
    std::string name;            // Statement (Parse, Describe, Close) or portal (Bind, Execute, Describe, Close).
  };
  // One to_client unit between parse() and settle().
  struct Received {
    uint64_t unit = 0;
    char type = 0;
    char status = 0;             // ReadyForQuery.
    bool is_stand_in = false;    // The answer to our stand-in.
    bool is_extended_error = false;
    bool is_part = false;        // Of a DataRow.
    bool ends_entry = false;     // The queue's entry for in_reply_to is answered.
    uint32_t columns = 0;
    CopyShape copy{};
    CellState cells{};           // Parts of a row: where the part starts in it.
    Meanings meanings{};
    uint64_t rows = 0;
    std::string_view tag;        // Session arena, or last_tag_.
    std::array<char, 5> sqlstate{};
  };
  // The extended-protocol segment that the client is in, as settled.
  struct Segment {
    bool is_contacted = false;   // Something of it, or a stand-in for it, reached the target.
    bool has_executed = false;
    bool has_failed = false;     // The target answered with an error and skips to Sync.
    bool is_refused = false;     // We refused a unit: the rest is dropped up to Sync.
    bool needs_flush = false;    // Passed messages whose answers the target may hold back.
  };
  // The message that is being given in parts, per direction.
  struct Parts {
    uint32_t left = 0;           // Bytes of the message still to come; 0: none.
    bool is_first = false;
    char type = 0;
    UnitKind kind = UnitKind::kOpaque;
    std::string_view verb;
    CellState cells{};
  };
  // What happens to the rest of a message in parts.  kFill: a part went out already, so the rest keeps its size and loses its content.
  enum class PartFate : uint8_t { kPass, kDrop, kFill };

  // codec.cc
  Unit make_unit(const ParseCall&, Direction, UnitKind, std::string_view verb, std::size_t size) const;
  bool add(ParseCall&, const Unit&);
  Step malformed(ParseCall&, const char* why, std::string_view code);
  // Post: true and `size` of the whole message if its header is there and its length is in bounds; else `step` is set.
  bool frame(ParseCall&, char& type, uint32_t& size, Step& step);
  void begin_parts(Direction, char type, uint32_t size, UnitKind, std::string_view verb);
  Step parse_parts(ParseCall&, Direction);
  uint64_t keep_statement(Bytes text, Traits traits);
  void make_room();
  const Received* received(const Unit&) const;

  // codec_login.cc
  Step parse_startup(ParseCall&);
  Step parse_startup_message(ParseCall&, uint32_t size, Bytes packet);
  Step parse_auth_answer(ParseCall&);
  Step parse_token(ParseCall&, uint32_t size);
  Step parse_target_login(ParseCall&);
  Step parse_target_answer(ParseCall&);
  const char* check_login_message(char type, Bytes body) const;
  Settlement settle_login(const Unit&, Bytes wire, const Sent&, const Verdict&, Outbox&);
  Settlement settle_login_unit(const Unit&, Outbox&);
  Fate settle_target_login(const Unit&, Bytes wire, const Received&, const Verdict&, Outbox&);
  Fate settle_auth_request(const Unit&, Bytes wire, Outbox&);
  Fate relay_sasl_request(const Unit&, Bytes list, Outbox&);
  void read_parameter_status(Bytes body);

  // codec_inject.cc
  void begin_client_auth(Outbox&);
  void ask_for_token(Outbox&);
  Settlement settle_proven_login(const Unit&, Outbox&);
  void find_secret();
  void answer_client_auth(Bytes wire, Outbox&);
  void begin_target_login(Outbox&);
  Fate answer_target_auth(const Unit&, Bytes body, Outbox&);

  // codec_to_target.cc
  Step parse_commands(ParseCall&);
  Step parse_command(ParseCall&, char type, uint32_t size);
  void begin_sent(char type);
  Step emit_command(ParseCall&, Unit&);
  Step parse_oversize(ParseCall&, char type, uint32_t size);
  Step parse_query(ParseCall&, uint32_t size, Bytes body);
  Step parse_parse(ParseCall&, uint32_t size, Bytes body);
  Step parse_bind(ParseCall&, uint32_t size, Bytes body);
  Step parse_execute(ParseCall&, uint32_t size, Bytes body);
  Step parse_describe_or_close(ParseCall&, char type, uint32_t size, Bytes body);
  Step parse_function_call(ParseCall&, uint32_t size, Bytes body);
  Step parse_bare(ParseCall&, char type, uint32_t size, Bytes body);
  Step parse_copy_in(ParseCall&, uint32_t size);
  bool is_fenced(char type) const;
  void raise_fence(uint64_t unit, bool is_query);

  // codec_names.cc
  bool statement_meanings(std::string_view name, Meanings&);   // False: wait for answers.
  bool portal_meanings(std::string_view name, PortalMeaning&);
  void confirm(Expected&);
  void drop_names(const Expected&);
  void drop_names(const Sent&);
  void learn_from_completion(const Expected&, std::string_view tag);
  uint32_t reply_columns(const Expected&);
  void describe(const Expected&, uint32_t columns);

  // codec_to_client.cc
  Step parse_replies(ParseCall&);
  Step parse_reply(ParseCall&, char type, uint32_t size);
  Step parse_rows(ParseCall&, char type, uint32_t size);
  Step parse_row_part(ParseCall&);
  Step emit_reply(ParseCall&, Unit&, Received&);
  Step parse_error(ParseCall&, uint32_t size, Bytes body);
  Step parse_row_description(ParseCall&, uint32_t size, Bytes body);
  Step parse_copy_response(ParseCall&, char type, uint32_t size, Bytes body);
  Step parse_completion(ParseCall&, char type, uint32_t size, Bytes body);
  Step parse_ready(ParseCall&, uint32_t size, Bytes body);
  Step parse_async(ParseCall&, char type, uint32_t size, Bytes body);

  // codec_settle.cc
  Settlement settle_to_target(const Unit&, Bytes wire, const Verdict&, Outbox&);
  Settlement settle_to_client(const Unit&, Bytes wire, const Verdict&, Outbox&);
  Settlement settle_command(const Unit&, Bytes wire, const Sent&, const Verdict&, Outbox&);
  Settlement settle_command_part(const Unit&, Bytes wire, const Sent&, const Verdict&, Outbox&);
  Settlement settle_sync(const Unit&, Outbox&);
  Settlement settle_copy_in(const Unit&, Bytes wire, const Sent&, const Verdict&, Outbox&);
  Settlement skip(const Unit&, const Sent&, Outbox&);
  void pass_command(const Unit&, const Sent&, Outbox&);
  void expect(const Unit&, const Sent&);
  Fate settle_reply(const Unit&, Bytes wire, const Received&, const Verdict&, Outbox&);
  Fate settle_reply_part(const Unit&, Bytes wire, const Received&, const Verdict&, Outbox&);
  void follow_reply(const Unit&, const Received&, Outbox&);
  void follow_error(const Received&);
  // Passes or masks.  False: the edits do not fit the unit, and nothing of it was settled.
  bool carry_out(const Unit&, Bytes wire, const Verdict&, Outbox&, Fate&);
  void fill(const Unit&, Bytes wire, Outbox&);
  void lower_fence(uint64_t unit);
  void pop_entry(const Expected&);

  // codec_refuse.cc
  Settlement refuse(const Unit&, const Sent&, const Verdict&, Outbox&);
  void refuse_query(const Unit&, Outbox&);
  void refuse_in_segment(const Unit&, Outbox&);
  void refuse_copy(const Verdict&, Outbox&);
  void refuse_reply(const Unit&, const Received&, const Verdict&, Outbox&);
  bool has_all_answers(Outbox&);
  void write_refusal(const Unit&, const Verdict&);
  void send_stand_in(const Unit&, bool with_sync, Outbox&);
  std::string_view next_stand_in_name();
  void note_stand_in(std::string_view words);
  void say(Outbox&, Bytes);           // To the client, once no message is half-way.
  void refuse_session(const Signal&, std::string_view code, Outbox&);
  void speak_refusal(Outbox&);
  void fail_session(Outbox&, std::string_view code, std::string_view message, std::string_view rule = {});

  // codec_edits.cc
  struct Replacement {
    enum class Kind : uint8_t { kNothing, kBytes, kWord };
    ByteRange where;
    Bytes with;
    uint32_t word = 0;  // kWord: a length, in network order.
    Kind kind = Kind::kNothing;
  };
  class EditPlan;
  bool apply_edits(const Unit&, Bytes wire, std::span<const FieldEdit>, Outbox&);  // False: they do not fit the unit.

  Arena& arena_;
  const TargetFacts& target_;
  const SideFacts& sides_;
  RandomSource& random_;
  const Limits& limits_;

  std::array<uint64_t, 2> next_unit_{1, 1};
  std::array<Parts, 2> parts_{};
  std::array<PartFate, 2> part_fate_{};
  Ring<Sent> sent_;
  Ring<Received> received_;
  Sent scratch_sent_;

  ClientPhase client_phase_ = ClientPhase::kStartup;
  TargetPhase target_phase_ = TargetPhase::kAbsent;
  bool has_answered_ssl_ = false;
  bool has_answered_gss_ = false;
  Startup startup_;
  std::string target_login_;
  const LoginSecret* secret_ = nullptr;
  ClientAuth client_auth_;
  TargetAuth target_auth_;
  uint64_t login_unit_ = 0;
  bool is_login_complete_ = false;
  bool is_login_accepted_ = false;  // As parsed: AuthenticationOk was seen.
  bool client_is_proven_ = false;   // Inject: the client has shown its password, or proven itself in another way.
  std::string credential_;          // The token or password of the kLogin unit that is being judged.

  bool standard_conforming_strings_ = true;
  bool encoding_is_safe_ = true;
  uint64_t grammar_unsure_since_ = 0;  // Execute unit of a SET that the target reports only at its next ReadyForQuery.

  StatementStore statements_;
  ColumnTables tables_;
  NameTable<uint64_t> names_;
  NameTable<PortalMeaning> portals_;
  ReplyQueue queue_;
  uint64_t segment_number_ = 1;     // As parsed.
  Segment segment_{};               // As settled.
  char status_ = 'I';               // Of the last settled ReadyForQuery.

  // The fence of to_target.
  uint64_t fence_unit_ = 0;         // 0: down.
  bool fence_is_query_ = false;
  bool fence_names_ = false;        // A name with three or more meanings: wait until all is answered.
  bool copy_in_open_ = false;       // The target reads COPY data (settled).
  bool copy_in_closed_ = false;     // As parsed: its CopyDone or CopyFail was seen.
  bool copy_in_has_data_ = false;   // Some of it was passed.
  bool copy_in_refused_ = false;    // We ended it: the rest of the client's data is dropped.

  // to_client, as parsed.
  bool target_skips_ = false;       // After an error in an extended segment, until ReadyForQuery.
  uint32_t result_columns_ = 0;
  bool has_result_columns_ = false; // Of the result that is being read.
  CopyShape copy_out_{};
  bool is_copy_out_ = false;
  uint64_t result_rows_ = 0;
  uint64_t reply_rows_ = 0;
  bool reply_has_failed_ = false;   // Of a Query: an error came.
  std::string last_tag_;

  // Our own words.
  MessageWriter scratch_;           // Being built.
  MessageWriter refusal_;           // The error that answers the refused unit, until its stand-in's answer comes.
  MessageWriter deferred_;          // For the client, once the message under way is whole.
  std::vector<Replacement> replacements_;
  std::string_view refusal_code_;   // For the next refusal; empty: the verdict's own.
  bool client_is_mid_message_ = false;  // A part went out, its end did not.
  bool is_swallowing_ = false;      // A reply was refused: the client sees nothing more up to ReadyForQuery.
  std::string stand_in_;            // Words for the record.
  std::string nonce_;               // This session's: an error that names it is the answer to a stand-in.
  uint32_t stand_in_count_ = 0;
  std::string stand_in_name_;       // Of the stand-in whose answer is outstanding; empty: none.
  uint64_t refused_statement_ = 0;  // Of a Parse that was refused in this segment.
  bool was_done_ = true;            // The last settle().
  uint64_t cancelled_unit_ = 0;
  std::string pending_refusal_;     // Waits until the client can be told.
  std::string pending_code_;
  std::string_view violation_code_;
  bool violation_is_client_ = false;
  std::array<bool, 2> is_broken_{};  // By Direction: malformed once, never read again.
  bool has_pending_refusal_ = false;
  bool client_hears_ = true;        // False: it speaks TLS at us.
  bool can_speak_ = false;          // The client has named its protocol: an error of ours can be understood.
  bool wants_close_ = false;
  bool is_closed_ = false;          // We ended it: what is still settled is dropped.
  std::vector<std::byte> cancel_key_;
};

}  // namespace weir::postgres
