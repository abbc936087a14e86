// New executions as parameters of submit.sql: of a flush of submissions, and of steps that submit.
#pragma once

#include <span>
#include <string>

#include "storage/options.h"
#include "storage/params.h"
#include "storage/types.h"

namespace capstan::storage {

struct RequestTag {};

struct SubmitRow {
  ExecutionId id;
  Uuid<RequestTag> key;  // of caller and request id
  const NewExecution* execution = nullptr;
};

// The key of an execution under this id.
Uuid<RequestTag> KeyOf(const NewExecution& execution, const ExecutionId& id);

// All but $13.
Params SubmitParams(std::span<const SubmitRow> rows, const StoreOptions& options);

// The entry of the audit log for what was stored; `audit` as in NewExecution.
std::string SubmittedAudit(const ExecutionId& id, const std::string& audit);

// What an execution counts for in the limits of flush and queue.
std::size_t SizeOf(const NewExecution& execution);

}  // namespace capstan::storage
