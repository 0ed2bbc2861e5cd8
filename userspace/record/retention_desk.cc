#include "record/retention_desk.h"

namespace weir::record {

void RetentionDesk::set_config(RetentionConfig config) {
  const std::lock_guard gate(gate_);
  const std::lock_guard lock(mutex_);
  if (config == config_) return;
  config_ = std::move(config);
  ++generation_;
}

void RetentionDesk::set_surroundings(Surroundings around) {
  const std::lock_guard gate(gate_);
  around_ = std::move(around);
}

void RetentionDesk::close() {
  const std::lock_guard gate(gate_);
  around_.reset();
}

// A file that is away is a file that was taken away, but for the first start.
Result<void> RetentionDesk::open_book() {
  if (is_read_) return {};
  Result<void> read = book_.read();
  if (!read && read.error().kind == Error::Kind::kNotFound && may_create_) {
    read = book_.create(files_);
    if (read) read = book_.read();
  }
  if (!read && read.error().kind == Error::Kind::kNotFound) {
    read = fail(Error::Kind::kCorrupt, book_.path() + ": it is not there, and was: nothing expires until it is put back; if nothing is held, write {\"format\":\"weir holds 1\",\"holds\":[],\"next\":1} into it");
  }
  is_read_ = read.has_value();
  return read;
}

Result<std::vector<Hold>> RetentionDesk::holds() {
  const std::lock_guard gate(gate_);
  if (Result<void> done = open_book(); !done) return tl::unexpected(done.error());
  std::vector<Hold> all = holds_of(config());
  all.insert(all.end(), book_.holds().begin(), book_.holds().end());
  return all;
}

Result<Hold> RetentionDesk::add_hold(Hold hold) {
  const std::lock_guard gate(gate_);
  if (Result<void> done = open_book(); !done) return tl::unexpected(done.error());
  ++generation_;
  return book_.add(files_, std::move(hold));
}

Result<Hold> RetentionDesk::remove_hold(std::string_view id) {
  const std::lock_guard gate(gate_);
  for (const Hold& hold : holds_of(config())) {
    if (hold.id == id) return fail(Error::Kind::kDenied, "it stands in the configuration (retention.holds), and is lifted there");
  }
  if (Result<void> done = open_book(); !done) return tl::unexpected(done.error());
  ++generation_;
  return book_.remove(files_, id);
}

void RetentionDesk::look_now() {
  const std::lock_guard gate(gate_);
  is_look_due_ = true;
}

ExpiryCounts RetentionDesk::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

RetentionConfig RetentionDesk::config() const {
  const std::lock_guard lock(mutex_);
  return config_;
}

}  // namespace weir::record
