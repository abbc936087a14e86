// No model at all: what it says and does is a script (script.h). For tests, and for a first run
// without any key.
#pragma once

#include "core/clock.h"
#include "worker/phases/phase_engine.h"
#include "worker/phases/script.h"

namespace capstan::phases {

// Changes nothing but the workspace of the request. kInvalidRequest: the script has no reply for
// the step. kProcess: a file could not be written.
class ScriptedEngine final : public PhaseEngine {
 public:
  // Borrows the clock.
  ScriptedEngine(Script script, Clock& clock) : script_(std::move(script)), clock_(clock) {}

  std::string_view name() const override { return "scripted"; }
  PhaseResult Run(const PhaseRequest& request, PhaseObserver& observer,
                  std::stop_token stop) override;

 private:
  PhaseResult Hold(const PhaseRequest& request, std::stop_token stop);

  const Script script_;
  Clock& clock_;
};

}  // namespace capstan::phases
