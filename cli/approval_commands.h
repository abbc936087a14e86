// `capstan approval …`: each runs one command and returns the exit code.
#pragma once

#include "cli/session.h"

namespace capstan::cli {

int ApprovalList(Session& session);

// The plan comes from the execution's events; with -o json it prints that ApprovalRequested.
int ApprovalShow(Session& session);

int ApprovalApprove(Session& session);
int ApprovalReject(Session& session);

}  // namespace capstan::cli
