// The streams that are open now, so that a draining server can end them all.
#pragma once

#include <cstddef>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace capstan::server {

class EndableStream {
 public:
  virtual ~EndableStream() = default;
  // Ends the stream with this error after the message that is being written.
  virtual void End(const absl::Status& status) = 0;
  // Whether it has nothing true to say while the store is away.
  virtual bool needs_store() const { return true; }
};

// Thread-safe.
class OpenStreams {
 public:
  // Streams of all kinds on one server.
  static constexpr std::size_t kMaxStreams = 65'536;

  // UNAVAILABLE when draining, RESOURCE_EXHAUSTED when there are too many: end it with that.
  absl::Status Add(std::weak_ptr<EndableStream> stream);
  void Remove(const EndableStream* stream);
  std::size_t size() const;

  // Ends every stream with Draining(), and refuses new ones from now on.
  void Drain();
  // OK, or Draining(): answer a call that needs no stream with that.
  absl::Status Admit() const;

  // Ends every stream that needs the store with StoreAway().
  void EndThoseThatNeedTheStore();

 private:
  mutable absl::Mutex mu_;
  absl::flat_hash_map<const EndableStream*, std::weak_ptr<EndableStream>> streams_
      ABSL_GUARDED_BY(mu_);
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace capstan::server
