#include "storage/postgres_task_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/failpoint.h"
#include "core/status_macros.h"
#include "storage/project_money.h"
#include "storage/schema.h"
#include "storage/sql.h"

namespace capstan::storage {
namespace {

std::vector<DefinitionRow> ReadDefinitions(const Rows& rows) {
  std::vector<DefinitionRow> out;
  for (int i = 0; i < rows.size(); ++i) {
    out.push_back({rows.Text(i, 0), static_cast<std::int32_t>(rows.Int(i, 1)), rows.Text(i, 2),
                   rows.Text(i, 3), rows.Text(i, 4), rows.Time(i, 5)});
  }
  return out;
}

Params ByNameAndDigest(const std::string& name, const std::string& digest) {
  Params params = Params().Add(name);
  digest.empty() ? params.Null() : params.Add(digest);
  return params;
}

absl::StatusOr<DefinitionRow> OnlyDefinition(const Rows& rows, const std::string& name) {
  std::vector<DefinitionRow> found = ReadDefinitions(rows);
  if (found.empty()) return absl::NotFoundError(absl::StrCat("there is no workflow ", name));
  return std::move(found.front());
}

}  // namespace

absl::StatusOr<std::unique_ptr<TaskStore>> PostgresTaskStore::Create(const StoreOptions& options,
                                                                     Observer observer,
                                                                     Clock& clock) {
  CAPSTAN_RETURN_IF_ERROR(CheckOptions(options));
  std::unique_ptr<PostgresTaskStore> store(new PostgresTaskStore(options, observer, clock));
  absl::MutexLock lock(&store->mu_);
  CAPSTAN_RETURN_IF_ERROR(CheckSchemaOn(store->connection_));
  return std::unique_ptr<TaskStore>(std::move(store));
}

PostgresTaskStore::PostgresTaskStore(const StoreOptions& options, const Observer& observer,
                                     Clock& clock)
    : connection_(options, "task", Planning::kCustom, observer, clock), audit_(clock.Now()) {}

absl::StatusOr<TaskStore::Put> PostgresTaskStore::PutDefinition(const NewDefinition& definition) {
  absl::MutexLock lock(&mu_);
  Put put;
  CAPSTAN_RETURN_IF_ERROR(RunTransaction(
      connection_, [&](Transaction& transaction) ABSL_NO_THREAD_SAFETY_ANALYSIS -> absl::Status {
        CAPSTAN_RETURN_IF_ERROR(transaction.Run(sql::kDefinitionLock).status());
        CAPSTAN_ASSIGN_OR_RETURN(
            const Rows made,
            transaction.Run(sql::kDefinitionPut, Params()
                                                     .Add(definition.name)
                                                     .Add(definition.digest)
                                                     .Add(definition.body)
                                                     .Add(definition.caller)
                                                     .Add(definition.comes_with_program)));
        put.made = made.Bool(0, 0);
        if (put.made && !definition.audit.empty())
          CAPSTAN_RETURN_IF_ERROR(audit_.Append(connection_, {definition.audit}));
        CAPSTAN_ASSIGN_OR_RETURN(
            const Rows newest,
            transaction.Run(sql::kDefinitionRead, ByNameAndDigest(definition.name, "")));
        CAPSTAN_ASSIGN_OR_RETURN(put.row, OnlyDefinition(newest, definition.name));
        return transaction.Commit();
      }));
  return put;
}

absl::StatusOr<DefinitionRow> PostgresTaskStore::ReadDefinition(const std::string& name,
                                                                const std::string& digest) {
  absl::MutexLock lock(&mu_);
  CAPSTAN_ASSIGN_OR_RETURN(
      const Rows rows, RunRead(connection_, sql::kDefinitionRead, ByNameAndDigest(name, digest)));
  return OnlyDefinition(rows, digest.empty() ? name : absl::StrCat(name, "@", digest));
}

absl::StatusOr<std::vector<DefinitionRow>> PostgresTaskStore::ListDefinitions() {
  absl::MutexLock lock(&mu_);
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, RunRead(connection_, sql::kDefinitionList, {}));
  return ReadDefinitions(rows);
}

absl::Status PostgresTaskStore::AppendTranscript(const ExecutionId& id, const LeaseRef& lease,
                                                 std::int64_t first,
                                                 absl::Span<const NewTranscriptEntry> entries) {
  if (entries.empty()) return absl::OkStatus();
  CAPSTAN_RETURN_IF_ERROR(HitFailpoint("transcript.append"));
  Array steps(Element::kText, 0), attempts(Element::kInt4, 0), iterations(Element::kInt4, 0);
  Array roles(Element::kInt2, 0), bodies(Element::kText, 0);
  for (const NewTranscriptEntry& entry : entries) {
    steps.Add(entry.step);
    attempts.Add(entry.attempt);
    iterations.Add(entry.iteration);
    roles.Add(static_cast<std::int16_t>(entry.role));
    bodies.Add(entry.text);
  }
  Params params;
  params.Add(id).Add(lease.id).Add(lease.epoch).Add(first);
  params.Add(std::move(steps)).Add(std::move(attempts)).Add(std::move(iterations));
  params.Add(std::move(roles)).Add(std::move(bodies));
  absl::MutexLock lock(&mu_);
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, RunRead(connection_, sql::kTranscriptAppend, params));
  if (rows.empty())
    return absl::FailedPreconditionError("transcript: somebody else owns the execution now");
  if (rows.Int(0, 0) < first - 1)
    return absl::OutOfRangeError("transcript: entries before this one are missing");
  return absl::OkStatus();
}

absl::StatusOr<TranscriptEnd> PostgresTaskStore::ReadTranscriptEnd(const ExecutionId& id) {
  absl::MutexLock lock(&mu_);
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows,
                           RunRead(connection_, sql::kTranscriptEnd, Params().Add(id)));
  if (rows.empty()) return absl::NotFoundError(absl::StrCat("there is no ", ExecutionName(id)));
  return TranscriptEnd{rows.Int(0, 0), rows.Bool(0, 1)};
}

absl::StatusOr<std::vector<TranscriptRow>> PostgresTaskStore::ReadTranscript(
    const ExecutionId& id, std::int64_t after, const std::string& step, int limit) {
  Params params = Params().Add(id).Add(after);
  step.empty() ? params.Null() : params.Add(step);
  params.Add(std::int64_t{limit});
  absl::MutexLock lock(&mu_);
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, RunRead(connection_, sql::kTranscriptRead, params));
  std::vector<TranscriptRow> out;
  for (int i = 0; i < rows.size(); ++i) {
    TranscriptRow& row = out.emplace_back();
    row.number = rows.Int(i, 0);
    row.at = rows.Time(i, 1);
    row.entry = {rows.Text(i, 2), static_cast<std::int32_t>(rows.Int(i, 3)),
                 static_cast<std::int32_t>(rows.Int(i, 4)),
                 static_cast<TranscriptRole>(rows.Int(i, 5)), rows.Text(i, 6)};
  }
  return out;
}

absl::StatusOr<std::vector<NewArtifact>> PostgresTaskStore::ReadArtifacts(
    const ExecutionId& id, absl::Span<const std::string> names) {
  std::vector<NewArtifact> out;
  if (names.empty()) return out;
  Array array(Element::kText, 0);
  for (const std::string& name : names) array.Add(name);
  absl::MutexLock lock(&mu_);
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, RunRead(connection_, sql::kArtifactReadSome,
                                                    Params().Add(id).Add(std::move(array))));
  for (int i = 0; i < rows.size(); ++i)
    out.push_back({rows.Text(i, 0), rows.Text(i, 1), rows.Text(i, 2)});
  return out;
}

absl::StatusOr<ProjectRow> PostgresTaskStore::ReadProject(const std::string& project) {
  absl::MutexLock lock(&mu_);
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows,
                           RunRead(connection_, sql::kProjectRead, Params().Add(project)));
  return ReadProjectRow(rows, project);
}

}  // namespace capstan::storage
