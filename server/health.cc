#include "server/health.h"

#include <pthread.h>

#include <utility>

#include "core/log.h"
#include "server/errors.h"

namespace capstan::server {

HealthMonitor::HealthMonitor(Clock& clock, absl::Duration interval,
                             std::function<absl::Status()> check)
    : clock_(clock),
      interval_(interval),
      check_(std::move(check)),
      status_(absl::UnavailableError("not checked yet")),
      thread_([this](std::stop_token stop) { Run(stop); }) {}

HealthMonitor::~HealthMonitor() { Stop(); }

absl::Status HealthMonitor::status() const {
  absl::MutexLock lock(&mu_);
  return status_;
}

void HealthMonitor::SetDraining() {
  {
    absl::MutexLock lock(&mu_);
    draining_ = true;
  }
  Set(Draining());
}

std::pair<int, bool> HealthMonitor::AddListener(Listener listener) {
  absl::MutexLock lock(&mu_);
  const int key = next_key_++;
  listeners_[key] = std::make_shared<Listener>(std::move(listener));
  return {key, status_.ok()};
}

void HealthMonitor::RemoveListener(int key) {
  absl::MutexLock lock(&mu_);
  listeners_.erase(key);
}

void HealthMonitor::WhenAwayFor(absl::Duration patience, std::function<void()> act) {
  absl::MutexLock lock(&mu_);
  patience_ = patience;
  when_away_ = std::move(act);
}

void HealthMonitor::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void HealthMonitor::Run(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "health");
  do {
    const absl::Status checked = check_();
    Set(checked);
    LookWhetherAway(checked);
  } while (clock_.SleepFor(interval_, stop));
}

void HealthMonitor::Set(const absl::Status& status) {
  std::vector<std::shared_ptr<Listener>> listeners;
  {
    absl::MutexLock lock(&mu_);
    if (draining_ && status.ok()) return;
    const bool changed = status_.ok() != status.ok();
    status_ = status;
    if (!changed) return;
    for (const auto& [key, listener] : listeners_) listeners.push_back(listener);
  }
  if (status.ok()) {
    Log(Level::kInfo, "ready for calls");
  } else {
    Log(Level::kWarning, "not ready for calls", {{"reason", status.message()}});
  }
  for (const auto& listener : listeners) (*listener)(status.ok());
}

void HealthMonitor::LookWhetherAway(const absl::Status& checked) {
  std::function<void()> act;
  {
    absl::MutexLock lock(&mu_);
    if (checked.ok()) away_since_.reset();
    if (checked.ok() || absl::IsResourceExhausted(checked)) return;
    const absl::Duration now = clock_.BootTime();
    if (!away_since_) away_since_ = now;
    if (now - *away_since_ < patience_) return;
    act = when_away_;
  }
  if (act) act();
}

}  // namespace capstan::server
