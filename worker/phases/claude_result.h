// What a run of the Claude CLI means: from the events that it wrote and how the process ended.
#pragma once

#include <string>

#include "worker/phases/model_table.h"
#include "worker/phases/phase_engine.h"
#include "worker/phases/stream_json.h"
#include "worker/process/process.h"

namespace capstan::phases {

// What this side did to the run.
enum class ClaudeEnd { kItself, kStalled, kKeyRefused };

// Judged by the result line and its structured_output, never by the exit code or by text. Without a
// result line nothing is an answer, and usage is the largest that it can have been: the calls that
// were seen, and one more where one may have been in flight. Tries whose connection was lost are
// added at their most, since the CLI leaves them out. `stderr_text`: its beginning.
PhaseResult JudgeClaude(const StreamJson& stream, const process::Result& process,
                        const std::string& stderr_text, const PhaseRequest& request,
                        const Model& model, const ModelTable& models, ClaudeEnd end);

}  // namespace capstan::phases
