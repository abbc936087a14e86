// The FeedTailer over one connection that follows and listens, and one for watchers that resume.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/connection.h"
#include "storage/feed.h"

namespace capstan::storage {

class PostgresFeedTailer final : public FeedTailer {
 public:
  static absl::StatusOr<std::unique_ptr<FeedTailer>> Create(const StoreOptions& options,
                                                            Observer observer, Clock& clock);
  ~PostgresFeedTailer() override;

  void Start(Listener listener) override;
  void Stop() override;
  FeedPosition position() const override;
  absl::StatusOr<std::vector<FeedRow>> ReadFrom(const FeedPosition& from, int limit) override;
  std::string database_id() const override { return database_id_; }

 private:
  PostgresFeedTailer(const StoreOptions& options, const Observer& observer, Clock& clock);

  absl::Status FindEnd();
  void Follow();
  absl::Status Listen();
  // Delivers what is new; returns whether there was something.
  absl::StatusOr<bool> Deliver();
  bool stopping() const;

  const StoreOptions options_;
  const Observer observer_;
  Clock& clock_;
  std::string database_id_;
  Connection tail_;  // used by the thread once it runs
  bool listening_ = false;
  Listener listener_;
  std::thread thread_;
  mutable absl::Mutex mu_;
  FeedPosition position_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::Mutex resume_mu_;
  Connection resume_ ABSL_GUARDED_BY(resume_mu_);
};

}  // namespace capstan::storage
