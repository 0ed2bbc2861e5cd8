#include "report/criteria.h"

namespace weir::report {

const std::vector<Criterion>& soc2_criteria() {
  static const std::vector<Criterion> kCriteria = {
      {"CC6.1", "Access to systems and data is restricted: who and what is known and authenticated, points of access are managed, credentials are protected.",
       {"sessions", "identities", "logins", "refusals", "weak-identity", "coverage"},
       "That the targets listed are all that matter; that no other network path, console, backup or replica exists; that the identity provider's own sign-in is sound; that the person at the keyboard "
       "is the subject; what happened in spans that the gateway did not read (listed under exceptions)."},
      {"CC6.2", "Users, services and agents are registered and authorised before they get access; access is taken away when it is no longer due.",
       {"bindings", "revocations", "access", "identities", "changes"},
       "That joiners and leavers reached the identity provider; that its groups are right; removal of accounts at the targets themselves."},
      {"CC6.3", "Access is given, changed and taken away by role, with least privilege and separate duties, and is reviewed.",
       {"grants", "access", "reviews", "approvals", "changes", "impersonation"},
       "That business need was judged well; that two accounts are two people; conflicts of duty outside the gateway."},
      {"CC6.6", "Threats from outside the boundary are kept out: channels are restricted, devices at the boundary are watched.",
       {"coverage", "gaps", "impersonation", "refusals"},
       "That traffic which is never routed through this host does not exist; attacks inside permitted commands; attacks by volume; physical access."},
      {"CC6.7", "Movement and removal of information is restricted to those authorised, and protected on the way.",
       {"sessions", "plaintext", "masking", "views", "retention", "expired", "holds"},
       "Data inside what was not read; inference through permitted queries; what a client does with what it lawfully got; encryption beyond the target's socket."},
      {"CC6.8", "Unauthorised or harmful software is prevented, or found and acted on.",
       {"runs", "refusals"},
       "Integrity of a host whose root is hostile; harmful software on clients or targets. Mostly outside a gateway."},
      {"CC7.2", "Components are monitored for anomalies that may be attacks, disasters or errors, and these are analysed.",
       {"alerts", "dispositions", "findings", "coverage", "gaps", "exceptions"},
       "That somebody looked; that the rules cover the threats; events outside the gateway."},
      {"CC7.3", "Events are evaluated: is it an incident, was data touched?",
       {"alerts", "dispositions", "approvals", "views"},
       "Quality of judgement; the effect of data that is already out; content where only heads or digests of answers were kept."},
      {"CC7.4", "Incidents are answered: contained, removed, told, learned from.",
       {"revocations", "bindings", "holds", "changes", "exceptions"},
       "Communication, root cause and recovery; a statement that the target had finished before its session was cut."},
      {"CC8.1", "Changes are authorised, tested, approved and tracked, emergencies too.",
       {"changes", "runs", "approvals"},
       "Changes made at the target by another path; that a ticket says the same as the change; a root user who edits files between two looks is found by digest, but not who it was."},
  };
  return kCriteria;
}

const std::vector<std::string_view>& complementary_controls() {
  static const std::vector<std::string_view> kControls = {
      "The identity provider: sign-in, multi-factor, joiners and leavers, groups.",
      "Routing: the gateway is the only network path to its targets; backups, replicas and consoles are guarded otherwise.",
      "The signing key's custody, and checkpoints of the evidence log kept where the gateway's operator cannot change them.",
      "The gateway's host: its administrators, its updates, its clock.",
      "Review of alerts, of held commands and of this report.",
      "Local accounts at the targets, and their passwords.",
  };
  return kControls;
}

}  // namespace weir::report
