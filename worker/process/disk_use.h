// How much folders hold that a program writes into meanwhile. Counted are blocks, as the disk
// does: a sparse file by what it has, a hard link once. Links are not followed, other file systems
// not entered; every folder is opened beneath the one that was given, so that nothing that is moved
// meanwhile leads out.
#pragma once

#include <dirent.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "worker/process/fd.h"

namespace capstan::process {

struct DiskUse {
  std::int64_t bytes = 0;
  std::int64_t files = 0;  // and folders, but for those that were given
  bool too_deep = false;   // below a path longer than the system takes nothing can be counted
};

// One look, in pieces. What is moved while it is looked at may be counted not at all; what a worker
// that is not root may not open is not.
class DiskWalk {
 public:
  explicit DiskWalk(const std::vector<std::string>& folders);

  // Goes on for about so long; true when all of it was seen.
  bool Go(absl::Duration budget);
  const DiskUse& use() const { return use_; }
  // How long that took so far.
  absl::Duration took() const { return took_; }

 private:
  struct Close {
    void operator()(DIR* folder) const { closedir(folder); }
  };

  struct Folder {
    std::size_t root = 0;
    std::string path;  // from there
  };

  void Open(Folder folder);
  void Count(const dirent& entry);

  std::vector<Fd> roots_;
  std::vector<Folder> left_;
  std::unique_ptr<DIR, Close> open_;
  Folder at_;                                                 // what is open
  std::set<std::pair<std::uint64_t, std::uint64_t>> linked_;  // by device and number
  DiskUse use_;
  absl::Duration took_;
};

}  // namespace capstan::process
