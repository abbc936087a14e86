// What is said in the steps of one task, on its way into the store: gathered, made safe to keep,
// and stored in pieces of 50 entries or every 5 seconds, whichever comes first.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/redact.h"
#include "storage/task_store.h"

namespace capstan::worker {

inline constexpr int kTranscriptFlushEntries = 50;
inline constexpr absl::Duration kTranscriptFlushInterval = absl::Seconds(5);
inline constexpr std::size_t kTranscriptEntryBytes = 64 * 1024;
// Of one iteration; what is said beyond it is counted, not kept.
inline constexpr std::size_t kTranscriptIterationBytes = 8 * 1024 * 1024;

// Thread-safe: the steps of a task run at the same time. Made by std::make_shared.
class Transcript : public std::enable_shared_from_this<Transcript> {
 public:
  using Append = std::function<absl::Status(std::int64_t first,
                                            absl::Span<const storage::NewTranscriptEntry>)>;

  // `next`: number of the next entry. `schedule` calls its argument after a while, or never.
  Transcript(std::int64_t next, Append append,
             std::function<void(absl::Duration, std::function<void()>)> schedule);

  // Texts longer than an entry become several; text that is not UTF-8 is mended.
  void Add(const std::string& step, int attempt, int iteration, storage::TranscriptRole role,
           std::string_view text);

  // Stores what was gathered. An error stays with what is not stored; the next Flush tries again.
  absl::Status Flush();

 private:
  absl::Status FlushLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Append append_;
  const std::function<void(absl::Duration, std::function<void()>)> schedule_;
  absl::Mutex mu_;
  std::int64_t next_ ABSL_GUARDED_BY(mu_);
  std::vector<storage::NewTranscriptEntry> waiting_ ABSL_GUARDED_BY(mu_);
  bool scheduled_ ABSL_GUARDED_BY(mu_) = false;
};

// The transcript of one iteration: joins pieces of text into entries, bounds them, and keeps what
// was said for the combined entry. Used by one thread.
class IterationTranscript {
 public:
  IterationTranscript(Transcript& transcript, const Redactor& redactor, std::string step,
                      int attempt, int iteration);

  // A piece of text, as it comes; whole lines are passed on, and private keys as a whole.
  void Text(std::string_view piece);
  void Entry(storage::TranscriptRole role, std::string_view text);
  // Stores what there is so far.
  absl::Status Flush() { return transcript_.Flush(); }
  // The rest of the last line, all text in one, and everything stored.
  absl::Status End();

 private:
  void PassOn(std::size_t bytes);

  Transcript& transcript_;
  const Redactor& redactor_;
  const std::string step_;
  const int attempt_;
  const int iteration_;
  std::string line_;      // of the text, not yet passed on
  std::string combined_;  // all of it, redacted
  std::size_t tool_bytes_ = 0;
  std::size_t dropped_ = 0;
};

}  // namespace capstan::worker
