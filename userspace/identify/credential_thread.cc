#include "identify/credential_thread.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "identify/certificates.h"

namespace weir::identify {
namespace {

void wipe(std::string& secret) {
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

}  // namespace

CredentialThread::CredentialThread(Parts parts, std::size_t waiting_max) : parts_(std::move(parts)), waiting_max_(waiting_max) {
  thread_ = std::thread([this] { serve(); });
}

CredentialThread::~CredentialThread() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
  for (Question& question : waiting_) wipe(question.token);
}

bool CredentialThread::ask(Question question) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= waiting_max_) {
      wipe(question.token);
      return false;
    }
    asked_.insert(question.session);
    waiting_.push_back(std::move(question));
  }
  changed_.notify_one();
  return true;
}

bool CredentialThread::ask_token(uint64_t session, const Address& from, std::string token) {
  return ask({session, from, std::move(token), std::nullopt});
}

bool CredentialThread::ask_certificate(uint64_t session, const Address& from, const PeerCertificate& certificate) {
  return ask({session, from, {}, certificate});
}

bool CredentialThread::take(uint64_t session, CredentialAnswer& answer) {
  const std::lock_guard lock(mutex_);
  const auto found = answers_.find(session);
  if (found == answers_.end()) return false;
  answer = std::move(found->second);
  answers_.erase(found);
  asked_.erase(session);
  return true;
}

void CredentialThread::forget(uint64_t session) {
  const std::lock_guard lock(mutex_);
  if (asked_.erase(session) == 0) return;
  answers_.erase(session);
  const auto waits = std::find_if(waiting_.begin(), waiting_.end(), [session](const Question& each) { return each.session == session; });
  if (waits == waiting_.end()) return;
  wipe(waits->token);
  waiting_.erase(waits);
}

bool CredentialThread::is_in_force(const Identity& identity) { return parts_.known.is_in_force(identity.binding_id); }

CredentialAnswer CredentialThread::answer(Question& question) {
  const std::chrono::sys_seconds now = parts_.now();
  if (question.certificate) {
    const auto identity = identity_of(*question.certificate, *parts_.certificates());
    if (!identity) return {CredentialResult::kCertificate, nullptr, identity.error().message};
    return parts_.known.admit(*identity, key_of(*question.certificate), question.from, now);
  }
  const auto token = parts_.tokens()->verify(question.token, now);
  wipe(question.token);
  if (!token) {
    const bool is_late = token.error().kind == Error::Kind::kUnavailable;
    return {is_late ? CredentialResult::kNoKeys : CredentialResult::kToken, nullptr, token.error().message};
  }
  return parts_.known.admit(*token, question.from, now);
}

void CredentialThread::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return is_stopping_ || !waiting_.empty(); });
    if (is_stopping_) return;
    Question question = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    CredentialAnswer made = answer(question);
    wipe(question.token);
    lock.lock();
    // Who is not asked any more went away meanwhile.
    if (!asked_.contains(question.session)) continue;
    answers_[question.session] = std::move(made);
    parts_.wake(question.session);  // Under the lock: after its take() or forget() nobody is woken, so that a core can end.
  }
}

}  // namespace weir::identify
