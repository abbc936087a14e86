// `capstan approval …`: each runs one command and returns the exit code.
#pragma once

#include <string>

#include "capstan/v1/approval_service.pb.h"
#include "cli/session.h"

namespace capstan::cli {

int ApprovalList(Session& session);

// The plan comes from the execution's events; with -o json it prints that ApprovalRequested.
int ApprovalShow(Session& session);

int ApprovalApprove(Session& session);
int ApprovalReject(Session& session);

// Sends a decision and prints what was said.
int SendDecision(Session& session, const v1::DecideApprovalRequest& request,
                 const std::string& said);

// An execution that never asked for an approval has nothing to show and nothing to decide: prints
// that as an error.
int NoApproval(const Session& session, const v1::Execution& execution);

}  // namespace capstan::cli
