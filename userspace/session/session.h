// Joins the stages for one flow.  A session is a state machine over completions: it parses, has units judged, puts them on
// the record, waits until the record is durable, settles them, and sends.  It never blocks and never suspends a stack.
//
//   completion -> receive -> [TLS] -> StreamBuffer -> codec.parse -> policy.decide -> recorder.write -> (durable?)
//              -> codec.settle -> OutQueue -> [TLS] -> send
//
// In one direction no new bytes are parsed while a unit of the last parse waits: order is kept by doing one batch at a time.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/arena.h"
#include "core/credential.h"
#include "core/event.h"
#include "core/io.h"
#include "core/policy.h"
#include "core/ticket.h"
#include "forward/stream_buffer.h"
#include "forward/window.h"
#include "session/leg.h"
#include "session/request_ids.h"
#include "session/response_head.h"
#include "session/services.h"

namespace weir::session {

enum class EndReason : uint8_t {
  kNone, kClientClosed, kTargetClosed, kClientReset, kTargetReset, kRefused, kUnbound, kTargetUnreachable, kConnectTimeout,
  kHandshakeTimeout, kIdleTimeout, kDrained, kCut, kViolation, kTlsFault, kTerminated, kRecordFailed, kCapacity, kSystemFailed,
};
std::string_view name_of(EndReason reason);

// A unit that passed and whose run will be held: what that run will be made of.
struct Prepared {
  uint64_t unit = 0;
  CommandDigest digest{};
  std::string parameters;
};
// The command that waits for a reviewer.
struct Hold {
  std::vector<std::string> wanted;   // Approvals, one ticket after the other.
  std::size_t given = 0;             // Of them, from the front.
  uint64_t ticket = 0;               // Open, or the last one.
  std::chrono::nanoseconds told_at{};
  bool is_told = false, is_cancelled = false;
  [[nodiscard]] bool is_released() const { return given == wanted.size(); }
};

class Session final : public SideFacts {
 public:
  // `slot` and `generation` go into every token.  Pre: services outlive the session.
  Session(Services& services, uint32_t slot, uint16_t generation, uint8_t owner);
  ~Session() override;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Takes the accepted socket.  Post: live, or closing with its reason recorded.
  void start(int client_socket);
  void on_completion(Completion& completion);
  // The recorder's durable_upto() moved, a facts answer came, buffers are back, or a new runtime is in force.
  void wake();
  // Provided buffers are back.
  void feed();
  // Once in a while: deadlines.
  void on_tick();
  // At once, in both directions; the statement that runs is cancelled at the target.
  void cut(std::string_view why);
  // Ends at the next moment at which the client loses nothing, at the latest when the drain timeout is over.
  void drain();

  [[nodiscard]] uint64_t id() const { return id_; }
  [[nodiscard]] const IdentityPtr& identity() const { return facts_.identity; }
  [[nodiscard]] bool is_finished() const { return state_ == State::kDone && operations_ == 0; }
  // Group that must be durable before this session can go on; 0: it waits for none.
  [[nodiscard]] uint64_t waits_for_group() const { return streams_[0].waits_for_group; }
  // The journal's memory is nearly full: no new commands until it has drained.
  [[nodiscard]] bool is_held_back() const { return is_held_back_; }
  [[nodiscard]] bool is_starved() const { return legs_[0].is_starved || legs_[1].is_starved; }
  [[nodiscard]] EndReason end_reason() const { return end_; }
  // One line for who looks for a session that does not end.
  [[nodiscard]] std::string describe() const;

  bool is_tls(Side side) const override { return legs_[index_of(side)].tls != nullptr; }
  [[nodiscard]] ClientProof client_proof() const override;
  Bytes peer_certificate_hash(Side side) const override;

 private:
  friend class SessionOutbox;
  // How far the session's own proof of identity is.  kByAddress: none is asked for.
  enum class Proof : uint8_t { kByAddress, kAwaited, kAsked /* the desk */, kAccepted, kRefused };
  enum class State : uint8_t { kIdle, kDialling, kLive, kClosing /* what is queued goes out */, kDone /* operations end */ };
  struct Stream {  // One direction's plaintext.
    explicit Stream(forward::BlockPool& blocks) : buffer(blocks) {}
    forward::StreamBuffer buffer;
    forward::Window window;
    std::vector<Unit> units;          // Of the last parse; settled up to `next`.
    std::vector<Verdict> verdicts;
    uint32_t next = 0;
    uint32_t judged = 0;              // Units with a final verdict, from the front.
    uint32_t recorded = 0;
    uint64_t waits_for_group = 0;
    uint32_t need = 0;                // Bytes from parsed() that the codec asked for.
    uint64_t seen = 0;                // Where the bytes of the last parse ended.
    bool is_fenced = false;
    bool is_upgrading = false;        // The unconsumed rest belongs to TLS: there must be none.
    Side upgrading{};
    bool is_eof = false;              // No more bytes will come.
    bool is_finished = false;         // codec.finish() was called.
    bool is_half_closed = false;      // The sink side was told.
    ByteAccount account;
  };
  class Sink;

  // session.cc: life
  void open(int client_socket);
  void refuse(EndReason reason, std::string_view code, std::string_view text);
  void refuse_admission(accept::Admission::Answer answer);
  void dial();
  void cancel_dial();
  void on_connected(int32_t result);
  void close(EndReason reason, bool reset);
  void finish_close();
  bool close_legs();
  void check_end();
  void identify_flow();
  void cancel_at_target();
  // session_legs.cc: bytes in and out
  void arm_receive(Side side);
  void on_received(Side side, Completion& completion);
  void on_end_of_stream(Side side);
  void on_sent(Side side, int32_t result);
  void flush(Side side);
  void tell_ready(Side side);
  void encrypt(Side side);
  void start_tls(Side side);
  void update_receives();
  void half_close(Direction direction);
  bool shut(Side side);
  void take_account();
  [[nodiscard]] OpToken token(OpKind kind, Side side) const;
  // session_step.cc: parse, judge, settle
  void step();
  bool advance(Direction direction);
  bool parse(Direction direction);
  bool judge(Direction direction);
  void name_requests();
  bool settle(Direction direction);
  void on_settled(Direction direction, const Unit& unit, const Verdict& verdict, Fate fate, uint64_t out_size);
  void on_violation(const char* why);
  void follow_runtime();
  [[nodiscard]] Stream& stream(Direction d) { return streams_[index_of(d)]; }
  [[nodiscard]] Leg& leg(Side side) { return legs_[index_of(side)]; }
  void session_rules(Stream& stream, const Unit& unit, Verdict& verdict);
  // session_proof.cc: who it is, where that is proven on the wire
  bool await_proof();
  void take_certificate();
  [[nodiscard]] bool needs_proof() const { return proof_ == Proof::kAwaited || proof_ == Proof::kAsked; }
  void settle_proof();
  void begin_proof();
  void end_secret(uint64_t end);
  void accept_floor();
  void accept_proof(IdentityPtr identity);
  void refuse_proof(CredentialResult result, std::string text);
  void rule_on_login(Verdict& verdict) const;
  void note_late_proof();
  void end_of_proof();
  void record_wire_refusal(CredentialResult result, std::string_view text);
  void alert_foreign_login(const Unit& unit, const Verdict& verdict);
  // session_hold.cc: what waits for a reviewer
  void keep_prepared(const Unit& unit, const Verdict& verdict, Bytes wire);
  CommandDigest digest_of_command(const Unit& unit, Bytes wire, const Prepared*& prepared, const char*& why) const;
  bool open_ticket(const Unit& unit, Verdict& verdict);
  void tell_held(std::string_view text);
  bool refuse_held(Verdict& verdict, std::string_view why);
  bool resolve_hold(const Unit& unit, Verdict& verdict);
  bool refuse_answered(const Unit& unit, Verdict& verdict, TicketAnswer::State state, std::string_view text);
  std::optional<TicketAnswer> withdraw_hold();
  bool release_held(const Unit& unit, Verdict& verdict);
  void drop_hold();
  [[nodiscard]] std::chrono::sys_seconds wall_seconds() const { return std::chrono::floor<std::chrono::seconds>(services_.io.wall()); }
  // session_record.cc: events
  bool record_about(RecordEvent::Kind kind, std::string_view verb, const nlohmann::json& about);
  bool record_opened();
  bool record_identified();
  bool record_unit(Direction direction, uint32_t index);
  bool record_reply_end(const Unit& unit);
  void record_fate(const Unit& unit, Fate fate);
  void record_note(std::string_view text);
  bool record_waited(std::string_view text);
  void record_alert(const UnitRef& unit, Verdict::Action action, std::string_view rule, std::string_view reason, std::string_view text, bool observed);
  void record_alerts(const Unit& unit, const Verdict& verdict);
  void record_impersonation(const UnitRef& unit, Impersonation kind, Verdict::Action action, bool observed, std::string_view reason);
  [[nodiscard]] CoreNotice notice_of(const UnitRef& unit, std::string_view verb) const;
  void tell_notices(const Unit& unit, const Verdict& verdict, Bytes statement);
  void tell_alert(const UnitRef& unit, std::string_view verb, std::string_view rule);
  bool record_command(const Unit& unit, const Verdict& verdict, Bytes wire, uint64_t& group);
  void record_stand_in(const Unit& unit, std::string_view text);
  void record_closed();
  bool write(RecordEvent& event, uint64_t& group);
  bool write(RecordEvent& event);
  Bytes parameters(DecideContext& context, const Unit& unit, Bytes wire);

  void follow_catalogue();
  DecideContext decide_context(Direction direction);

  Services& services_;
  const uint32_t slot_;
  const uint16_t generation_;
  const uint8_t owner_;
  State state_ = State::kIdle;
  EndReason end_ = EndReason::kNone;
  bool end_with_reset_ = false, is_entered_ = false, is_cut_ = false, is_draining_ = false, login_recorded_ = false, in_step_ = false,
       close_recorded_ = false, is_terminating_ = false, is_key_published_ = false, is_dialling_ = false,
       is_dial_cancelled_ = false, is_held_back_ = false, is_ending_ = false;
  uint64_t id_ = 0, sequence_ = 0;
  RuntimePtr opened_with_;             // Target, keys, TLS: for life.
  RuntimePtr judged_by_;               // Policy: follows services_.runtime.
  const TargetRuntime* target_ = nullptr;
  FlowKey flow_;
  SessionFacts facts_;
  std::unique_ptr<PolicySession> policy_;
  std::shared_ptr<const Catalogue> catalogue_;
  uint64_t catalogue_version_ = 0;
  Arena arena_;                        // Decoded text of unsettled units; attached to block_ while there are any.
  forward::Block arena_block_;
  std::unique_ptr<CodecEnvironment> environment_;
  CodecPtr codec_;
  std::array<Leg, 2> legs_;
  std::array<Stream, 2> streams_;
  uint32_t operations_ = 0;            // Under way in Io: the slot is not reused before they end.
  Proof proof_ = Proof::kByAddress;
  bool has_certificate_ = false;
  IdentityPtr floor_;                  // admit: either: what the address is bound to.
  std::string proof_text_;             // kRefused: for the client.
  std::chrono::sys_seconds proof_ends_{};  // kAccepted: the session's end; epoch: none of its own.
  std::chrono::nanoseconds dialled_at_{}, opened_at_{}, last_activity_{}, refused_at_{}, closing_until_{}, drain_until_{};
  ResponseHead head_;                  // Of the reply that is being passed on.
  uint64_t reply_rows_ = 0, reply_bytes_ = 0, reply_masked_ = 0;
  Verdict::Action reply_action_ = Verdict::Action::kAllow;   // The strictest over its units.
  std::string_view reply_rule_;                              // Memory of reply_by_'s policy: a reload may come before the reply's end.
  RuntimePtr reply_by_;
  accept::AdmissionPass admission_;
  std::optional<Hold> hold_;
  RuntimePtr held_by_;                 // Its snapshot, when a release was judged by a newer one: until all units are settled.
  std::vector<Prepared> prepared_;
  RequestIds requests_;
  std::string parameters_;             // JSON of the command that is being recorded; keeps its room.
};

}  // namespace weir::session
