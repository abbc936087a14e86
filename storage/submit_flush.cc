#include "storage/submit_flush.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/failpoint.h"
#include "core/status_macros.h"
#include "storage/errors.h"
#include "storage/schema.h"
#include "storage/sql.h"

namespace capstan::storage {
namespace {

// After a key was found to exist: in how many flushes without such a key they are still looked for.
constexpr int kLooks = 100;

// The keys of a flush that existed before it.
std::vector<Uuid<RequestTag>> KnownKeys(const Rows& result) {
  return result.Uuids<Uuid<RequestTag>>(0, 1);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Submitter>> FlushingSubmitter::Create(const StoreOptions& options,
                                                                     Observer observer,
                                                                     Clock& clock) {
  CAPSTAN_RETURN_IF_ERROR(CheckOptions(options));
  std::unique_ptr<FlushingSubmitter> submitter(
      new FlushingSubmitter(options, std::move(observer), clock));
  CAPSTAN_RETURN_IF_ERROR(CheckSchemaOn(submitter->connection_));
  CAPSTAN_RETURN_IF_ERROR(submitter->MeasureClock());
  FlushingSubmitter* const self = submitter.get();
  submitter->combiner_ = std::make_unique<Combiner<Item>>(
      "submit",
      CombinerLimits{options.flush_items, options.flush_bytes, options.queue_items,
                     options.queue_bytes},
      self->connection_.observer(),
      [self](std::vector<Item> items) { self->Flush(std::move(items)); });
  return submitter;
}

FlushingSubmitter::FlushingSubmitter(const StoreOptions& options, Observer observer, Clock& clock)
    : options_(options),
      clock_(clock),
      connection_(options, "submit", Planning::kGeneric, std::move(observer), clock),
      audit_(clock.Now()),
      database_clock_(clock) {}

FlushingSubmitter::~FlushingSubmitter() {
  if (combiner_ != nullptr) combiner_->Stop();
}

absl::Status FlushingSubmitter::MeasureClock() {
  const absl::Time before = database_clock_.Before();
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, connection_.Run(sql::kClockRead));
  database_clock_.Measured(before, rows.Time(0, 0));
  return absl::OkStatus();
}

void FlushingSubmitter::Submit(NewExecution execution, Done done) {
  const std::size_t size = SizeOf(execution);
  Item item{std::move(execution),
            std::move(done),
            clock_.BootTime() + options_.submit_timeout,
            {},
            {},
            {}};
  if (combiner_->Add(item, size)) return;
  item.done(combiner_->stopping()
                ? absl::UnavailableError("submit: stopping")
                : absl::ResourceExhaustedError("submit: too many requests are waiting"));
}

std::vector<FlushingSubmitter::Item*> FlushingSubmitter::Fold(std::vector<Item>& items,
                                                              std::vector<Item>& later) {
  const absl::Time now = DatabaseNow();
  absl::flat_hash_map<Uuid<RequestTag>, Item*> first;
  std::vector<Item*> folded;
  for (Item& item : items) {
    item.id = ExecutionId::Make(now);
    item.key = KeyOf(item.execution, item.id);
    const auto [found, fresh] = first.try_emplace(item.key, &item);
    if (fresh) {
      folded.push_back(&item);
    } else if (found->second->execution.request_hash == item.execution.request_hash) {
      found->second->twins.push_back(std::move(item.done));
    } else {
      later.push_back(std::move(item));
    }
  }
  return folded;
}

void FlushingSubmitter::Flush(std::vector<Item> items) {
  FlushSteps<Item> steps;
  steps.send = [this](std::span<Item*> part, bool) { return Send(part); };
  steps.fail = [](Item& item, const absl::Status& error) { Fail(item, error); };
  steps.deadline = [](const Item& item) { return item.deadline; };
  steps.stopping = [this] { return combiner_->stopping(); };
  while (!items.empty()) {
    std::vector<Item> later;
    FlushUntilKnown(Fold(items, later), connection_, clock_, steps);
    items = std::move(later);
  }
}

absl::Status FlushingSubmitter::Send(std::span<Item*> items) {
  std::vector<SubmitRow> rows;
  rows.reserve(items.size());
  for (const Item* item : items) rows.push_back({item->id, item->key, &item->execution});
  const Params params = SubmitParams(rows, options_);
  if (absl::Status lost = HitFailpoint("submit.before_commit"); !lost.ok()) {
    connection_.Close();
    return lost;
  }
  absl::StatusOr<Rows> stored = Store(items, params, looks_ > 0);
  if (absl::IsAlreadyExists(stored.status()) && looks_ == 0) {
    looks_ = kLooks;
    stored = Store(items, params, true);
  }
  // Another flush has just stored one of the keys: sent again, this one finds it.
  if (absl::IsAlreadyExists(stored.status()))
    return absl::AbortedError("submit: a request id was stored meanwhile");
  CAPSTAN_RETURN_IF_ERROR(stored.status());
  if (looks_ > 0) looks_ = KnownKeys(*stored).empty() ? looks_ - 1 : kLooks;
  if (absl::Status lost = HitFailpoint("submit.after_commit"); !lost.ok()) {
    connection_.Close();
    return lost;
  }
  return AnswerExisting(items, *stored);
}

absl::StatusOr<Rows> FlushingSubmitter::Store(std::span<Item*> items, Params params, bool look) {
  params.Add(look);
  const bool audited = std::any_of(items.begin(), items.end(),
                                   [](const Item* item) { return !item->execution.audit.empty(); });
  // One statement is a transaction by itself, which saves two round trips.
  Transaction transaction(connection_);
  if (audited) CAPSTAN_RETURN_IF_ERROR(transaction.Begin());
  const absl::Time before = database_clock_.Before();
  CAPSTAN_ASSIGN_OR_RETURN(Rows rows, transaction.Run(sql::kSubmit, params));
  database_clock_.Measured(before, rows.Time(0, 0));
  if (audited) {
    CAPSTAN_RETURN_IF_ERROR(Audit(items, rows));
    CAPSTAN_RETURN_IF_ERROR(transaction.Commit());
  }
  return rows;
}

// What was stored now, and not what was there already.
absl::Status FlushingSubmitter::Audit(std::span<Item*> items, const Rows& result) {
  const auto known = KnownKeys(result);
  const absl::flat_hash_set<Uuid<RequestTag>> old(known.begin(), known.end());
  std::vector<std::string> entries;
  for (const Item* item : items) {
    if (item->execution.audit.empty() || old.contains(item->key)) continue;
    entries.push_back(SubmittedAudit(item->id, item->execution.audit));
  }
  return audit_.Append(connection_, entries);
}

absl::Status FlushingSubmitter::AnswerExisting(std::span<Item*> items, const Rows& result) {
  const auto lost = KnownKeys(result);
  struct Existing {
    ExecutionId id;
    std::string hash;
  };
  absl::flat_hash_map<Uuid<RequestTag>, Existing> existing;
  if (!lost.empty()) {
    Array keys(Element::kUuid, lost.size() * 20);
    for (const auto& key : lost) keys.Add(key);
    CAPSTAN_ASSIGN_OR_RETURN(const Rows rows,
                             connection_.Run(sql::kSubmitExisting, Params().Add(std::move(keys))));
    for (int i = 0; i < rows.size(); ++i) {
      existing[rows.Uuid<Uuid<RequestTag>>(i, 0)] = {rows.Uuid<ExecutionId>(i, 1), rows.Text(i, 2)};
    }
    if (existing.size() !=
        lost.size()) {  // a key was dropped as too old just now: it is free again
      return absl::UnavailableError("submit: a request id expired meanwhile");
    }
  }
  for (Item* item : items) {
    const auto found = existing.find(item->key);
    if (found == existing.end()) {
      Answer(*item, item->id, false, item->execution.request_hash);
    } else {  // its own id: an earlier try of this flush stored it
      Answer(*item, found->second.id, found->second.id != item->id, found->second.hash);
    }
  }
  return absl::OkStatus();
}

void FlushingSubmitter::Answer(Item& item, const ExecutionId& id, bool deduplicated,
                               std::string_view stored_hash) {
  const bool same = item.execution.request_hash == stored_hash;
  item.done(same ? absl::StatusOr<SubmitResult>(SubmitResult{id, deduplicated})
                 : RequestIdReused(id));
  for (const Done& twin : item.twins) {
    twin(same ? absl::StatusOr<SubmitResult>(SubmitResult{id, true}) : RequestIdReused(id));
  }
}

void FlushingSubmitter::Fail(Item& item, const absl::Status& error) {
  item.done(error);
  for (const Done& twin : item.twins) twin(error);
}

}  // namespace capstan::storage
