#include "worker/log_copier.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/kubernetes/log_reader.h"

namespace capstan::worker {
namespace {

std::vector<std::string> ContainersOf(const nlohmann::json& pod) {
  std::vector<std::string> names;
  const nlohmann::json spec = pod.value("spec", nlohmann::json::object());
  for (const char* list : {"initContainers", "containers"}) {
    for (const nlohmann::json& container : spec.value(list, nlohmann::json::array())) {
      names.push_back(container.value("name", ""));
    }
  }
  return names;
}

bool HasEnded(const nlohmann::json& pod, const std::string& container) {
  const nlohmann::json status = pod.value("status", nlohmann::json::object());
  for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
    for (const nlohmann::json& one : status.value(list, nlohmann::json::array())) {
      if (one.value("name", "") != container) continue;
      return one.value("state", nlohmann::json::object()).contains("terminated");
    }
  }
  return false;
}

constexpr std::size_t kMaxReasonBytes = 200;

std::string RestIsMissing(absl::string_view reason) {
  return Cat("\n[the rest of the log is missing: ", reason.substr(0, kMaxReasonBytes), "]\n");
}

}  // namespace

absl::Status LogCopier::Copy(kubernetes::Client& client, const kubernetes::JobObservation& job,
                             bool ended, const Append& append) {
  if (job.pods.empty()) {
    return ended ? append(stored_, RestIsMissing("the pod is gone")) : absl::OkStatus();
  }
  const nlohmann::json& pod = job.pods.front();  // there is never a second one
  const nlohmann::json metadata = pod.value("metadata", nlohmann::json::object());
  const std::vector<std::string> containers = ContainersOf(pod);
  while (container_ < containers.size()) {
    const std::string& container = containers[container_];
    const bool over = ended || HasEnded(pod, container);
    const absl::StatusOr<kubernetes::LogPiece> piece = kubernetes::ReadLogPiece(
        client, {metadata.value("namespace", ""), metadata.value("name", ""), container}, read_,
        over);
    if (!piece.ok()) {
      // Its reader has to know; the status is that of the read.
      if (ended) append(stored_, RestIsMissing(piece.status().message())).IgnoreError();
      return piece.status();
    }
    std::string bytes;
    if (piece->offset > read_) {
      bytes = absl::StrCat("\n[", piece->offset - read_, " bytes left out]\n");
    }
    bytes += piece->bytes;
    if (!bytes.empty()) {
      CAPSTAN_RETURN_IF_ERROR(append(stored_, bytes));
      stored_ += static_cast<std::int64_t>(bytes.size());
    }
    read_ = piece->next_offset;
    if (!over) return absl::OkStatus();
    ++container_;
    read_ = 0;
  }
  return absl::OkStatus();
}

}  // namespace capstan::worker
