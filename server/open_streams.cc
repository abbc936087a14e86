#include "server/open_streams.h"

#include <utility>
#include <vector>

#include "core/text.h"
#include "server/errors.h"

namespace capstan::server {

absl::Status OpenStreams::Add(std::weak_ptr<EndableStream> stream) {
  const EndableStream* key = stream.lock().get();
  absl::MutexLock lock(&mu_);
  if (draining_) return Draining();
  if (streams_.size() >= kMaxStreams) {
    return Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_STREAMS",
                 Cat("this server has ", kMaxStreams, " open streams"));
  }
  streams_[key] = std::move(stream);
  return absl::OkStatus();
}

void OpenStreams::Remove(const EndableStream* stream) {
  absl::MutexLock lock(&mu_);
  streams_.erase(stream);
}

std::size_t OpenStreams::size() const {
  absl::MutexLock lock(&mu_);
  return streams_.size();
}

void OpenStreams::Drain() {
  std::vector<std::shared_ptr<EndableStream>> open;
  {
    absl::MutexLock lock(&mu_);
    draining_ = true;
    for (const auto& [key, weak] : streams_) {
      if (auto stream = weak.lock()) open.push_back(std::move(stream));
    }
  }
  for (const auto& stream : open) stream->End(Draining());
}

absl::Status OpenStreams::Admit() const {
  absl::MutexLock lock(&mu_);
  return draining_ ? Draining() : absl::OkStatus();
}

void OpenStreams::EndThoseThatNeedTheStore() {
  std::vector<std::shared_ptr<EndableStream>> open;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [key, weak] : streams_) {
      auto stream = weak.lock();
      if (stream != nullptr && stream->needs_store()) open.push_back(std::move(stream));
    }
  }
  for (const auto& stream : open) stream->End(StoreAway());
}

}  // namespace capstan::server
