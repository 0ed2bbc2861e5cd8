// The names that the record, the rules and the command line use for the contracts' enumerators.
#include "core/credential.h"
#include "core/facts.h"
#include "core/identity.h"
#include "core/ticket.h"
#include "core/verdict.h"

namespace weir {

std::string_view name_of(Verdict::Action action) {
  switch (action) {
    case Verdict::Action::kBlock: return "block";
    case Verdict::Action::kTerminate: return "terminate";
    case Verdict::Action::kHold: return "hold";
    case Verdict::Action::kWait: return "wait";
    case Verdict::Action::kMask: return "mask";
    case Verdict::Action::kAllow: return "allow";
  }
  return "block";
}

std::string_view name_of(Impersonation kind) {
  switch (kind) {
    case Impersonation::kNone: return "";
    case Impersonation::kSetRole: return "set-role";
    case Impersonation::kLogin: return "login";
    case Impersonation::kAgent: return "agent";
    case Impersonation::kExpiredBinding: return "expired-binding";
    case Impersonation::kTokenReplay: return "token-replay";
  }
  return "";
}

std::string_view name_of(CredentialResult result) {
  switch (result) {
#define X(enumerator, name) case CredentialResult::enumerator: return name;
    WEIR_CREDENTIAL_RESULTS(X)
#undef X
  }
  return "none";
}

std::string_view name_of(TicketAnswer::State state) {
  switch (state) {
    case TicketAnswer::State::kOpen: return "open";
    case TicketAnswer::State::kApproved: return "approved";
    case TicketAnswer::State::kDenied: return "denied";
    case TicketAnswer::State::kExpired: return "expired";
    case TicketAnswer::State::kWithdrawn: return "withdrawn";
  }
  return "open";
}

std::string_view name_of(Fate fate) {
  switch (fate) {
    case Fate::kPassed: return "passed";
    case Fate::kEdited: return "edited";
    case Fate::kRefusedHere: return "refused here";
    case Fate::kRefusedAtTarget: return "refused at target";
    case Fate::kRefusedWithParent: return "refused with parent";
    case Fate::kSkipped: return "skipped";
    case Fate::kUnread: return "unread";
    case Fate::kAwaitingTarget: return "awaiting target";
    case Fate::kUnknown: return "unknown";
  }
  return "unknown";
}

std::string_view name_of(Shape shape) {
  switch (shape) {
#define X(enumerator, name, meaning) \
  case Shape::enumerator: return name;
    WEIR_SHAPES(X)
#undef X
    case Shape::kCount: break;
  }
  return "";
}

std::vector<std::string_view> names_of(VerbSet verbs) {
  std::vector<std::string_view> names;
  for (unsigned at = 0; at < 16; ++at) {
    const auto one = static_cast<VerbSet>(verbs & (1u << at));
    if (one != 0 && !name_of(static_cast<Verb>(one)).empty()) names.push_back(name_of(static_cast<Verb>(one)));
  }
  return names;
}

std::string_view name_of(Verb verb) {
  switch (verb) {
    case Verb::kRead: return "read";
    case Verb::kWrite: return "write";
    case Verb::kDdl: return "ddl";
    case Verb::kAdmin: return "admin";
    case Verb::kExec: return "exec";
    case Verb::kShell: return "shell";
    case Verb::kFile: return "file";
    case Verb::kForward: return "forward";
    case Verb::kImpersonate: return "impersonate";
    case Verb::kReplicate: return "replicate";
    case Verb::kSession: return "session";
  }
  return "";
}

std::string_view name_of(Assurance assurance) {
  switch (assurance) {
    case Assurance::kNone: return "none";
    case Assurance::kStatic: return "static";
    case Assurance::kNetwork: return "network";
    case Assurance::kCredential: return "credential";
    case Assurance::kWorkload: return "workload";
  }
  return "none";
}

}  // namespace weir
