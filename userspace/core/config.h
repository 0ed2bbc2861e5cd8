// The typed configuration: what control/config reads from weir.yaml and every part is built from.  Immutable once checked.
// Secrets are not in here: only the paths of their files.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/address.h"
#include "core/facts.h"
#include "core/identity.h"
#include "core/limits.h"
#include "core/link.h"
#include "core/module.h"
#include "core/notice.h"
#include "core/policy.h"

namespace weir {

struct SourcePlace { std::string file; uint32_t line = 0, column = 0; };  // Where in the files an entry stands, for messages.

struct EngineConfig {
  std::vector<uint32_t> cores;      // Empty: auto.
  std::string user = "weir";        // Empty: privileges of the user are kept.
  std::string signer_user = "weir-signer";   // Of the process that holds the keys.
  std::string signer_state;         // Its folder; empty: beside `state`, with "-signer" behind the name.
  Limits limits;
};

enum class SourceMode : uint8_t { kClient, kGateway };
enum class ClosedAnswer : uint8_t { kReset, kDrop };
enum class Unbound : uint8_t { kExplain, kReset, kDrop };
enum class Admit : uint8_t { kAddress, kCredential, kEither };
enum class Opaque : uint8_t { kBlock, kHold, kAllow };
enum class OnFailure : uint8_t { kClosed, kOpen };
enum class VerifyMode : uint8_t { kNone, kRequire, kVerifyCa, kVerifyFull };
enum class Durability : uint8_t { kBeforeForward, kAsync };
enum class RecordResponses : uint8_t { kNone, kHead, kFull };
enum class RecordParameters : uint8_t { kMasked, kDigest };
enum class ExistingFlows : uint8_t { kReset, kDrain };

struct SteerConfig {
  std::vector<std::string> clients;   // Interfaces.
  std::vector<std::string> targets;
  bool egress_guard = true;
  SourceMode source = SourceMode::kClient;
  uint32_t mark = 0x57450000, mark_mask = 0xffff0000;
  uint32_t table = 5745;
  uint32_t priority = 100;
  ExistingFlows existing_flows = ExistingFlows::kReset;
  std::chrono::seconds drain{0};
  uint32_t drop_notices_per_second = 100;
  std::string pin_folder = "/sys/fs/bpf/weir";  // Must be on a bpffs; `steer.pin`.
  uint32_t bindings_max = 65536, flows_max = 262144;
};

struct TlsConfig { std::string ca_certificate_file, ca_key_file; std::string minimum = "1.2"; };

struct IssuerConfig {
  std::string name, url, ca_file, audience, jwks_file;
  std::vector<std::string> algorithms;   // Of RS256 RS384 RS512 PS256 ES256 ES384 EdDSA; never none, never HMAC.
  std::chrono::seconds clock_skew{30};
  std::string claim_subject = "sub", claim_groups = "groups", claim_email = "email", claim_acting_for = "act";
  std::vector<std::string> hosts;        // Beside the url's own: where its keys and endpoints may be, "host" or "host:port".
  std::chrono::seconds jwks_refresh{600}, jwks_expire{3600};   // Without jwks_file: fetched again, and used no more.
  Assurance assurance = Assurance::kNetwork;                   // Of a binding by its token; kWorkload: it names no people.
  std::string workload_claim;            // Empty: none.  A token whose claim has one of the values is a workload's.
  std::vector<std::string> workload_values;
  std::string client_id, client_secret_file;
  std::vector<std::string> flows, scopes;
};
// Where people sign in with a browser: pages of the API, at this address.  Empty: there are none.
struct PortalConfig { std::string url, issuer; SourcePlace place; };
inline std::string portal_page(const PortalConfig& portal) { return portal.url + "/portal"; }
struct StaticBindingConfig { Prefix address; std::string subject; std::vector<std::string> groups; std::string reason; std::chrono::sys_seconds until{}; SourcePlace place; LinkKey link{}; };
// Whom a client certificate names.  SPIFFE: exactly one URI, spiffe://trust_domain/path (X.509-SVID, section 2).
struct CertificateGroupsConfig { std::string name; std::vector<std::string> groups; };  // Pattern of the path, or of the name.
struct CertificatesConfig {
  std::string trust_domain;                  // Empty: certificates with a URI are refused.
  std::string subject = "svc:{path}";        // {path} without its first slash, {id}, {trust_domain}.
  enum class From : uint8_t { kNone, kEmail, kDns, kCommonName } from = From::kNone;  // Of certificates without a URI.
  std::string name_subject = "{name}";
  std::vector<CertificateGroupsConfig> groups;
  bool is_configured = false;
};
struct IdentityConfig {
  CertificatesConfig certificates;
  std::vector<IssuerConfig> issuers;
  std::chrono::seconds binding_ttl_max{8 * 3600};
  bool one_identity_per_address = true;
  bool bind_mac = true;              // address_bindings.mac: auto.  A host on link is tied to its MAC.
  std::vector<StaticBindingConfig> static_bindings;
  PortalConfig portal;
  std::vector<std::string> request_id{"traceparent", "sqlcommenter", "application_name"};
};
// For who is bound to nobody.
inline std::string how_to_sign_in(const IdentityConfig& identity) {
  return identity.portal.url.empty() ? "sign in first (weir bind)" : "sign in at " + portal_page(identity.portal);
}

struct TargetTlsConfig {
  LegTls to_client = LegTls::kOffer;
  std::string certificate_file, key_file;   // The target's own pair; empty: a leaf is minted from tls.ca.
  VerifyMode to_target = VerifyMode::kVerifyFull;
  std::string ca_file, server_name;
  std::string client_ca_file, client_crl_file;  // Who signs client certificates; empty: they are not asked for.
};
enum class WireToken : uint8_t { kTls, kPlain /* also without TLS */, kNone };
struct LoginConfig { std::string client, user, password_file, client_password_file; };
struct CatalogueConfig { std::string user, password_file; std::vector<std::string> databases; std::chrono::seconds refresh{60}; };
struct TargetRecordConfig {
  Durability durability = Durability::kBeforeForward;
  RecordResponses responses = RecordResponses::kHead;
  uint32_t head_rows = 20;
  RecordParameters parameters = RecordParameters::kMasked;
};
struct TargetConfig {
  std::string name, protocol;
  std::vector<Prefix> addresses;
  std::vector<std::string> names;
  std::chrono::seconds resolve{30};
  std::vector<uint16_t> ports;
  bool other_ports_drop = false;
  bool observe = false;                      // mode: observe
  Admit admit = Admit::kAddress;
  WireToken wire_token = WireToken::kTls;    // admit: credential, either: where a token is taken as the password.
  Unbound unbound = Unbound::kExplain;
  bool icmp_pass = false;
  OnFailure on_engine_failure = OnFailure::kClosed, on_record_failure = OnFailure::kClosed, on_identity_failure = OnFailure::kClosed,
            on_reviewers_failure = OnFailure::kClosed;
  ClosedAnswer closed_answer = ClosedAnswer::kReset;
  Opaque opaque = Opaque::kBlock;
  std::string opaque_approval;               // With kHold.
  bool unknown_functions_block = true;
  SourceMode source = SourceMode::kClient;
  TargetTlsConfig tls;
  bool inject = false;
  std::vector<LoginConfig> logins;
  std::optional<CatalogueConfig> catalogue;
  TargetRecordConfig record;
  SourcePlace place;
};

struct WhoConfig { std::vector<std::string> subjects, groups; };  // Patterns with *; both given: both needed; empty: anybody.
struct HoursConfig {
  std::string zone = "UTC";                  // IANA name.
  struct Span { uint8_t first_day = 0, last_day = 6; uint16_t from_minute = 0, to_minute = 1440; };  // 0 = Monday.
  std::vector<Span> spans;                   // Empty: always.
};
struct GrantConfig {
  std::string name;
  WhoConfig who;
  std::vector<std::string> targets, logins, databases, objects;  // Patterns; `!` takes away; empty: all.
  VerbSet verbs = 0;
  HoursConfig hours;
  Assurance assurance = Assurance::kStatic;
  bool request_id_required = false;
  bool is_for_people = false;                // used_by: people.  Not for workloads, nor for who acts by delegation.
  std::chrono::sys_seconds until{};
  std::string approval;
  std::vector<std::string> tags;
  std::vector<std::string> impersonate;      // Roles that SET ROLE may name, with verb impersonate.
  SourcePlace place;
};

// Who may answer what is held, and until when.
struct ApprovalConfig {
  std::string name;
  WhoConfig reviewers;                       // Never the requester, nor who the requester acts for.
  uint32_t min_reviewers = 1;
  std::chrono::seconds deadline{600};        // Then it is denied.
  bool is_for_class = false;                 // bound_to: class.  A reviewer may open a window for the verbs on that target.
  std::chrono::seconds window_max{3600};
  // A ticket outlives who asked: then its approval lets the same command through once, asked again before the deadline.
  bool is_resumed_at_restart = false;        // at_restart: resume.  Else it is denied.
  bool is_kept_without_client = false;       // if_client_leaves: keep.  Else it is withdrawn.
  SourcePlace place;
};

enum class RuleAction : uint8_t { kAllow, kBlock, kTerminate, kHold, kMask, kAlert };
enum class Guess : uint8_t { kAllow, kAlert, kBlock };
struct MaskConfig {
  MaskSpec spec;
  Guess in_filters = Guess::kBlock;
  Guess write_back = Guess::kBlock;
  bool unsure_strict = false;
};
struct RuleWhere { std::vector<std::string> targets; std::string protocol; WhoConfig who; std::optional<Direction> direction; };
struct RuleWhat {
  ShapeSet shapes = 0;                       // `facts:` any of.
  VerbSet verbs = 0;                         // any of.
  std::vector<std::string> functions;        // "pg_read_file", "dblink*", "schema.name".
  std::vector<std::string> objects;          // "public.people".
  std::vector<std::string> columns;          // "public.people.email", masks.
  std::vector<std::string> text;             // Regular expressions over the statement, constants included.
  std::vector<std::string> words;            // Plain words or phrases, case-insensitive, at word boundaries.
  std::vector<std::string> data;             // Data kinds, by name.
};
struct RuleConfig {
  std::string id, why, severity;
  std::vector<std::string> tags;
  RuleWhere where;
  RuleWhat what;
  RuleAction then = RuleAction::kBlock;
  MaskConfig mask;
  bool observe = false;
  std::string approval, message;
  std::vector<std::string> except_rules;     // then: allow.
  std::vector<std::string> match_examples, no_match_examples;
  SourcePlace place;
};
// A kind of data: a pattern that finds candidates, a validator that is sure.
struct DataKindConfig {
  std::string name, pattern, validator;      // validator: none | luhn | iban | mod97 | email | entropy | ...
  uint32_t width_max = 0;                    // Longest match in bytes; required: unbounded patterns are refused.
  std::vector<std::string> match_examples, no_match_examples;
  SourcePlace place;
};

// Who signs the evidence log beside us: record.log.
struct WitnessConfig {
  std::string url, key_file;                 // Of a C2SP tlog-witness; a file with its verifier key.
  bool operator==(const WitnessConfig&) const = default;
};
struct TimestampConfig {
  std::string url, ca_file;                  // Of an authority of RFC 3161; empty: there are no time stamps.
  std::chrono::seconds every{3600};
  bool operator==(const TimestampConfig&) const = default;
};
struct RecordConfig {
  uint64_t segment_size = 64u << 20;
  std::chrono::microseconds commit_every{2'000};
  uint64_t reserve = 1u << 30;
  bool stop_on_failure = true;
  std::chrono::milliseconds seal_after_close{1'000};
  std::chrono::seconds seal_every{3600};
  uint32_t chunk_size = 1u << 20;
  std::string signing_key_file;              // Ed25519, PEM.
  std::string encryption_key_file;           // Wraps the archives' keys; empty: they are not encrypted.
  std::vector<std::string> encryption_auditors;   // Files of public keys, X25519, PEM.
  std::string origin;
  std::chrono::seconds heartbeat_every{60};
  std::chrono::seconds checkpoint_every{10}; // A new checkpoint is shown to witnesses this often.
  std::vector<WitnessConfig> witnesses;
  TimestampConfig timestamps;
};
// How long the record is kept: record/retention.h carries it out.
struct RetentionRuleConfig {
  std::string name;
  std::vector<std::string> targets, tags, rules, groups, subjects;  // Of each that is named one must fit; subjects and targets with `*`.
  std::chrono::seconds keep{0};
  bool operator==(const RetentionRuleConfig&) const = default;
};
struct RetentionHoldConfig {
  std::string name, subject, target;
  uint64_t session = 0;                      // 0: any.
  std::string set_by, reason;
  bool operator==(const RetentionHoldConfig&) const = default;
};
struct RetentionConfig {
  std::chrono::seconds keep{400 * 24 * 3600};     // Of sessions that no rule fits.
  std::chrono::seconds minimum{24 * 3600};        // Anything shorter is refused as a mistake.
  std::vector<RetentionRuleConfig> rules;         // Of those that fit the longest counts.
  std::vector<RetentionHoldConfig> holds;
  bool operator==(const RetentionConfig&) const = default;
};
// Where what outlives the process is kept (core/store.h).
struct StoreConfig {
  bool is_shared = false;                    // PostgreSQL, of several gateways; else `file`.
  std::string file = "store.db";             // SQLite: a file in `state`.
  std::string host, database, user;          // host: a name, an address, or the folder of a Unix socket.
  uint16_t port = 5432;
  VerifyMode tls = VerifyMode::kVerifyFull;
  std::string ca_file, password_file;
  bool operator==(const StoreConfig&) const = default;
};
struct ControlConfig { std::string socket; std::string metrics; };
// Who holds a role: who is named, and who is in one of the groups.  By name, no patterns; both empty: nobody.
struct ApiRoleConfig { std::vector<std::string> subjects, groups; };
struct ApiConfig {
  std::vector<Endpoint> listen;              // Empty: there is no API.
  std::string certificate_file, key_file, minimum = "1.3";
  std::vector<std::string> issuers;          // Whose tokens may hold a role; empty: of all.
  ApiRoleConfig admin, reviewer, auditor;
  uint32_t source_per_second = 10, identity_per_second = 10, burst = 40;
  uint32_t connections_max = 64, connections_per_source_max = 16;
  uint32_t body_size_max = 64u << 10;
  std::chrono::milliseconds request_timeout{10'000};
  std::chrono::seconds answer_timeout{300};
};
// Who is told of what happens, and how: notify/.
struct SinkReviewerConfig { std::string id, subject; std::vector<std::string> groups; };  // Who `id` is there; the subject here.
struct SinkConfig {
  enum class Kind : uint8_t { kWebhook, kSlack, kSyslog } kind = Kind::kWebhook;
  std::string name;
  std::string url;                           // https://host[:port]/path; of syslog: udp://, tcp:// or tls://host:port, or "local".
  std::string secret_file;                   // A line a secret: the first signs, each of them is taken.
  std::string ca_file;                       // Empty: the system's CAs.
  std::string link;                          // Where a person looks: "{ticket}" in it is the ticket's number.  Empty: none.
  NoticeEventSet events = 0;
  NoticeSeverity min_severity = NoticeSeverity::kInfo;
  std::chrono::seconds retry{24 * 3600};     // Then a notice is given up for this sink.
  std::vector<SinkReviewerConfig> reviewers; // Who may answer tickets by POST /v1/callbacks/NAME.  Empty: nobody.
  SourcePlace place;
};
struct NotifyConfig {
  std::vector<SinkConfig> sinks;
  std::vector<std::string> hosts;            // Where sinks may be; empty: wherever their addresses say.
  uint32_t spool_max = 10'000;               // Notices kept for sinks that do not take them.
  std::chrono::seconds repeat{600};          // The same alert again within this is the same alert.
  uint32_t drop_burst = 50;                  // Packets dropped by one reason ...
  std::chrono::seconds drop_burst_within{10};
};

struct LogConfig { std::string level = "info"; bool json = false; };
// What it was read from and what it consists of, each with the SHA-256 (hex) of its content: what a change changed.
struct ConfigFile { std::string path, digest; };
struct ConfigPart { std::string kind, name, digest; };   // {"rule", "no-drop", ..}; {"setting", "engine.limits.sessions_max", ..}

struct Config {
  std::string file;                          // As read.
  std::string digest;                        // SHA-256 of all files read, hex.
  std::vector<ConfigFile> files;             // In the order of reading; overrides last, as "--set".
  std::vector<ConfigPart> parts;             // By kind and name.
  std::string name;
  std::string state;                         // Absolute.
  EngineConfig engine;
  SteerConfig steer;
  TlsConfig tls;
  IdentityConfig identity;
  std::vector<TargetConfig> targets;
  std::vector<GrantConfig> grants;
  std::vector<ApprovalConfig> approvals;
  std::vector<RuleConfig> rules;             // Rule files first, in order, then the file's own.
  std::vector<DataKindConfig> data_kinds;
  std::string mask_hash_key_file;
  bool masks_keep_length = true;
  RecordConfig record;
  RetentionConfig retention;
  StoreConfig store;
  ControlConfig control;
  ApiConfig api;
  NotifyConfig notify;
  LogConfig log;
  bool changes_require_reason = true;
  std::vector<std::string> changes_second_person;  // Acts that wait for somebody else's approval: reload, bypass, revoke, cut.
  std::chrono::seconds bypass_max{3600};           // The longest that a bypass may be on.
  std::chrono::seconds changes_deadline{3600};     // Of such an approval.
};

}  // namespace weir
