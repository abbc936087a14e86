// /_sim/: what tests in other processes ask of the program capstan-kubesim.
#pragma once

#include "tests/support/kubesim/api_server.h"
#include "tests/support/kubesim/kubesim.h"

namespace capstan::kubesim {

// GET    /_sim/faults                 {"faults": [{"id", "hits", …fault}]}
// POST   /_sim/faults                 a fault (fault.h: FaultFromJson) -> {"id"}
// DELETE /_sim/faults                 clears all
// POST   /_sim/faults/release?id=N    lets held calls go on
// POST   /_sim/jobs/hold?prefix=P     HoldJobs; likewise /_sim/jobs/release
// POST   /_sim/jobs/finish?prefix=P&exit_code=N
// POST   /_sim/jobs/fate?prefix=P&fate=oom_killed
// POST   /_sim/compact                CompactHistory
// POST   /_sim/watches/close          CloseWatches
// GET    /_sim/audit                  {"entries": […]}
// GET    /_sim/witness                {"pod_runs": […], "scales": […]}
ApiReply HandleAdmin(KubeSim& sim, const ApiRequest& request);

}  // namespace capstan::kubesim
