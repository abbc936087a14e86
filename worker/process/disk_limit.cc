#include "worker/process/disk_limit.h"

#include <algorithm>

#include "core/text.h"

namespace capstan::process {
namespace {

constexpr absl::Duration kPiece = absl::Milliseconds(5);
constexpr absl::Duration kLeastPause = absl::Milliseconds(250);
constexpr int kPauseForALook = 10;
constexpr std::int64_t kMib = 1 << 20;

}  // namespace

bool DiskLimit::Limited() const {
  return !limits_.measured.empty() && (limits_.disk_bytes > 0 || limits_.disk_files > 0);
}

void DiskLimit::Judge(const DiskUse& use) {
  if (limits_.disk_bytes > 0 && use.bytes > limits_.disk_bytes) {
    complaint_ = Cat("the workspace holds ", (use.bytes + kMib - 1) / kMib, " MiB, more than the ",
                     limits_.disk_bytes / kMib, " MiB that tasks.workspace_mib allows");
  } else if (limits_.disk_files > 0 && use.files > limits_.disk_files) {
    complaint_ = Cat("the workspace holds ", use.files, " files and folders, more than the ",
                     limits_.disk_files, " that tasks.workspace_files allows");
  } else if (use.too_deep) {
    complaint_ = "the workspace has folders too deep for the system to name";
  }
}

absl::Duration DiskLimit::Look(absl::Duration now) {
  if (!Limited() || !complaint_.empty()) return absl::InfiniteDuration();
  if (!walk_.has_value()) {
    if (now < due_) return due_ - now;
    walk_.emplace(limits_.measured);
  }
  const bool whole = walk_->Go(kPiece);
  Judge(walk_->use());
  if (!whole) return absl::ZeroDuration();
  const absl::Duration pause = std::max(kLeastPause, kPauseForALook * walk_->took());
  walk_.reset();
  due_ = now + pause;
  return pause;
}

void DiskLimit::LookAtAll() {
  if (!Limited() || !complaint_.empty()) return;
  DiskWalk walk(limits_.measured);
  while (!walk.Go(kPiece) && complaint_.empty()) Judge(walk.use());
  Judge(walk.use());
}

}  // namespace capstan::process
