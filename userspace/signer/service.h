// What the signer does with a request: looks at it, and signs, wraps, opens, or refuses.  Pure but for one file: the newest checkpoint
// that it signed, which outlives it, and which the engine cannot write.
//
//   seal         a manifest of this gateway, under this key; its digest is signed as archives are
//   checkpoint   of this log alone, of a tree that goes on from the newest that was signed (proof of RFC 9162), and never of a smaller one
//   wrap, open   session and journal keys under the gateway's wrapping keys; opening is counted, and slowed beyond kOpensPerSecond
//   derive       the search index's two keys, and no other
//   leaf         for servers, a week long, CA:FALSE, for names of the configured targets alone; it is built here, from names and a public key
//
// Must never: sign bytes that somebody else composed, hand out a signature before what it must remember of it is on disk, or say a secret.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "record/files.h"
#include "record/key_wrap.h"
#include "record/keys.h"
#include "record/signed_note.h"
#include "signer/protocol.h"
#include "transport/leaf_signer.h"

namespace weir::signer {

struct ServiceKeys {
  record::SigningKey log;
  std::shared_ptr<const record::GatewayKeys> gateway;    // Null: the record is in clear.
  std::shared_ptr<transport::CaKey> ca;                  // Null: no target shows a minted leaf.
};

struct ServiceRules {
  std::string gateway;             // As manifests name it.
  std::string origin;              // Of the log.
  transport::LeafNames names;      // All that leaves may be for.
  std::string folder;              // Of the newest checkpoint; written by the signer's user alone.
};

struct ServiceClock {
  std::function<std::chrono::sys_seconds()> wall;
  std::function<std::chrono::steady_clock::time_point()> steady;
};

// So many at once, then so many a second.
class Allowance {
 public:
  Allowance(double at_once, double per_second) : left_(at_once), at_once_(at_once), per_second_(per_second) {}
  bool take(std::chrono::steady_clock::time_point now);

 private:
  double left_;
  const double at_once_, per_second_;
  std::optional<std::chrono::steady_clock::time_point> at_;
};

class Service {
 public:
  static constexpr double kOpensAtOnce = 50'000, kOpensPerSecond = 2'000;
  static constexpr double kLeavesAtOnce = 1'024, kLeavesPerSecond = 0.1;
  static constexpr uint64_t kOpensTold = 10'000;         // In a minute: said on stderr, where the engine cannot take it back.
  static constexpr uint32_t kToldPerMinute = 20;

  Service(ServiceKeys keys, ServiceRules rules, record::Files& files, ServiceClock clock, std::function<void(std::string_view)> tell);
  // Reads the newest checkpoint.  kCorrupt: it is not what this key signed; the message says which file, and what to do.
  [[nodiscard]] Result<void> open();
  // Any bytes; always an answer.
  [[nodiscard]] Message answer(Bytes request);
  [[nodiscard]] Counts counts() const;
  [[nodiscard]] std::string head_file() const;

 private:
  Result<Message> carry_out(const SignSeal&);
  Result<Message> carry_out(const AdoptHead&);
  Result<Message> carry_out(const SignCheckpoint&);
  Result<Message> carry_out(const Wrap&);
  Result<Message> carry_out(const Open&);
  Result<Message> carry_out(const Derive&);
  Result<Message> carry_out(const SignLeaf&);
  Result<Message> carry_out(const AskCounts&);
  [[nodiscard]] Result<record::Checkpoint> own_checkpoint(std::string_view note) const;
  void keep(const record::Checkpoint&, std::string note);
  void tell(const std::string& text);
  void count_open();

  const ServiceKeys keys_;
  const ServiceRules rules_;
  record::Files& files_;
  const ServiceClock clock_;
  const std::function<void(std::string_view)> tell_;
  Counts counts_;
  record::Checkpoint head_;        // The newest that was signed; size 0: none.
  std::string head_note_;
  bool is_adopted_ = false;
  Allowance opens_{kOpensAtOnce, kOpensPerSecond}, leaves_{kLeavesAtOnce, kLeavesPerSecond};
  std::chrono::steady_clock::time_point minute_{};
  uint64_t opened_this_minute_ = 0;
  uint32_t told_this_minute_ = 0;
};

}  // namespace weir::signer
