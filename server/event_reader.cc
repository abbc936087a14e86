#include "server/event_reader.h"

#include <pthread.h>

#include <utility>

#include "core/log.h"
#include "core/text.h"
#include "server/errors.h"

namespace capstan::server {
namespace {

// What an entry costs besides its stored bytes, roughly.
constexpr std::size_t kEntryBytes = 512;

std::size_t Cost(const EventList& list) { return list.bytes * 2 + kEntryBytes; }

}  // namespace

EventReader::EventReader(storage::Reader& reader, Options options)
    : reader_(reader), options_(options) {
  for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this, i] { Run(i); });
}

EventReader::~EventReader() { Stop(); }

void EventReader::ReadLatest(const ExecutionId& id, Done done) {
  EventListPtr cached = FindCached(id);
  if (cached != nullptr && cached->terminal) return done(std::move(cached));
  Enqueue(id, std::move(done));
}

void EventReader::ReadAtLeast(const ExecutionId& id, std::int32_t seq, Done done) {
  EventListPtr cached = FindCached(id);
  if (cached != nullptr && cached->last_seq() >= seq) return done(std::move(cached));
  Enqueue(id, std::move(done));
}

void EventReader::Enqueue(const ExecutionId& id, Done done) {
  absl::Status refused;
  {
    absl::MutexLock lock(&mu_);
    if (stopping_) {
      refused = Draining();
    } else if (waiting_.size() >= options_.max_waiting) {
      refused =
          Error(absl::StatusCode::kResourceExhausted, "OVERLOADED", "too many reads are waiting");
    } else {
      std::vector<Done>& waiters = waiting_[id];
      if (waiters.empty()) order_.push_back(id);
      waiters.push_back(std::move(done));
      return;
    }
  }
  done(refused);
}

void EventReader::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void EventReader::Run(int index) {
  pthread_setname_np(pthread_self(), Cat("events-", index).c_str());
  while (true) {
    std::vector<ExecutionId> ids;
    std::vector<std::vector<Done>> waiters;
    {
      absl::MutexLock lock(&mu_);
      const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        return stopping_ || !order_.empty();
      };
      mu_.Await(absl::Condition(&ready));
      if (order_.empty()) return;
      while (!order_.empty() && static_cast<int>(ids.size()) < options_.batch) {
        const ExecutionId id = order_.front();
        order_.pop_front();
        const auto it = waiting_.find(id);
        ids.push_back(id);
        waiters.push_back(std::move(it->second));
        waiting_.erase(it);
      }
    }
    ReadBatch(ids, std::move(waiters));
  }
}

void EventReader::ReadBatch(const std::vector<ExecutionId>& ids,
                            std::vector<std::vector<Done>> waiters) {
  const absl::StatusOr<std::vector<storage::StoredEvent>> rows = reader_.ReadAllEvents(ids);
  // Ordered by execution as asked, then seq.
  std::size_t begin = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    absl::StatusOr<EventListPtr> list = nullptr;
    if (!rows.ok()) {
      list = rows.status();
    } else {
      std::size_t end = begin;
      while (end < rows->size() && (*rows)[end].execution == ids[i]) ++end;
      if (begin == end) {
        list = ExecutionNotFound(ExecutionName(ids[i]));
      } else {
        list = MakeEventList(absl::MakeConstSpan(*rows).subspan(begin, end - begin));
      }
      begin = end;
    }
    if (list.ok()) {
      Keep(*list);
    } else if (absl::IsInternal(list.status())) {
      Log(Level::kError, "stored events are broken",
          {{"execution", ids[i].ToString()}, {"error", list.status().message()}});
    }
    for (const Done& done : waiters[i]) done(list);
  }
}

EventListPtr EventReader::FindCached(const ExecutionId& id) {
  absl::MutexLock lock(&cache_mu_);
  const auto it = cache_.find(id);
  if (it == cache_.end()) return nullptr;
  ages_.splice(ages_.begin(), ages_, it->second.age);
  return it->second.list;
}

void EventReader::Keep(const EventListPtr& list) {
  if (Cost(*list) > options_.cache_bytes / 8) return;
  absl::MutexLock lock(&cache_mu_);
  const auto it = cache_.find(list->id);
  if (it != cache_.end()) {
    if (it->second.list->last_seq() >= list->last_seq()) return;  // another thread read later
    cached_bytes_ += Cost(*list) - Cost(*it->second.list);
    it->second.list = list;
    ages_.splice(ages_.begin(), ages_, it->second.age);
  } else {
    ages_.push_front(list->id);
    cache_[list->id] = {list, ages_.begin()};
    cached_bytes_ += Cost(*list);
  }
  while (cached_bytes_ > options_.cache_bytes) {
    const auto oldest = cache_.find(ages_.back());
    cached_bytes_ -= Cost(*oldest->second.list);
    cache_.erase(oldest);
    ages_.pop_back();
  }
}

}  // namespace capstan::server
