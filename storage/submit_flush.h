// The Submitter over one connection and one flush thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "storage/audit_writer.h"
#include "storage/combiner.h"
#include "storage/connection.h"
#include "storage/database_clock.h"
#include "storage/retry.h"
#include "storage/submit_rows.h"
#include "storage/submitter.h"

namespace capstan::storage {

class FlushingSubmitter final : public Submitter {
 public:
  using Done = std::function<void(absl::StatusOr<SubmitResult>)>;

  // Measures the database's clock and checks the schema.
  static absl::StatusOr<std::unique_ptr<Submitter>> Create(const StoreOptions& options,
                                                           Observer observer, Clock& clock);
  ~FlushingSubmitter() override;

  void Submit(NewExecution execution, Done done) override;
  absl::Time DatabaseNow() override { return database_clock_.Now(); }

 private:
  struct Item {
    NewExecution execution;
    Done done;
    absl::Duration deadline;
    ExecutionId id;           // minted by the flush
    Uuid<RequestTag> key;     // of caller and request id
    std::vector<Done> twins;  // the same key and body again in one flush
  };

  FlushingSubmitter(const StoreOptions& options, Observer observer, Clock& clock);

  absl::Status MeasureClock();
  void Flush(std::vector<Item> items);
  // Gives keys and ids, and folds items of one key and body into the first of them. Those of one
  // key and another body go to `later`, for a flush of their own.
  std::vector<Item*> Fold(std::vector<Item>& items, std::vector<Item>& later);
  absl::Status Send(std::span<Item*> items);
  // One transaction. ALREADY_EXISTS: a key exists, and was not looked for or not there yet.
  absl::StatusOr<Rows> Store(std::span<Item*> items, Params params, bool look);
  absl::Status Audit(std::span<Item*> items, const Rows& result);
  // Answers all; those whose key existed before the flush with what it names.
  absl::Status AnswerExisting(std::span<Item*> items, const Rows& result);
  static void Answer(Item& item, const ExecutionId& id, bool deduplicated,
                     std::string_view stored_hash);
  static void Fail(Item& item, const absl::Status& error);

  const StoreOptions options_;
  Clock& clock_;
  Connection connection_;  // used by the flush thread once it runs
  AuditWriter audit_;
  DatabaseClock database_clock_;
  int looks_ = 0;  // in how many more flushes keys are looked for first
  std::unique_ptr<Combiner<Item>> combiner_;
};

}  // namespace capstan::storage
