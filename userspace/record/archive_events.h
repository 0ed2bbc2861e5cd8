// The events of one archive, decoded: the one place where a search, an index or an export opens archives.
#pragma once
#include <functional>
#include <string>

#include "base/result.h"
#include "record/event_codec.h"

namespace weir::record {

struct RecordPlace;

// `name`: below place.archive, "2027/03/09/17.2.weir".  What cannot be decoded is passed over.  `visit`'s false ends it, without the
// archive's last checks.  kDenied: it is encrypted, and no key of the place opens it, or its keys are not there (any more): reading it
// again finds no more.
Result<void> read_archive_events(const RecordPlace&, const std::string& name, const std::function<bool(const RecordEvent&)>& visit);

// Whether it is encrypted, and cannot be read for want of a key.
bool is_locked(const RecordPlace&, const std::string& name);

}  // namespace weir::record
