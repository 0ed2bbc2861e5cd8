// What others signed of the log, as it is kept beside it:
//
//   log/witnessed/<size>                a checkpoint (a signed note) with a line of each witness that cosigned it
//   log/timestamps/<size>.checkpoint    a checkpoint
//   log/timestamps/<size>.tsr           a TimeStampResp (RFC 3161) over that checkpoint's text: what stands before its empty line
//
// Read only: countersigner.h writes it.  Nothing here says that a signature holds.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "record/signed_note.h"

namespace weir::record {

std::string witnessed_folder(const std::string& log);
std::string stamps_folder(const std::string& log);

struct KeptCheckpoint {
  std::string name;             // "witnessed/12", "timestamps/12.checkpoint": below log/.
  uint64_t size = 0;            // Of its name.
  std::string problem;          // Empty: the rest is there, and of that size.
  Note note;
  Checkpoint checkpoint;
};
// By size.  `strange` gets the names of files that none of these are.
Result<std::vector<KeptCheckpoint>> read_witnessed(const std::string& log, std::vector<std::string>* strange = nullptr);

struct KeptStamp {
  std::string name;             // "timestamps/12.tsr"
  KeptCheckpoint over;
  std::string answer;           // DER.
};
Result<std::vector<KeptStamp>> read_stamps(const std::string& log, std::vector<std::string>* strange = nullptr);

// Both, and the names of files that neither are.  A reader takes this before the log: what is signed is in the log by then.
struct Countersigned {
  std::vector<KeptCheckpoint> witnessed;
  std::vector<KeptStamp> stamps;
  std::vector<std::string> strange;
};
Result<Countersigned> read_countersigned(const std::string& log);

// Lines that are not the log's own.
std::vector<NoteSignature> foreign_signatures(const KeptCheckpoint&);

}  // namespace weir::record
