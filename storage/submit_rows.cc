#include "storage/submit_rows.h"

#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/event_row.h"

namespace capstan::storage {
namespace {

// Bytes of an execution beside its texts and its event; for the limits of flush and queue.
constexpr std::size_t kItemBytes = 128;

std::string LabelsJson(const std::map<std::string, std::string>& labels) {
  return nlohmann::json(labels).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Numbers the leases of a flush: executions of one queue and priority share one until it is full.
class Chunks {
 public:
  explicit Chunks(const StoreOptions& options) : options_(options) {}

  std::int32_t Next(Queue queue, std::int16_t priority) {
    const int size = queue == Queue::kTask ? options_.task_lease_size : options_.action_lease_size;
    Open& open = open_[{queue, priority}];
    if (open.left == 0) open = {next_++, size};
    --open.left;
    return open.chunk;
  }

 private:
  struct Open {
    std::int32_t chunk = 0;
    int left = 0;
  };
  const StoreOptions& options_;
  std::map<std::pair<Queue, std::int16_t>, Open> open_;
  std::int32_t next_ = 0;
};

}  // namespace

std::size_t SizeOf(const NewExecution& e) {
  std::size_t size = kItemBytes + e.accepted.size() + e.caller.size() + e.action.size() +
                     e.parent_name.size() + e.audit.size();
  for (const auto& [key, value] : e.labels) size += key.size() + value.size() + 8;
  return size;
}

Uuid<RequestTag> KeyOf(const NewExecution& execution, const ExecutionId& id) {
  if (execution.request_id.empty()) return Uuid<RequestTag>(id.bytes());
  const std::string hash =
      Sha256(absl::StrCat(execution.caller, absl::string_view("\0", 1), execution.request_id));
  Uuid<RequestTag>::Bytes bytes;
  hash.copy(reinterpret_cast<char*>(bytes.data()), bytes.size());
  return Uuid<RequestTag>(bytes);
}

Params SubmitParams(std::span<const SubmitRow> rows, const StoreOptions& options) {
  const std::size_t n = rows.size();
  Array ids(Element::kUuid, n * 20), keys(Element::kUuid, n * 20), hashes(Element::kBytes, n * 36);
  Array chunks(Element::kInt4, n * 8), queues(Element::kInt2, n * 6),
      priorities(Element::kInt2, n * 6);
  Array actions(Element::kText, n * 24), callers(Element::kText, n * 24),
      parents(Element::kText, n * 24);
  Array steps(Element::kInt4, n * 8), labels(Element::kText, n * 24);
  Array bodies(Element::kBytes, n * 256);
  Chunks chunk(options);
  for (const SubmitRow& row : rows) {
    const NewExecution& e = *row.execution;
    ids.Add(row.id);
    keys.Add(row.key);
    hashes.Add(e.request_hash);
    chunks.Add(chunk.Next(e.queue, e.priority));
    queues.Add(static_cast<std::int16_t>(e.queue));
    priorities.Add(e.priority);
    actions.Add(e.action);
    callers.Add(e.caller);
    if (e.parent_name.empty()) {
      parents.AddNull();
      steps.AddNull();
    } else {
      parents.Add(e.parent_name);
      steps.Add(e.parent_step);
    }
    if (e.labels.empty()) {
      labels.AddNull();
    } else {
      labels.Add(LabelsJson(e.labels));
    }
    bodies.Add(EncodeEvents({&e.accepted, 1}));
  }
  Params params;
  params.Add(std::move(ids)).Add(std::move(keys)).Add(std::move(hashes)).Add(std::move(chunks));
  params.Add(std::move(queues))
      .Add(std::move(priorities))
      .Add(std::move(actions))
      .Add(std::move(callers));
  params.Add(std::move(parents)).Add(std::move(steps)).Add(std::move(labels));
  params.Add(std::move(bodies));
  return params;
}

std::string SubmittedAudit(const ExecutionId& id, const std::string& audit) {
  return absl::StrCat("{\"execution\":\"", id.ToString(), "\",\"submitted\":", audit, "}");
}

}  // namespace capstan::storage
