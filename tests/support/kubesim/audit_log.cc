#include "tests/support/kubesim/audit_log.h"

#include <cerrno>
#include <cstring>
#include <utility>
#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {

Json AuditEntryToJson(const AuditEntry& entry) {
  return {{"time", absl::FormatTime(absl::RFC3339_full, entry.time, absl::UTCTimeZone())},
          {"verb", entry.verb},
          {"resource", entry.resource},
          {"subresource", entry.subresource},
          {"namespace", entry.namespace_name},
          {"name", entry.name},
          {"uid", entry.uid},
          {"user_agent", entry.user_agent},
          {"code", entry.code},
          {"applied", entry.applied},
          {"reply_cut", entry.reply_cut},
          {"dry_run", entry.dry_run},
          {"actor_job", entry.actor_job}};
}

AuditLog::~AuditLog() {
  absl::MutexLock lock(&mu_);
  if (file_ != nullptr) std::fclose(file_);
}

absl::Status AuditLog::OpenFile(const std::string& path) {
  absl::MutexLock lock(&mu_);
  file_ = std::fopen(path.c_str(), "w");
  if (file_ == nullptr) {
    return absl::UnavailableError(Cat("audit log ", path, ": ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

void AuditLog::Add(AuditEntry entry) {
  absl::MutexLock lock(&mu_);
  if (file_ != nullptr) {
    std::string line = AuditEntryToJson(entry).dump(-1, ' ', false, Json::error_handler_t::replace);
    std::fprintf(file_, "%s\n", line.c_str());
    std::fflush(file_);
  }
  entries_.push_back(std::move(entry));
}

void AuditLog::AddPodRun(PodRun run) {
  absl::MutexLock lock(&mu_);
  pod_runs_.push_back(std::move(run));
}

void AuditLog::AddScale(ScaleRecord record) {
  absl::MutexLock lock(&mu_);
  scales_.push_back(std::move(record));
}

std::vector<AuditEntry> AuditLog::Entries() const {
  absl::MutexLock lock(&mu_);
  return entries_;
}

std::vector<PodRun> AuditLog::PodRuns() const {
  absl::MutexLock lock(&mu_);
  return pod_runs_;
}

std::vector<ScaleRecord> AuditLog::Scales() const {
  absl::MutexLock lock(&mu_);
  return scales_;
}

}  // namespace capstan::kubesim
