#include "session/directory.h"

#include <utility>

namespace weir::session {
namespace {
std::string subject_of(const LiveSession& session) { return session.identity ? session.identity->subject : std::string(); }
// Two targets may give the same key.
std::string key_of(std::string_view target, Bytes key) { return std::string(target) + '\0' + std::string(as_text(key)); }
}  // namespace

void Directory::enter(LiveSession session) {
  const std::lock_guard lock(mutex_);
  const uint64_t id = session.id;
  sessions_[id] = Entry{std::move(session), {}, false};
}

void Directory::identify(uint64_t id, const IdentityPtr& identity) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(id);
  if (found != sessions_.end()) found->second.session.identity = identity;
}

void Directory::leave(uint64_t id) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  if (!found->second.cancel_key.empty()) by_key_.erase(found->second.cancel_key);
  sessions_.erase(found);
}

void Directory::publish_cancel_key(uint64_t id, Bytes key) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(id);
  if (found == sessions_.end() || key.empty()) return;
  if (!found->second.cancel_key.empty()) by_key_.erase(found->second.cancel_key);
  found->second.cancel_key = key_of(found->second.session.target, key);
  by_key_[found->second.cancel_key] = id;
}

bool Directory::may_cancel(Bytes key, std::string_view target, std::string_view subject) const {
  const std::lock_guard lock(mutex_);
  const auto id = by_key_.find(key_of(target, key));
  if (id == by_key_.end()) return false;
  const auto found = sessions_.find(id->second);
  return found != sessions_.end() && subject_of(found->second.session) == subject;
}

bool Directory::may_cancel_from(Bytes key, std::string_view target, const Address& client) const {
  const std::lock_guard lock(mutex_);
  const auto id = by_key_.find(key_of(target, key));
  if (id == by_key_.end()) return false;
  const auto found = sessions_.find(id->second);
  return found != sessions_.end() && found->second.session.client.address == client;
}

void Directory::note_cancel(Bytes key, std::string_view target) {
  const std::lock_guard lock(mutex_);
  const auto id = by_key_.find(key_of(target, key));
  if (id == by_key_.end()) return;
  if (const auto found = sessions_.find(id->second); found != sessions_.end()) found->second.is_cancelled = true;
}

bool Directory::take_cancel(uint64_t id) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(id);
  return found != sessions_.end() && std::exchange(found->second.is_cancelled, false);
}

std::vector<LiveSession> Directory::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<LiveSession> all;
  all.reserve(sessions_.size());
  for (const auto& [id, entry] : sessions_) all.push_back(entry.session);
  return all;
}

std::optional<LiveSession> Directory::find(uint64_t id) const {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return std::nullopt;
  return found->second.session;
}

std::size_t Directory::count() const {
  const std::lock_guard lock(mutex_);
  return sessions_.size();
}

}  // namespace weir::session
