// What a session asks of its core.  In production the core fills it (core_loop.cc); in simulation the world does.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "accept/admission.h"
#include "base/arena.h"
#include "core/credential.h"
#include "core/event.h"
#include "core/facts.h"
#include "core/io.h"
#include "core/metrics.h"
#include "core/notice.h"
#include "core/steering.h"
#include "core/ticket.h"
#include "forward/block_pool.h"
#include "session/directory.h"
#include "session/grant_uses.h"
#include "session/runtime.h"

namespace weir::session {

struct Services {
  Io& io;
  Recorder& recorder;
  std::vector<FactsSource*> facts;          // By TargetRuntime::facts_index.
  Steering& steering;
  CoreCounters& counters;
  forward::BlockPool& blocks;
  Arena& scratch;                           // Verdicts that live for one step.
  Directory& directory;
  accept::Admission& admission;
  RuntimePtr runtime;                       // The one in force; new sessions and policy follow it.
  uint32_t core = 0;
  std::function<IdentityPtr(const Address&, std::chrono::sys_seconds)> identity_of;
  // A short connection of our own to a target, to deliver a cancel request.
  std::function<void(const Endpoint& target, Bytes request)> deliver_cancel;
  CredentialDesk* credentials = nullptr;    // Null: every credential on the wire is refused.
  TicketDesk* tickets = nullptr;            // Null: what is held is refused.
  std::unique_ptr<ScanScratch> scan_scratch;  // Of runtime's policy.
  // Of an address that nobody is bound to: whose binding ended there by its time, in words; empty: nobody's.  Empty: not asked.
  std::function<std::string(const Address&, std::chrono::sys_seconds)> ended_binding{};
  GrantUseCounter* grant_uses = nullptr;    // Null: nobody counts.
  NoticeQueue* notices = nullptr;           // Null: nobody is told.
};

}  // namespace weir::session
