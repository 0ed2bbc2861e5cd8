// Targets whose code stands with the stage that it tests; here they only get a name.
#include "control/config_fuzz.h"
#include "identify/provider_fuzz.h"
#include "identify/token_fuzz.h"
#include "parse/postgres/facts_fuzz.h"
#include "record/record_fuzz.h"
#include "signer/signer_fuzz.h"
#include "tests/fuzz/fuzz_target.h"

namespace weir::fuzz {
namespace {
using Entry = int (*)(const uint8_t*, std::size_t);
void run(Entry entry, Bytes input) { entry(reinterpret_cast<const uint8_t*>(input.data()), input.size()); }
}  // namespace

#define WEIR_FUZZ_TARGET(name, corpus) void fuzz_##name(Bytes);
#include "tests/fuzz/targets.def"
#undef WEIR_FUZZ_TARGET

void fuzz_sql_lexer(Bytes input) { run(postgres::fuzz_postgres_lexer, input); }
void fuzz_sql_facts(Bytes input) { run(postgres::fuzz_postgres_facts, input); }
void fuzz_config(Bytes input) { run(control::fuzz_config, input); }
void fuzz_token(Bytes input) { run(identify::fuzz_token, input); }
void fuzz_provider(Bytes input) { run(identify::fuzz_provider, input); }
void fuzz_journal(Bytes input) { run(::fuzz_journal, input); }
void fuzz_archive(Bytes input) { run(::fuzz_archive, input); }
void fuzz_tlog(Bytes input) { run(::fuzz_tlog, input); }
void fuzz_signer(Bytes input) { run(::fuzz_signer, input); }

}  // namespace weir::fuzz
