// `capstan task …` but for what it shares with `capstan execution …` (watch, retry, cancel): each
// runs one command and returns the exit code.
#pragma once

#include "cli/session.h"

namespace capstan::cli {

int TaskRun(Session& session);
int TaskPause(Session& session);
int TaskResume(Session& session);

// They look at what waits first, so that they can say what was decided: of a question a yes is
// refused that has no answer, of a gate an answer.
int TaskApprove(Session& session);
int TaskReject(Session& session);
int TaskAnswer(Session& session);

// -o json prints a TranscriptEntry a line.
int TaskTranscript(Session& session);

}  // namespace capstan::cli
