// What only tasks need: definitions of workflows, transcripts, what steps left behind, and budgets
// of projects. Used by servers and workers. Blocking, thread-safe (one connection). UNAVAILABLE:
// the database is away; a change may have happened, and can be done again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "storage/types.h"

namespace capstan::storage {

struct NewDefinition {
  std::string name = {};
  std::string digest = {};
  std::string body = {};  // serialised v1::Workflow
  std::string caller = {};
  std::string audit = {};  // JSON for the audit log, when it is stored; empty: none
  // It comes with the program: not stored when it ever was, so that an older program that starts
  // does not make its own definitions the current ones again.
  bool comes_with_program = false;
};

struct DefinitionRow {
  std::string name;
  std::int32_t version = 0;
  std::string digest;
  std::string body;
  std::string caller;
  absl::Time created_at;
};

enum class TranscriptRole : std::int16_t {
  kPrompt = 1,
  kChunk = 2,
  kToolCall = 3,
  kToolResult = 4,
  kResponse = 5,
  kCombined = 6,
  kNote = 7,
};

struct NewTranscriptEntry {
  std::string step = {};
  std::int32_t attempt = 0;
  std::int32_t iteration = 0;
  TranscriptRole role = TranscriptRole::kNote;
  std::string text = {};  // UTF-8 without NUL
};

struct TranscriptRow {
  std::int64_t number = 0;
  absl::Time at;
  NewTranscriptEntry entry;
};

struct TranscriptEnd {
  std::int64_t number = 0;  // of the last entry; 0: none
  bool complete = false;    // the execution has ended: nothing will follow
};

class TaskStore {
 public:
  virtual ~TaskStore() = default;

  // Makes a definition the newest one of its name, unless it is that already. `made` says whether.
  struct Put {
    DefinitionRow row;  // the newest
    bool made = false;
  };
  virtual absl::StatusOr<Put> PutDefinition(const NewDefinition& definition) = 0;
  // The newest, or the one with a digest. NOT_FOUND.
  virtual absl::StatusOr<DefinitionRow> ReadDefinition(const std::string& name,
                                                       const std::string& digest) = 0;
  // The newest of each name, by name.
  virtual absl::StatusOr<std::vector<DefinitionRow>> ListDefinitions() = 0;

  // Appends entries that get the numbers `first`, first + 1, … under the fence of lease and
  // execution.lease_id; those that are stored already are skipped. FAILED_PRECONDITION: fenced;
  // OUT_OF_RANGE: entries before `first` are missing.
  virtual absl::Status AppendTranscript(const ExecutionId& id, const LeaseRef& lease,
                                        std::int64_t first,
                                        absl::Span<const NewTranscriptEntry> entries) = 0;
  // NOT_FOUND: no such execution.
  virtual absl::StatusOr<TranscriptEnd> ReadTranscriptEnd(const ExecutionId& id) = 0;
  // Entries above `after`, of one step unless it is empty, at most `limit`.
  virtual absl::StatusOr<std::vector<TranscriptRow>> ReadTranscript(const ExecutionId& id,
                                                                    std::int64_t after,
                                                                    const std::string& step,
                                                                    int limit) = 0;

  // Those of the named artifacts that exist.
  virtual absl::StatusOr<std::vector<NewArtifact>> ReadArtifacts(
      const ExecutionId& id, absl::Span<const std::string> names) = 0;

  // How the budget of a project stands this month, and who reserves most of it; one without a limit
  // when nothing was ever said or spent.
  virtual absl::StatusOr<ProjectRow> ReadProject(const std::string& project) = 0;
};

}  // namespace capstan::storage
