// What becomes of a pack outside of it: its page as PDF, by a browser that is there or not, and the folder as one zip.
#pragma once
#include <chrono>
#include <string>

#include "base/result.h"

namespace weir::control {

// The first headless browser on `path` ("/usr/bin:/bin"); empty: none.
std::string find_browser(const std::string& path);

// Has `browser` print `html` into the file `pdf`, which must not be there.  It runs in a folder of its own that is removed, without this process's
// environment, as nobody where this process is root, and is killed with all that it started after `timeout`.
// Errors: what went wrong, for people.
Result<void> print_page(const std::string& browser, const std::string& html, const std::string& pdf, std::chrono::milliseconds timeout);

// All files below `folder` into `zip`, under the folder's own name, in order of their names.  `zip` is there only once it is whole; one of
// that name is refused.  Memory does not grow with the files.
Result<void> zip_folder(const std::string& folder, const std::string& name, const std::string& zip);

}  // namespace weir::control
