#include "tests/support/kubesim/pod_logs.h"

#include <algorithm>

namespace capstan::kubesim {

void PodLogs::Append(const std::string& pod_uid, const std::string& container, absl::Time now,
                     std::string_view text) {
  {
    absl::MutexLock lock(&mu_);
    Log& log = logs_[{pod_uid, container}];
    for (char c : text) {
      if (log.text.size() >= kMaxLogBytes) break;
      if (log.text.empty() || log.text.back() == '\n') log.line_times[log.text.size()] = now;
      log.text.push_back(c);
    }
  }
  signal_.Notify();
}

void PodLogs::Finish(const std::string& pod_uid, const std::string& container) {
  {
    absl::MutexLock lock(&mu_);
    logs_[{pod_uid, container}].finished = true;
  }
  signal_.Notify();
}

void PodLogs::Drop(const std::string& pod_uid) {
  {
    absl::MutexLock lock(&mu_);
    auto from = logs_.lower_bound({pod_uid, ""});
    auto to = from;
    while (to != logs_.end() && to->first.first == pod_uid) ++to;
    logs_.erase(from, to);
  }
  signal_.Notify();
}

const PodLogs::Log* PodLogs::Find(const std::string& pod_uid, const std::string& container) const {
  auto it = logs_.find({pod_uid, container});
  return it == logs_.end() ? nullptr : &it->second;
}

std::string PodLogs::Render(const Log& log, size_t from, bool timestamps) {
  if (!timestamps) return log.text.substr(from);
  std::string text;
  while (from < log.text.size()) {
    auto time = log.line_times.find(from);
    if (time != log.line_times.end()) {
      text += absl::FormatTime("%Y-%m-%dT%H:%M:%E9SZ ", time->second, absl::UTCTimeZone());
    }
    size_t end = std::min(log.text.find('\n', from), log.text.size() - 1) + 1;
    text += log.text.substr(from, end - from);
    from = end;
  }
  return text;
}

PodLogs::Slice PodLogs::Read(const std::string& pod_uid, const LogQuery& query) const {
  absl::MutexLock lock(&mu_);
  const Log* log = Find(pod_uid, query.container);
  // A pod that is gone took its log along; one that has not printed yet may still do so.
  if (log == nullptr) return {};
  size_t from = 0;
  if (query.since.has_value()) {
    auto first = std::find_if(log->line_times.begin(), log->line_times.end(),
                              [&](const auto& line) { return line.second >= *query.since; });
    from = first == log->line_times.end() ? log->text.size() : first->first;
  }
  if (query.tail_lines >= 0) {
    size_t lines = log->line_times.size();
    size_t skip = lines - std::min<size_t>(lines, query.tail_lines);
    auto first = std::next(log->line_times.begin(), static_cast<std::ptrdiff_t>(skip));
    from = std::max(from, first == log->line_times.end() ? log->text.size() : first->first);
  }
  Slice slice{Render(*log, from, query.timestamps), log->text.size(), log->finished};
  if (query.limit_bytes >= 0 && slice.text.size() > static_cast<size_t>(query.limit_bytes)) {
    slice.text.resize(query.limit_bytes);
    slice.finished = true;
  }
  return slice;
}

PodLogs::Slice PodLogs::ReadFrom(const std::string& pod_uid, const LogQuery& query,
                                 size_t from) const {
  absl::MutexLock lock(&mu_);
  const Log* log = Find(pod_uid, query.container);
  if (log == nullptr) return {"", from, false};
  return {Render(*log, std::min(from, log->text.size()), query.timestamps), log->text.size(),
          log->finished};
}

}  // namespace capstan::kubesim
