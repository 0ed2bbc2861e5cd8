#include "control/verbs.h"

namespace weir::control {

std::vector<Verb> all_verbs(RunEngine run_engine) {
  return {
      check_verb(),                     ca_verb(),       rules_verb(),  explain_verb(), grants_verb(),  // Configuration and policy
      up_verb(),                        down_verb(),     bypass_verb(),                                                   // Kernel side
      run_verb(std::move(run_engine)),  reload_verb(),                                                  // Engine
      login_verb(),                     bind_verb(),     bindings_verb(), revoke_verb(), cut_verb(),    // People and sessions
      tickets_verb(),                   approve_verb(),  deny_verb(),   changes_verb(),  alerts_verb(),    // Reviews
      sessions_verb(),                  replay_verb(),   export_verb(),  events_verb(), verify_verb(),   prove_verb(),     evidence_verb(), retention_verb(), index_verb(),  // The record
      status_verb(),                    doctor_verb(),   version_verb(), completion_verb(),            // Look
  };
}

}  // namespace weir::control
