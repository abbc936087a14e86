#include "worker/commit_and_wait.h"

#include <memory>
#include <utility>

#include "absl/synchronization/notification.h"

namespace capstan::worker {

absl::StatusOr<storage::CommitResult> CommitAndWait(storage::Committer& committer,
                                                    storage::Commit commit) {
  struct Answer {
    absl::Notification done;
    absl::StatusOr<storage::CommitResult> result = absl::UnavailableError("no answer");
  };
  auto answer = std::make_shared<Answer>();
  committer.Commit(std::move(commit), [answer](absl::StatusOr<storage::CommitResult> result) {
    answer->result = std::move(result);
    answer->done.Notify();
  });
  answer->done.WaitForNotification();
  return answer->result;
}

}  // namespace capstan::worker
