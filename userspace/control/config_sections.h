// The sections of weir.yaml, one function each; config_loader.cc calls them in file order.  Internal to control/.
#pragma once
#include "control/config_reader.h"
#include "core/config.h"

namespace weir::control {

void read_engine(MapReader root, EngineConfig& out);
void read_steer(MapReader root, SteerConfig& out);
void read_tls(MapReader root, TlsConfig& out);
void read_identity(MapReader root, IdentityConfig& out);
void read_portal(MapReader section, PortalConfig& out);  // identity.portal
void read_targets(MapReader& root, const SteerConfig& steer, std::vector<TargetConfig>& out);
void read_grants(MapReader& root, std::vector<GrantConfig>& out);
void read_approvals(MapReader& root, std::vector<ApprovalConfig>& out);
// Appends; `list_key` is "rules" in every file.
void read_rules(MapReader& file, std::vector<RuleConfig>& out);
void read_data_kinds(MapReader& file, std::vector<DataKindConfig>& out);
void read_masks(MapReader root, Config& out);
void read_record(MapReader root, RecordConfig& out);
void read_retention(MapReader section, RetentionConfig& out);
void read_store(MapReader& root, StoreConfig& out);
void read_control(MapReader root, ControlConfig& out);
void read_api(MapReader root, ApiConfig& out);
void read_notify(MapReader root, NotifyConfig& out);
void read_log(MapReader root, LogConfig& out);
void read_bypass(MapReader bypass, std::chrono::seconds& out);
void read_changes(MapReader root, Config& out);

// Sections that later versions carry out; here they are checked for form.
void read_evidence_log(MapReader section, RecordConfig& out);   // record.log
void read_encryption(MapReader section, RecordConfig& out);     // record.encryption
void read_archive(MapReader section);      // record.archive

void read_who(MapReader section, WhoConfig& out);
VerbSet read_verbs(MapReader& section, std::string_view key, Need need = Need::kOptional);

// What the portal needs of the rest, and what sign-in flows need of it.
void check_portal(LoadContext& context, const Config& config);
// Retention rules that fit nothing that is configured.
void check_retention(LoadContext& context, const Config& config);
// Names that point nowhere, two entries of one name, and settings that contradict one another.
void check_references(LoadContext& context, const Config& config);

}  // namespace weir::control
