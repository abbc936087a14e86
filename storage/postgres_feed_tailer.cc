#include "storage/postgres_feed_tailer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/log.h"
#include "core/status_macros.h"
#include "storage/schema.h"
#include "storage/sql.h"

namespace capstan::storage {
namespace {

constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();
constexpr char kChannel[] = "capstan_feed";

// xid8 has no binary form we could read portably; it travels as text.
std::uint64_t Xid(std::string_view text) {
  std::uint64_t xid = 0;
  CAPSTAN_CHECK(absl::SimpleAtoi(absl::string_view(text.data(), text.size()), &xid));
  return xid;
}

struct Page {
  std::uint64_t settled = 0;  // every transaction below this one has ended
  std::vector<FeedRow> rows;
  absl::Duration oldest;  // age of the first row
};

absl::StatusOr<Page> ReadPage(Connection& connection, const FeedPosition& from,
                              const FeedPosition& to, int limit) {
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows,
                           connection.Run(sql::kFeedRead, Params()
                                                              .Add(absl::StrCat(from.xid))
                                                              .Add(from.position)
                                                              .Add(absl::StrCat(to.xid))
                                                              .Add(to.position)
                                                              .Add(std::int64_t{limit})));
  Page page;
  page.settled = Xid(rows.Bytes(0, 0));
  if (rows.IsNull(0, 1)) return page;
  page.oldest = rows.Interval(0, 6);
  for (int i = 0; i < rows.size(); ++i) {
    FeedRow row;
    row.position = {Xid(rows.Bytes(i, 1)), rows.Int(i, 2)};
    row.kind = static_cast<FeedKind>(rows.Int(i, 3));
    const auto ids = rows.Uuids<ExecutionId>(i, 4);
    const auto seqs = rows.Ints(i, 5);
    for (std::size_t k = 0; k < ids.size(); ++k)
      row.reached.emplace_back(ids[k], static_cast<std::int32_t>(seqs[k]));
    page.rows.push_back(std::move(row));
  }
  return page;
}

constexpr FeedPosition kEnd{std::numeric_limits<std::uint64_t>::max(), kLast};

}  // namespace

absl::StatusOr<std::unique_ptr<FeedTailer>> PostgresFeedTailer::Create(const StoreOptions& options,
                                                                       Observer observer,
                                                                       Clock& clock) {
  CAPSTAN_RETURN_IF_ERROR(CheckOptions(options));
  std::unique_ptr<PostgresFeedTailer> tailer(new PostgresFeedTailer(options, observer, clock));
  CAPSTAN_RETURN_IF_ERROR(CheckSchemaOn(tailer->tail_));
  CAPSTAN_RETURN_IF_ERROR(tailer->FindEnd());
  return std::unique_ptr<FeedTailer>(std::move(tailer));
}

PostgresFeedTailer::PostgresFeedTailer(const StoreOptions& options, const Observer& observer,
                                       Clock& clock)
    : options_(options),
      observer_(observer),
      clock_(clock),
      tail_(options, "feed", Planning::kGeneric, observer, clock),
      resume_(options, "resume", Planning::kGeneric, observer, clock) {}

PostgresFeedTailer::~PostgresFeedTailer() { Stop(); }

absl::Status PostgresFeedTailer::FindEnd() {
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, tail_.Run(sql::kFeedStart));
  database_id_ = rows.Text(0, 1);
  absl::MutexLock lock(&mu_);
  position_ = {Xid(rows.Bytes(0, 0)) - 1, kLast};
  return absl::OkStatus();
}

void PostgresFeedTailer::Start(Listener listener) {
  if (thread_.joinable()) return;
  listener_ = std::move(listener);
  thread_ = std::thread([this] { Follow(); });
}

void PostgresFeedTailer::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  tail_.Wake();
  if (thread_.joinable()) thread_.join();
}

bool PostgresFeedTailer::stopping() const {
  absl::MutexLock lock(&mu_);
  return stopping_;
}

FeedPosition PostgresFeedTailer::position() const {
  absl::MutexLock lock(&mu_);
  return position_;
}

absl::Status PostgresFeedTailer::Listen() {
  if (listening_ && tail_.connected()) return absl::OkStatus();
  listening_ = false;
  CAPSTAN_RETURN_IF_ERROR(tail_.Listen(kChannel));
  listening_ = true;
  return absl::OkStatus();
}

void PostgresFeedTailer::Follow() {
  absl::Status last = absl::OkStatus();
  bool busy = false;
  while (!stopping()) {
    absl::Status status = Listen();
    if (status.ok()) {
      const absl::StatusOr<bool> delivered = Deliver();
      status = delivered.status();
      busy = busy || (delivered.ok() && *delivered);
    }
    if (status.ok()) {
      const auto notified =
          tail_.AwaitNotification(busy ? options_.feed_poll_busy : options_.feed_poll);
      status = notified.status();
      // What was announced may wait for an older transaction to end: look again soon.
      busy = notified.ok() && *notified;
    }
    if (!status.ok() && last.ok())
      Log(Level::kWarning, "feed interrupted", {{"error", status.ToString()}});
    if (status.ok() && !last.ok()) Log(Level::kInfo, "feed resumed");
    last = status;
    if (!status.ok())
      clock_.SleepFor(std::max(tail_.retry_in(), options_.reconnect_least), std::stop_token());
  }
}

absl::StatusOr<bool> PostgresFeedTailer::Deliver() {
  bool some = false;
  while (!stopping()) {
    CAPSTAN_ASSIGN_OR_RETURN(const Page page,
                             ReadPage(tail_, position(), kEnd, options_.feed_rows));
    const bool full = page.rows.size() == static_cast<std::size_t>(options_.feed_rows);
    if (!page.rows.empty()) {
      some = true;
      if (observer_.feed_lag) observer_.feed_lag(page.oldest);
      listener_(page.rows);
    }
    {
      absl::MutexLock lock(&mu_);
      // A page that was not full was all there is below the settled border.
      const FeedPosition reached =
          full ? page.rows.back().position : FeedPosition{page.settled - 1, kLast};
      position_ = std::max(position_, reached);
    }
    if (!full) break;
  }
  return some;
}

absl::StatusOr<std::vector<FeedRow>> PostgresFeedTailer::ReadFrom(const FeedPosition& from,
                                                                  int limit) {
  const FeedPosition to = position();
  if (from > to) return absl::OutOfRangeError("feed: this place is beyond the end");
  absl::MutexLock lock(&resume_mu_);
  CAPSTAN_ASSIGN_OR_RETURN(Page page, ReadPage(resume_, from, to, limit));
  // After reading: what was deleted before or while we read lies below the horizon now.
  CAPSTAN_ASSIGN_OR_RETURN(const Rows horizon, resume_.Run(sql::kFeedHorizon));
  if (from < FeedPosition{Xid(horizon.Bytes(0, 0)), horizon.Int(0, 1)}) {
    return absl::OutOfRangeError("feed: this place is behind the oldest row that is kept");
  }
  return std::move(page.rows);
}

}  // namespace capstan::storage
