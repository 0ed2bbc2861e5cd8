// Reading the record: sessions and their events, archived or live.  Streams; memory is bounded whatever the size of a
// session.  Reads files only: works beside a running engine, and on a copied folder.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::record {

class KeyOpener;

// Where to read.  A state folder has archive/ and journal/; an archive folder alone has no live sessions.
struct RecordPlace {
  std::string archive{};
  std::string journal{};    // Empty: none.
  std::string log{};        // Empty: none.
  std::string index{};      // A file of session_index.h; empty: none.  What it cannot tell is read from the rest.
  std::string keys{};       // Wrapped keys of encrypted archives; empty: none.
  std::vector<std::shared_ptr<const KeyOpener>> openers{};   // What opens them; lists, counts and proofs need none.
  static RecordPlace of(const std::string& folder);   // Finds out which of the two `folder` is.
};

struct SessionFilter {
  std::optional<uint64_t> session{};
  // Exact; empty: any.  `group`: one of the subject's when it opened.  All that is given must hold.
  std::string target{}, subject{}, group{};
  // Of its commands, each of some command; empty: any.  `verb`: read, write, ddl, ... (core/facts.h), or the protocol's ("query").
  // `object`: "schema.name" or "name".  `rule`, `verdict`: as a replay shows them, "observed" for what was not carried out.
  // `text`: words, all of which stand in statements (session_words.h says what a word is).
  std::string verb{}, object{}, rule{}, verdict{}, text{};
  uint64_t before = UINT64_MAX;                       // Numbers below it: the next page.
  // Of which a command or login carried this: a whole request id, a trace id (32 hex digits), or one key='value' pair of a
  // comment.  A line then has `request_commands` (as replay() tells of them, at most kRequestCommandsMax; `request_commands_cut`).
  // Manifests say by hashes which archives may have it; those are read, and of live sessions the journal.
  std::string request{};
  std::optional<std::chrono::sys_seconds> since{}, until{};  // Opened in [since, until).
  bool only_blocked = false;                          // With at least one blocked command.
  std::optional<bool> is_live{};
  uint64_t count_max = UINT64_MAX;
  // Told once why the index is not used, and that it takes longer.
  std::function<void(const std::string&)> tell{};
  // Told of each session, down to the last one that was shown, that fits as far as its manifests say, and whose events cannot be looked into: it is encrypted, and
  // no key of the place opens it, or its keys were destroyed.  At most kLockedMax of the index.  (Of a request manifests say enough: such a session is
  // shown, with `is_locked` and what of `request_commands` can be read.)
  std::function<void(uint64_t session)> tell_locked{};
  bool is_gateway = false;                            // The sessions that hold acts, and no others; else all others.
};

// `about` of the opening of a session that holds acts.
inline constexpr std::string_view kAboutGateway = "gateway";

inline constexpr std::size_t kRequestCommandsMax = 1'000;
inline constexpr uint64_t kLockedMax = 10'000;

// A line of JSON without its newline.  False: enough.
using LineSink = std::function<bool(const std::string&)>;

// By number, the highest first.  One object a session: {id, target, subject, opened, closed, reason, commands, blocked, masked,
// bytes: {to_target: {kernel, handshake, parsed, opaque, refused, injected}, to_client: {...}}, ...}; README lists all.
Result<void> list_sessions(const RecordPlace&, const SessionFilter&, const LineSink&);

struct ActFilter {
  std::string act{};                                  // Exact; empty: any.
  std::optional<std::chrono::sys_seconds> since{}, until{};  // Done in [since, until).
  uint64_t count_max = 1'000;
};

// What was done to the gateway and looked at, newest first: {at, act, by: {via, ...}, object, reason, outcome, session, seq}.
// Holds `count_max` of them at most.
Result<void> list_acts(const RecordPlace&, const ActFilter&, const LineSink&);

// The events of one session in order: {seq, at, kind, verb, text, verdict, rule, outcome, ...}.
// `outcome` of a command: see README.  kNotFound: no such session.  `opened`: when it was, if that is known; spares a walk
// through all days.
Result<void> replay(const RecordPlace&, uint64_t session, const LineSink&, std::optional<std::chrono::sys_seconds> opened = std::nullopt);

}  // namespace weir::record
