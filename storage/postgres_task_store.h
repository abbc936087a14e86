// The TaskStore over one connection.
#pragma once

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/audit_writer.h"
#include "storage/connection.h"
#include "storage/task_store.h"

namespace capstan::storage {

class PostgresTaskStore final : public TaskStore {
 public:
  static absl::StatusOr<std::unique_ptr<TaskStore>> Create(const StoreOptions& options,
                                                           Observer observer, Clock& clock);

  absl::StatusOr<Put> PutDefinition(const NewDefinition& definition) override;
  absl::StatusOr<DefinitionRow> ReadDefinition(const std::string& name,
                                               const std::string& digest) override;
  absl::StatusOr<std::vector<DefinitionRow>> ListDefinitions() override;
  absl::Status AppendTranscript(const ExecutionId& id, const LeaseRef& lease, std::int64_t first,
                                absl::Span<const NewTranscriptEntry> entries) override;
  absl::StatusOr<TranscriptEnd> ReadTranscriptEnd(const ExecutionId& id) override;
  absl::StatusOr<std::vector<TranscriptRow>> ReadTranscript(const ExecutionId& id,
                                                            std::int64_t after,
                                                            const std::string& step,
                                                            int limit) override;
  absl::StatusOr<std::vector<NewArtifact>> ReadArtifacts(
      const ExecutionId& id, absl::Span<const std::string> names) override;
  absl::StatusOr<ProjectRow> ReadProject(const std::string& project) override;

 private:
  PostgresTaskStore(const StoreOptions& options, const Observer& observer, Clock& clock);

  absl::Mutex mu_;
  Connection connection_ ABSL_GUARDED_BY(mu_);
  const AuditWriter audit_;
};

}  // namespace capstan::storage
