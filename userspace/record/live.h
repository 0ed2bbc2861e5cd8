// What of the record is not in archives yet: events that the journals of a running (or dead) gateway hold.
#pragma once
#include <functional>
#include <string>

#include "base/result.h"
#include "record/journal_reader.h"
#include "record/key_wrap.h"

namespace weir::record {

// Every whole event of all cores' journals, pending memory included, in order for each session.  Reads beside a live
// writer: what is written or recycled meanwhile may be missed, never misread.  What no opener opens comes
// as it stands, its key_id not 0.  False: stop.
Result<void> read_live(const std::string& journal, const std::vector<std::shared_ptr<const KeyOpener>>& openers, const std::function<bool(const EventAssembler::Event&)>&);

}  // namespace weir::record
