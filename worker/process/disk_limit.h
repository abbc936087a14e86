// That a child keeps to Limits::disk_bytes and disk_files: looked at in turns that leave the disk
// ten times as long alone as a look takes.
#pragma once

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "worker/process/disk_use.h"
#include "worker/process/process.h"

namespace capstan::process {

class DiskLimit {
 public:
  explicit DiskLimit(const Limits& limits) : limits_(limits) {}

  // One piece of a look where one is due; how long until there is more to do.
  absl::Duration Look(absl::Duration now);
  // A whole look, for when nobody writes any more.
  void LookAtAll();
  // What is wrong, for a person; empty: nothing so far.
  const std::string& complaint() const { return complaint_; }

 private:
  bool Limited() const;
  void Judge(const DiskUse& use);

  const Limits& limits_;
  std::optional<DiskWalk> walk_;
  absl::Duration due_ = -absl::InfiniteDuration();
  std::string complaint_;
};

}  // namespace capstan::process
