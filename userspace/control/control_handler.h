// What the engine answers on its control socket and to its API: the same questions, the same answers.  Implemented by session/.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::control {

// Who asks.  On the socket, as the kernel says: SO_PEERCRED, and the audit login uid, which su and sudo do not change.
// Over the API: whose token it was, and the role that the request needed.
struct ControlPeer {
  static constexpr uint32_t kNoLogin = 0xffff'ffff;
  uint32_t uid = 0;
  uint32_t login_uid = kNoLogin;
  int32_t pid = 0;
  std::string subject{}, issuer{}, token_id{};  // Empty on the socket.
  std::string role{};                           // Empty: any verified token will do.
  std::string address{};                        // The other end of the connection itself.
  bool is_portal = false;                       // A browser at the portal; `subject` is who signed in, empty before that.
  std::string sink{};                           // Whose callback it is; who answers is found out by its signature.
  [[nodiscard]] bool is_api() const { return !issuer.empty(); }
  [[nodiscard]] bool is_callback() const { return !sink.empty(); }
};

// verb       arguments                                   result
// status     {}                                          {engine: {pid, version, started, config: {...}}, SECTION: {...}, ...}
//              config: {file, digest, generation, on_disk}: on_disk is "in force", or "refused: configuration on disk refused: why"
//              any other section is an object of plain values, printed as a line: sessions {open, ...}, record {...}
//              or a list of such: issuers [{name, url, from, keys, fetched, tried, fetches, failures, error}], targets [...]
// reload     {reason, set?: [KEY=VALUE..]}               {generation, digest, change}; kInvalid: every problem in the message, a line each
//              change: see config_parts.h
// bind       {address, token, reason?}                         {kind, id, subject, address, until, link, ended: [id..], text}
//              kUnavailable: the issuer's keys are being fetched, or cannot be: ask again in a second
// bound      {address}                                   {bound, id?, until?}: whether, not to whom
// revoke     {which, reason}                             {revoked: [{id, subject, address}..], cut}
// cut        {session} or {binding}, {reason}            {cut}
// bindings   {}                                          [{id, subject, address, static, assurance, issuer, until, reason, refused, link}]
// sessions   {}                                          [{id, target, subject, client, opened, commands, blocked, masked, ...}]: live ones
// profile    {}                                          [{rule, matched, decided, observed, masked}]
// rules      {}                                          [{id, then, mode, severity, ...}]: those in force
// grants     {}                                          [{name, who, targets, ...}]: those in force
// tickets    {all?: true} or {ticket}                    [{number, state, subject, ..., answers: [..]}..], or one of them
// estimate   {ticket}                                    {ticket, plan, statement, server, note}; kDenied: why there is none; kUnavailable: ask again
// approve    {ticket, reason, until?, token?}            {by, what, changed, and the ticket's own}; until: RFC 3339, a window's end
//              without a token: local:NAME of the login; kDenied: may not review it, or it is answered, expired or withdrawn
// deny       {ticket, reason, token?}                    the same
// changes    {all?: true} or {change}                    [{number, state, act, text, change, digest, reason, by, ...}..], or one of them
// change-approve, change-deny  {change, reason}          the change; approved it was carried out: result. kDenied: not by them, or changed since
// alerts     {all?: true} or {alert}                     [{number, state, event, severity, rule, subject, target, count, first, last, ...}..], or one of them
// close-alert {alert, as, reason}                        {by, and the alert's own}; as: benign or incident; kDenied: it is closed
// test-sinks {sink?}                                     [{sink, id}]: a test notice is on its way to each
// sink-tests {tests: [{sink, id}..]}                     [{sink, id, sent, error}]: what became of them by now
// callback   {body, content_type, signature,             {ticket, action, by, what, changed}; of a callback's peer alone; Error::code 401: no right signature,
//             slack_signature, slack_timestamp}            403: nobody that the sink's reviewers name
// bypass     {target, for, reason}                        {target, until}; kInvalid: no reason, longer than bypass.max, one is on
// bypass-end {target, reason}                            {target, counts, flows, packets_to_target, bytes_to_target, ...}; kNotFound: none is on
// bypasses   {}                                          [{target, left_seconds, until, by, reason, flows, packets_to_target, ...}]
// retention  {}                                          {policies: [{name, keep_s, where}..], kept, expired, held, waiting, unreadable, failures, next}
// holds      {}                                          [{id, session?, subject?, target?, from?, until?, reason, by, at, configured, what}]
// hold-add   {session?, subject?, target?, from?, to?, reason}  the hold; kCorrupt: nobody knows what is held
// hold-remove {hold, reason}                              the hold; kNotFound; kDenied: the configuration's
// retention-run {reason}                                  {expired, held, waiting, unreadable, goes_on, problem}
// view       {act, object}                               {}: somebody is about to look at that; kUnavailable: it may not be shown
// refused    {act, why?}                                 {}: somebody tried over the API what their role does not cover, or at the portal what `why` says
//
// What changes.second_person names answers {pending: N, deadline, text, ...} instead, and is carried out by change-approve.
// All but status, bound and sink-tests are acts: they go on the record with who asked, also when they fail.  What only shows something is not
// shown when the record cannot take it.
class ControlHandler {
 public:
  virtual ~ControlHandler() = default;
  // Any thread; one request at a time is carried out.  Errors: Error::kind becomes the verb's exit code.  Must not block longer
  // than a few seconds.
  virtual Result<nlohmann::json> handle(std::string_view verb, const nlohmann::json& arguments, const ControlPeer& peer) = 0;
  // Any thread.  Prometheus text; see render_metrics().
  virtual std::string metrics() = 0;
};

}  // namespace weir::control
