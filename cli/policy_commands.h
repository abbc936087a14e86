// `capstan policy …`: stored decisions are decided again by the rules of a directory, in a child
// process (capstan-policy-check), since a rule can crash the engine.
#pragma once

#include "cli/session.h"

namespace capstan::cli {

// Exit 1 when a decision flips.
int PolicyReplay(Session& session);
// Exit 1 when the result or the rules differ.
int PolicyExplainDecision(Session& session);

}  // namespace capstan::cli
