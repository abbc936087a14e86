#include "worker/task/transcript.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/utf8.h"

namespace capstan::worker {

using storage::NewTranscriptEntry;
using storage::TranscriptRole;

Transcript::Transcript(std::int64_t next, Append append,
                       std::function<void(absl::Duration, std::function<void()>)> schedule)
    : append_(std::move(append)), schedule_(std::move(schedule)), next_(next) {}

void Transcript::Add(const std::string& step, int attempt, int iteration, TranscriptRole role,
                     std::string_view text) {
  const std::string safe = MendUtf8(text);
  bool first = true;
  absl::MutexLock lock(&mu_);
  for (std::size_t at = 0; first || at < safe.size(); first = false) {
    const std::string_view part = Head(std::string_view(safe).substr(at), kTranscriptEntryBytes);
    waiting_.push_back({step, attempt, iteration, role, std::string(part)});
    at += part.size();
  }
  if (waiting_.size() >= kTranscriptFlushEntries) {
    (void)FlushLocked();  // what it was is known again at the end of the iteration
    return;
  }
  if (std::exchange(scheduled_, true)) return;
  schedule_(kTranscriptFlushInterval, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) (void)self->Flush();
  });
}

absl::Status Transcript::Flush() {
  absl::MutexLock lock(&mu_);
  scheduled_ = false;
  return FlushLocked();
}

absl::Status Transcript::FlushLocked() {
  while (!waiting_.empty()) {
    const std::size_t count = std::min<std::size_t>(waiting_.size(), 200);
    const absl::Status stored = append_(next_, absl::MakeConstSpan(waiting_.data(), count));
    if (!stored.ok()) return stored;
    next_ += static_cast<std::int64_t>(count);
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
  }
  return absl::OkStatus();
}

IterationTranscript::IterationTranscript(Transcript& transcript, const Redactor& redactor,
                                         std::string step, int attempt, int iteration)
    : transcript_(transcript),
      redactor_(redactor),
      step_(std::move(step)),
      attempt_(attempt),
      iteration_(iteration) {}

// Passes on the beginning of the text. Redacted as whole lines, so that no secret is missed because
// it came in two pieces.
void IterationTranscript::PassOn(std::size_t bytes) {
  const std::string text = redactor_.Redact(std::string_view(line_).substr(0, bytes));
  line_.erase(0, bytes);
  if (combined_.size() + text.size() > kTranscriptIterationBytes) {
    dropped_ += text.size();
    return;
  }
  combined_ += text;
  transcript_.Add(step_, attempt_, iteration_, TranscriptRole::kChunk, text);
}

void IterationTranscript::Text(std::string_view piece) {
  line_.append(piece);
  const std::size_t end = line_.rfind('\n') + 1;  // 0: there is no line yet
  const std::size_t whole = std::min(end, Redactor::Whole(line_));
  if (whole > 0) {
    PassOn(whole);
  } else if (line_.size() >= kTranscriptEntryBytes) {
    PassOn(line_.size());
  }
}

void IterationTranscript::Entry(TranscriptRole role, std::string_view text) {
  if (!line_.empty()) PassOn(line_.size());
  std::string safe = redactor_.Redact(text);
  if (role == TranscriptRole::kToolCall || role == TranscriptRole::kToolResult) {
    safe = std::string(Head(safe, kTranscriptEntryBytes));
    if (tool_bytes_ + safe.size() > kTranscriptIterationBytes) {
      dropped_ += safe.size();
      return;
    }
    tool_bytes_ += safe.size();
  }
  transcript_.Add(step_, attempt_, iteration_, role, safe);
}

absl::Status IterationTranscript::End() {
  if (!line_.empty()) PassOn(line_.size());
  if (dropped_ > 0) {
    Entry(TranscriptRole::kNote, absl::StrCat(dropped_, " more bytes of text were not kept"));
  }
  if (!combined_.empty())
    transcript_.Add(step_, attempt_, iteration_, TranscriptRole::kCombined, combined_);
  return transcript_.Flush();
}

}  // namespace capstan::worker
