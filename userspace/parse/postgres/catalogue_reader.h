// Reads a target's catalogue with the gateway's own read-only login, on a thread of its own, and hands out immutable
// snapshots.  The connection is libpq's over a forwarder of ours (catalogue_forwarder.h), since only we can mark a socket
// before it is connected.  Must never: run on a core, hold up a statement, or put the password into a message.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/config.h"
#include "parse/postgres/facts_source.h"

namespace weir::postgres {

struct CatalogueReaderOptions {
  CatalogueReaderOptions() = default;
  ~CatalogueReaderOptions();           // Wipes the password, also where it was moved from.
  CatalogueReaderOptions(CatalogueReaderOptions&&) = default;
  CatalogueReaderOptions& operator=(CatalogueReaderOptions&&) = default;
  std::string target;                  // For messages.
  std::string user;
  std::string password;                // Content of the password file.
  std::vector<std::string> databases;
  std::chrono::seconds refresh{60};
  VerifyMode tls = VerifyMode::kVerifyFull;
  std::string ca_file, server_name;
  // A connected stream socket to the target that the egress guard lets out (SO_MARK set before connect).  Blocking, at
  // most a few seconds; called on the reader's threads.  The reader closes it.
  std::function<Result<int>()> dial;
  // Something an operator should see: a failure, its end.  Called on the reader's thread.  May be empty.
  std::function<void(std::string_view)> notice;
};

struct CatalogueReaderStats {
  uint64_t reads = 0, failures = 0, relations = 0, functions = 0;
};

class CatalogueReader : public CatalogueProvider {
 public:
  // Empty: the last read of every database succeeded.
  virtual std::string last_error() const = 0;
  virtual CatalogueReaderStats stats() const = 0;
  // Waits until every database was tried once, or until `limit`.  For start-up and tests.  False: not all were read.
  virtual bool wait_first_read(std::chrono::milliseconds limit) = 0;
};

// Starts the threads.  Pre: options.dial is set.  Destroying it ends them.
std::shared_ptr<CatalogueReader> make_catalogue_reader(CatalogueReaderOptions options);

}  // namespace weir::postgres
