#include "server/executions_stream.h"

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "server/filter.h"

namespace capstan::server {
namespace {

constexpr int kRowsAtOnce = 64;

bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
}

}  // namespace

struct ExecutionsStream::EventReads {
  std::vector<absl::StatusOr<EventListPtr>> lists;  // each written once, by its own read
  std::atomic<std::size_t> left;
};

void ExecutionsStream::Follow(const v1::WatchExecutionsRequest& request) {
  absl::StatusOr<storage::ExecutionFilter> filter =
      ParseFilter(request.filter(), StateTerms::kRefused);
  if (!filter.ok()) return End(filter.status());
  filter_text_ = request.filter();
  filter_ = *filter;
  std::optional<WatchCursor> cursor;
  if (!request.cursor().empty()) {
    absl::StatusOr<WatchCursor> read =
        ReadCursor(parts_.tokens, parts_.tailer.database_id(), filter_text_, request.cursor());
    if (!read.ok()) return End(read.status());
    cursor = *std::move(read);
  }
  // Registered first: what comes after this position is told to this stream.
  parts_.hub.WatchFeed(Self());
  const storage::FeedPosition position = parts_.tailer.position();
  {
    absl::MutexLock lock(&mu_);
    if (cursor) {
      progress_.emplace(*std::move(filter), *cursor);
    } else {
      progress_.emplace(*std::move(filter), position);
    }
  }
  Pump();
}

void ExecutionsStream::FeedMoved() {
  {
    absl::MutexLock lock(&mu_);
    if (progress_) progress_->FeedMoved();
  }
  Pump();
}

void ExecutionsStream::Submitted(const ExecutionId& id) {
  {
    absl::MutexLock lock(&mu_);
    if (progress_) progress_->Submitted(id);
  }
  Pump();
}

ExecutionsStream::Turn ExecutionsStream::Next(v1::WatchExecutionsResponse& response) {
  if (!progress_) return Turn::kNothing;
  const absl::StatusOr<bool> filled =
      progress_->Fill(parts_.clock.Now(), *response.mutable_update());
  if (!filled.ok()) {
    end_ = filled.status();
    return Turn::kWork;
  }
  if (!*filled) return progress_->wants_more() ? Turn::kWork : Turn::kNothing;
  response.set_cursor(
      MakeCursor(parts_.tokens, parts_.tailer.database_id(), filter_text_, progress_->cursor()));
  return Turn::kWrite;
}

void ExecutionsStream::HeartbeatDue() {
  if (progress_) progress_->HeartbeatDue();
}

void ExecutionsStream::Work() {
  using Need = ExecutionsProgress::Need;
  Need need = Need::kNothing;
  {
    absl::MutexLock lock(&mu_);
    // While a message is on its way its reader may be slow: what comes next can wait.
    if (!progress_ || reading_ || pausing_ || writing_ || finished_ || cancelled_ || end_) return;
    need = std::exchange(failed_, Need::kNothing);
    if (need == Need::kNothing) need = progress_->Next();
    if (need == Need::kNothing) return;
    need_ = need;
    reading_ = true;
  }
  switch (need) {
    case Need::kLivePage:
      return OnPool(&ExecutionsStream::ReadLivePage);
    case Need::kRows:
      return ReadRows();
    case Need::kEvents:
      return ReadEvents();
    case Need::kNothing:
      return;
  }
}

void ExecutionsStream::Closed() { parts_.hub.UnwatchFeed(this); }

void ExecutionsStream::OnPool(void (ExecutionsStream::*read)()) {
  if (parts_.pool.TrySubmit([self = Self(), read] { (self.get()->*read)(); })) return;
  Failed(Error(absl::StatusCode::kResourceExhausted, "OVERLOADED", "too many calls wait"));
}

void ExecutionsStream::ReadLivePage() {
  ExecutionId after;
  {
    absl::MutexLock lock(&mu_);
    after = progress_->scanned();
  }
  const absl::StatusOr<std::vector<ExecutionId>> ids =
      parts_.reader.ListLive(filter_, after, kWatchBatch);
  if (!ids.ok()) return Failed(ids.status());
  {
    absl::MutexLock lock(&mu_);
    progress_->DeliverLivePage(*ids);
  }
  Done();
}

void ExecutionsStream::ReadRows() {
  storage::FeedPosition from;
  {
    absl::MutexLock lock(&mu_);
    from = progress_->rows_from();
  }
  WatchHub::Rows rows = parts_.hub.RowsAfter(from, kRowsAtOnce);
  if (rows.behind) {
    const auto read = [self = Self(), from] { self->ReadRowsFromStore(from); };
    if (parts_.pool.TrySubmit(read)) return;
    return Failed(Error(absl::StatusCode::kResourceExhausted, "OVERLOADED", "too many calls wait"));
  }
  {
    absl::MutexLock lock(&mu_);
    progress_->DeliverRows(std::move(rows.rows), std::nullopt);
  }
  Done();
}

void ExecutionsStream::ReadRowsFromStore(const storage::FeedPosition& from) {
  // Taken first: whatever is at or below it will be in the answer, unless that is full.
  const storage::FeedPosition end = parts_.tailer.position();
  absl::StatusOr<std::vector<storage::FeedRow>> read = parts_.tailer.ReadFrom(from, kRowsAtOnce);
  if (absl::IsOutOfRange(read.status())) {
    read = Error(absl::StatusCode::kOutOfRange, "CURSOR_EXPIRED",
                 "cursor: got one older than what is kept, want none: start again");
  }
  if (!read.ok()) return Failed(read.status());
  std::vector<WatchHub::RowPtr> rows;
  for (storage::FeedRow& row : *read) {
    if (row.kind == storage::FeedKind::kSignal) row.reached.clear();  // no events
    rows.push_back(std::make_shared<const storage::FeedRow>(std::move(row)));
  }
  const bool all = rows.size() < kRowsAtOnce;
  {
    absl::MutexLock lock(&mu_);
    progress_->DeliverRows(std::move(rows), all ? std::optional(end) : std::nullopt);
  }
  Done();
}

void ExecutionsStream::ReadEvents() {
  std::vector<ExecutionsProgress::Wanted> wanted;
  {
    absl::MutexLock lock(&mu_);
    wanted = progress_->wanted();
  }
  auto reads = std::make_shared<EventReads>();
  reads->lists.resize(wanted.size(), absl::UnknownError("not read"));
  reads->left = wanted.size();
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto done = [self = Self(), reads, i](absl::StatusOr<EventListPtr> list) {
      reads->lists[i] = std::move(list);
      if (reads->left.fetch_sub(1) == 1) self->OnEvents(std::move(reads->lists));
    };
    if (wanted[i].seq == 0) {
      parts_.events.ReadLatest(wanted[i].id, done);
    } else {
      parts_.events.ReadAtLeast(wanted[i].id, wanted[i].seq, done);
    }
  }
}

void ExecutionsStream::OnEvents(std::vector<absl::StatusOr<EventListPtr>> lists) {
  std::vector<EventListPtr> found;
  for (absl::StatusOr<EventListPtr>& list : lists) {
    if (!list.ok() && !absl::IsNotFound(list.status())) return Failed(list.status());
    // Gone: its time was over and its partition was dropped.
    found.push_back(list.ok() ? *std::move(list) : nullptr);
  }
  {
    absl::MutexLock lock(&mu_);
    progress_->DeliverEvents(std::move(found));
  }
  Done();
}

void ExecutionsStream::Done() {
  {
    absl::MutexLock lock(&mu_);
    reading_ = false;
    failing_since_.reset();
  }
  Pump();
}

void ExecutionsStream::Failed(const absl::Status& status) {
  bool pause = false;
  {
    absl::MutexLock lock(&mu_);
    reading_ = false;
    failed_ = need_;
    const absl::Duration now = parts_.clock.BootTime();
    if (!failing_since_) failing_since_ = now;
    pause = MayPass(status) && now - *failing_since_ < parts_.options.store_patience;
    pausing_ = pause;
    if (!pause && !end_) end_ = status;
  }
  if (pause) {
    parts_.timer.After(parts_.options.read_retry, [weak = std::weak_ptr(Self())] {
      const auto self = weak.lock();
      if (self == nullptr) return;
      {
        absl::MutexLock lock(&self->mu_);
        self->pausing_ = false;
      }
      self->Pump();
    });
  }
  Pump();
}

}  // namespace capstan::server
