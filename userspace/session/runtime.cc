#include "session/runtime.h"

#include <openssl/crypto.h>

#include "accept/original_destination.h"

namespace weir::session {

TargetRuntime::~TargetRuntime() {
  for (LoginSecret& login : facts.logins) {
    OPENSSL_cleanse(login.target_password.data(), login.target_password.size());
    OPENSSL_cleanse(login.client_password.data(), login.client_password.size());
  }
}

const TargetRuntime* Runtime::find(const Endpoint& local) const {
  const TargetConfig* found = accept::find_target(config.targets, local);
  return found == nullptr ? nullptr : &targets[static_cast<std::size_t>(found - config.targets.data())];
}

}  // namespace weir::session
