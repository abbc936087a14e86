// The Reader over a small pool of connections.
#pragma once

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/audit_writer.h"
#include "storage/connection.h"
#include "storage/reader.h"

namespace capstan::storage {

class PostgresReader final : public Reader {
 public:
  static absl::StatusOr<std::unique_ptr<Reader>> Create(const StoreOptions& options,
                                                        Observer observer, Clock& clock);

  absl::StatusOr<std::vector<StoredEvent>> ReadEvents(const ExecutionId& id, std::int32_t after_seq,
                                                      int limit) override;
  absl::StatusOr<std::vector<StoredEvent>> ReadAllEvents(
      absl::Span<const ExecutionId> ids) override;
  absl::StatusOr<std::vector<ExecutionId>> ListExecutions(const ExecutionFilter& filter,
                                                          const ExecutionId& before,
                                                          int limit) override;
  absl::StatusOr<std::vector<ExecutionId>> ListLive(const ExecutionFilter& filter,
                                                    const ExecutionId& after, int limit) override;
  absl::StatusOr<SignalResult> AppendSignal(const ExecutionId& id,
                                            const NewSignal& signal) override;
  absl::StatusOr<StandingRow> ReadStanding(const ExecutionId& id) override;
  absl::StatusOr<std::vector<WorkerRow>> ListWorkers() override;
  absl::StatusOr<Log> ReadLog(const ExecutionId& id, std::int64_t offset, int limit) override;
  absl::Status CheckReady() override;
  absl::StatusOr<Stats> ReadStats() override;

 private:
  // A connection taken from the pool, and its way back.
  class Loan {
   public:
    Loan(PostgresReader& reader, std::unique_ptr<Connection> connection);
    Loan(Loan&&) = default;
    ~Loan();
    Connection& operator*() const { return *connection_; }

   private:
    PostgresReader* reader_;
    std::unique_ptr<Connection> connection_;
  };

  PostgresReader(const StoreOptions& options, const Observer& observer, Clock& clock);

  absl::StatusOr<Loan> Borrow();
  absl::StatusOr<Rows> RunOne(const Statement& statement, const Params& params);
  absl::StatusOr<std::vector<ExecutionId>> List(const Statement& statement, const Params& params);
  absl::StatusOr<SignalResult> AppendIn(Transaction& transaction, Connection& connection,
                                        const ExecutionId& id, const NewSignal& signal);
  bool HasIdle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !idle_.empty(); }

  const StoreOptions options_;
  const AuditWriter audit_;
  absl::Mutex mu_;
  std::vector<std::unique_ptr<Connection>> idle_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::storage
