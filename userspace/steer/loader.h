// Loads the programs and makes the maps, and pins them below one folder: maps/, programs/, links/ (the links come later).
#pragma once
#include <array>
#include <string>
#include <vector>

#include "base/result.h"
#include "steer/options.h"

namespace weir::steer {

// Names under programs/.
inline constexpr std::array<const char*, 8> kProgramNames = {"steer_client", "steer_client_l3", "steer_target", "steer_target_l3",
                                                             "dispatch",     "guard",           "guard_l3",     "count_legs"};
inline constexpr std::array<const char*, 13> kMapNames = {"prefixes", "targets", "addresses", "networks", "flows",        "listeners",
                                                          "settings", "counts",  "legs",      "notices",  "notice_rates", "bypasses", "raw_flows"};

// Post: everything pinned below `folder`, which is made.  After an error, whatever was made is gone.
// Errors: kDenied (CAP_BPF, CAP_NET_ADMIN), kUnavailable with the verifier's or libbpf's last words, kSystem.
[[nodiscard]] Result<void> load_and_pin(const Options& options, const std::string& folder);

// "name tag" of this binary's own programs, as the kernel computes tags, in the order of kProgramNames; loads them for a
// moment and pins nothing.
[[nodiscard]] Result<std::vector<std::string>> own_program_tags(const Options& options);
// The same of what is pinned; a missing one is "name -".
[[nodiscard]] std::vector<std::string> pinned_program_tags(const std::string& folder);

// Takes a folder of pins away, guard links last.  Links are detached, so that one that is held open elsewhere ends too.
void remove_pins(const std::string& folder);

// Gives the pins to `user`: the engine drops to it and still puts back what is lost.
[[nodiscard]] Result<void> give_pins_to(const std::string& folder, const std::string& user);

}  // namespace weir::steer
