// One session out of a log, for somebody who has neither the log nor us: a file (C2SP tlog-proof) that shows with the public
// key alone that the session was sealed, and as what.  The leaf stands in the proof's extra line.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "record/log_leaf.h"
#include "record/signed_note.h"

namespace weir::record {

// The proof's checkpoint is the one with most cosignatures, and of those the newest, that covers the seal; else the log's own.
// Of the session's part; nullopt: its only one.  kNotFound: the log names no such seal.  kInvalid: it has several parts.
Result<std::string> prove(const std::string& log, uint64_t session, std::optional<uint32_t> part);

// Of each part of those sessions that has a seal, in one pass over the log.  How many.
using ProofSink = std::function<Result<void>(const SealEntry&, const std::string& proof)>;
Result<uint64_t> prove_sessions(const std::string& log, const std::set<uint64_t>& sessions, const ProofSink&);

// How a witness vouches for a proof's checkpoint.
struct ProvedBy { std::string name; uint64_t at_s = 0; };
struct Proved {
  SealEntry seal;
  uint64_t index = 0;
  Checkpoint checkpoint;
  std::vector<ProvedBy> witnesses;   // Of those that were given, each.
};
// kCorrupt: it proves nothing, and why; a witness that was given and did not cosign is such a why.
Result<Proved> check_proof(std::string_view text, const std::vector<VerifyingKey>& keys, const std::vector<NoteVerifier>& witnesses = {});
// The archive file is the one that was sealed: signature, chain, and the digest that the leaf states.
Result<void> check_proved_archive(const Proved&, const std::string& path, const std::vector<VerifyingKey>& keys);

}  // namespace weir::record
