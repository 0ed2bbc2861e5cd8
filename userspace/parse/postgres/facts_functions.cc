#include "parse/postgres/facts_functions.h"

#include <algorithm>
#include <array>

namespace weir::postgres {

namespace {

constexpr std::string_view kBuiltinFunctions[] = {
#define X(name) #name,
#include "parse/postgres/facts_builtin_functions.def"
#undef X
};
static_assert(std::ranges::is_sorted(kBuiltinFunctions));

constexpr std::string_view kBuiltinOperators[] = {
    "!!", "!=", "!~", "!~*", "!~~", "!~~*", "#", "##", "#-", "#>", "#>>", "%", "&", "&&", "&<", "&<|", "&>", "*", "*<", "*<=", "*<>", "*=", "*>",
    "*>=", "+", "-", "->", "->>", "-|-", "/", "<", "<->", "<<", "<<=", "<<|", "<=", "<>", "<@", "<^", "=", ">", ">=", ">>", ">>=", ">^", "?", "?#",
    "?&", "?-", "?-|", "?|", "?||", "@", "@-@", "@>", "@?", "@@", "@@@", "^", "^@", "|", "|&>", "|/", "|>>", "||", "||/", "~", "~*", "~<=~", "~<~",
    "~=", "~>=~", "~>~", "~~", "~~*"};
static_assert(std::ranges::is_sorted(kBuiltinOperators));

using enum Verb;
using enum Shape;
using Argument = FunctionNote::Argument;
constexpr FunctionNote kServerFiles{kFile | kAdmin, bit(kServerFile), false, true};
constexpr FunctionNote kLargeObjectFiles{kFile | kWrite, bit(kServerFile), false, true};
constexpr FunctionNote kLargeObjectRead{bit(kRead), 0, false, true};
constexpr FunctionNote kLargeObjectWrite{kRead | kWrite, 0, false, true};
constexpr FunctionNote kRunsText{kRead | kExec, bit(kDynamicSql), false, true};
constexpr FunctionNote kElsewhere{kForward | kExec, bit(kForeignAccess) | bit(kDynamicSql), false, true};
constexpr FunctionNote kBackends{bit(kAdmin), bit(kTerminateBackend), true, false};
constexpr FunctionNote kServer{bit(kAdmin), 0, true, false};
constexpr FunctionNote kSleeps{0, bit(kSleep), true, false};
constexpr FunctionNote kSessionLock{0, bit(kLockTable), true, false};
constexpr FunctionNote kHarmless{0, 0, true, false};
constexpr FunctionNote kNotifies{bit(kWrite), bit(kListenNotify), true, false};
constexpr FunctionNote kSequenceWrite{bit(kWrite), 0, true, false, Argument::kSequence};
constexpr FunctionNote kSetting{0, 0, true, false, Argument::kSetting};
constexpr FunctionNote kReplication{bit(kReplicate), 0, true, true};
constexpr FunctionNote kOthersStatements{0, bit(kCatalogSecrets), true, false};

struct Noted { std::string_view name; const FunctionNote* note; };
// A name that ends in * stands for all that begin so; the first that fits counts.
constexpr Noted kNoted[] = {
    {"binary_upgrade_*", &kServer}, {"brin_*", &kServer}, {"connectby*", &kRunsText}, {"crosstab*", &kRunsText}, {"cursor_to_xml*", &kRunsText},
    {"database_to_xml*", &kRunsText}, {"dblink*", &kElsewhere}, {"gin_clean_pending_list", &kServer}, {"lo_close", &kLargeObjectRead},
    {"lo_creat*", &kLargeObjectWrite}, {"lo_export", &kLargeObjectFiles}, {"lo_from_bytea", &kLargeObjectWrite}, {"lo_get", &kLargeObjectRead},
    {"lo_import", &kLargeObjectFiles}, {"lo_lseek*", &kLargeObjectRead}, {"lo_open", &kLargeObjectRead}, {"lo_put", &kLargeObjectWrite},
    {"lo_tell*", &kLargeObjectRead}, {"lo_truncate*", &kLargeObjectWrite}, {"lo_unlink", &kLargeObjectWrite}, {"loread", &kLargeObjectRead},
    {"lowrite", &kLargeObjectWrite}, {"nextval", &kSequenceWrite}, {"pg_advisory_unlock*", &kHarmless}, {"pg_advisory_xact_lock*", &kHarmless},
    {"pg_advisory_lock*", &kSessionLock}, {"pg_backup_*", &kServer}, {"pg_cancel_backend", &kBackends}, {"pg_copy_logical_*", &kReplication},
    {"pg_copy_physical_*", &kReplication}, {"pg_create_logical_*", &kReplication}, {"pg_create_physical_*", &kReplication},
    {"pg_create_restore_point", &kServer}, {"pg_current_logfile", &kServerFiles}, {"pg_drop_replication_slot", &kReplication},
    {"pg_file_*", &kServerFiles}, {"pg_get_replication_slots", &kOthersStatements}, {"pg_hba_file_rules", &kServerFiles},
    {"pg_ident_file_mappings", &kServerFiles}, {"pg_import_system_collations", &kServer}, {"pg_lock_status", &kHarmless},
    {"pg_log_backend_memory_contexts", &kServer}, {"pg_logdir_ls", &kServerFiles}, {"pg_logical_*", &kReplication}, {"pg_ls_*", &kServerFiles},
    {"pg_mcv_list_*", &kOthersStatements}, {"pg_notify", &kNotifies}, {"pg_promote", &kServer}, {"pg_read_binary_file", &kServerFiles},
    {"pg_read_file*", &kServerFiles}, {"pg_reload_conf", &kBackends}, {"pg_replication_*", &kReplication}, {"pg_rotate_logfile*", &kServer},
    {"pg_show_all_file_settings", &kServerFiles}, {"pg_show_replication_origin_status", &kOthersStatements}, {"pg_sleep*", &kSleeps},
    {"pg_start_backup", &kServer}, {"pg_stat_file", &kServerFiles}, {"pg_stat_get_activity", &kOthersStatements},
    {"pg_stat_get_backend_activity", &kOthersStatements}, {"pg_stat_get_backend_client_*", &kOthersStatements},
    {"pg_stat_get_wal_*", &kOthersStatements}, {"pg_stat_reset*", &kServer}, {"pg_stat_statements*", &kOthersStatements},
    {"pg_stop_backup", &kServer}, {"pg_switch_wal", &kServer}, {"pg_terminate_backend", &kBackends}, {"pg_try_advisory_lock*", &kSessionLock},
    {"pg_try_advisory_xact_lock*", &kHarmless}, {"pg_wal_replay_*", &kServer}, {"postgres_fdw_*", &kElsewhere}, {"query_to_xml*", &kRunsText},
    {"schema_to_xml*", &kRunsText}, {"set_config", &kSetting}, {"setval", &kSequenceWrite}, {"table_to_xml*", &kRunsText},
    {"ts_rewrite", &kRunsText}, {"ts_stat", &kRunsText}, {"xpath_table", &kRunsText}};

bool fits(std::string_view pattern, std::string_view name) {
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == name;
}
template <std::size_t N>
bool contains(const std::string_view (&sorted)[N], std::string_view name) { return std::ranges::binary_search(sorted, name); }

constexpr SettingNote kGrammar{bit(kSetGrammar), bit(kSession), true};
constexpr SettingNote kPath{bit(kSetSearchPath), bit(kSession), true};
constexpr SettingNote kRoles{bit(kSetRole), bit(kImpersonate), true};
constexpr SettingNote kSecurity{bit(kSecurityOff), bit(kAdmin), false};
struct NotedSetting { std::string_view name; const SettingNote* note; };
constexpr NotedSetting kSettings[] = {
    {"standard_conforming_strings", &kGrammar}, {"client_encoding", &kGrammar}, {"names", &kGrammar}, {"backslash_quote", &kGrammar},
    {"escape_string_warning", &kGrammar}, {"quote_all_identifiers", &kGrammar}, {"transform_null_equals", &kGrammar}, {"array_nulls", &kGrammar},
    {"operator_precedence_warning", &kGrammar}, {"search_path", &kPath}, {"role", &kRoles}, {"session_authorization", &kRoles},
    {"row_security", &kSecurity}, {"session_replication_role", &kSecurity}, {"log_*", &kSecurity}, {"auth_delay.*", &kSecurity},
    {"pgaudit.*", &kSecurity}, {"pg_stat_statements.*", &kSecurity}, {"auto_explain.*", &kSecurity}, {"track_*", &kSecurity},
    {"debug_*", &kSecurity}, {"allow_system_table_mods", &kSecurity}, {"ignore_system_indexes", &kSecurity}, {"zero_damaged_pages", &kSecurity},
    {"ignore_checksum_failure", &kSecurity}, {"local_preload_libraries", &kSecurity}, {"session_preload_libraries", &kSecurity},
    {"dynamic_library_path", &kSecurity}, {"jit_provider", &kSecurity}, {"lo_compat_privileges", &kSecurity}, {"check_function_bodies", &kSecurity},
    {"event_source", &kSecurity}, {"password_encryption", &kSecurity}, {"update_process_title", &kSecurity}, {"trace_*", &kSecurity}};

constexpr std::string_view kSecretRelations[] = {
    "pg_authid", "pg_file_settings", "pg_hba_file_rules", "pg_ident_file_mappings", "pg_largeobject", "pg_prepared_statements",
    "pg_replication_slots", "pg_shadow", "pg_stat_activity", "pg_stat_replication", "pg_stat_wal_receiver", "pg_statistic",
    "pg_statistic_ext_data", "pg_stats", "pg_stats_ext", "pg_stats_ext_exprs", "pg_subscription", "pg_user_mapping", "pg_user_mappings",
    "user_mapping_options", "user_mappings"};
static_assert(std::ranges::is_sorted(kSecretRelations));

}  // namespace

FunctionNote note_of_function(std::string_view schema, std::string_view name) {
  for (const Noted& noted : kNoted) {
    if (fits(noted.name, name)) return *noted.note;
  }
  FunctionNote note;
  note.is_cleared = (schema.empty() || schema == "pg_catalog") && contains(kBuiltinFunctions, name);
  return note;
}

bool is_builtin_operator(std::string_view name) { return contains(kBuiltinOperators, name); }

SettingNote note_of_setting(std::string_view lower_name) {
  for (const NotedSetting& setting : kSettings) {
    if (fits(setting.name, lower_name)) return *setting.note;
  }
  return {0, bit(kSession), false};
}

bool is_secret_relation(std::string_view schema, std::string_view name) {
  if (name == "pg_stat_statements") return true;  // Extensions: any schema.
  return (schema.empty() || schema == "pg_catalog" || schema == "information_schema") && contains(kSecretRelations, name);
}

}  // namespace weir::postgres
