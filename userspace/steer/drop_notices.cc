#include "steer/drop_notices.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstring>

#include "abi.h"
#include "steer/pinned_map.h"
#include "steer/reasons.h"
#include "steer/target_map.h"

namespace weir::steer {
namespace {
constexpr uint32_t kNoticesMax = 1024;
}

DropNotices::DropNotices(Callback callback) : callback_(std::move(callback)) {}
DropNotices::~DropNotices() { ring_buffer__free(ring_); }

Result<std::unique_ptr<DropNotices>> DropNotices::open(const Config& config, Callback callback) {
  const auto options = options_of(config);
  if (!options) return tl::unexpected<Error>(options.error());
  auto map = open_map(*options, "notices", 0, 0);
  if (!map) return tl::unexpected<Error>(map.error());
  std::unique_ptr<DropNotices> notices(new DropNotices(std::move(callback)));
  notices->map_ = std::move(*map);
  notices->ring_ = ring_buffer__new(notices->map_.get(), sample, notices.get(), nullptr);
  if (notices->ring_ == nullptr) return fail(Error::Kind::kSystem, std::string("drop notices: ") + std::strerror(errno), errno);
  return notices;
}

int DropNotices::fd() const { return ring_buffer__epoll_fd(ring_); }

int DropNotices::sample(void* context, void* data, size_t size) {
  auto* self = static_cast<DropNotices*>(context);
  weir_notice record;
  if (size < sizeof record) return 0;
  std::memcpy(&record, data, sizeof record);
  DropNotice notice;
  notice.boot_ns = record.boot_ns;
  notice.reason = record.reason < kReasons.size() ? kReasons[record.reason].name : "unknown";
  notice.is_drop = record.reason >= kReasons.size() || kReasons[record.reason].kind == ReasonClass::kDropped;
  notice.interface = record.interface;
  notice.protocol = record.protocol;
  notice.tcp_flags = record.tcp_flags;
  notice.source = {from_abi(record.source), ntohs(record.source_port)};
  notice.destination = {from_abi(record.destination), ntohs(record.destination_port)};
  self->callback_(notice);
  // A negative answer ends this round; the rest is still there at the next.
  return ++self->handled_ >= kNoticesMax ? -ECANCELED : 0;
}

uint32_t DropNotices::handle() {
  handled_ = 0;
  ring_buffer__consume(ring_);
  return handled_;
}

}  // namespace weir::steer
