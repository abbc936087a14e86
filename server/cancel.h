// The signal that asks an execution to cancel, with its entry of the audit log.
#pragma once

#include <string>

#include "server/audit_text.h"
#include "storage/types.h"

namespace capstan::server {

inline storage::NewSignal CancelSignal(const std::string& caller, const std::string& execution,
                                       const std::string& reason) {
  return {
      .kind = storage::SignalKind::kCancel,
      .caller = caller,
      .reason = reason,
      .audit = AuditText(
          {{"kind", "cancel"}, {"caller", caller}, {"execution", execution}, {"reason", reason}})};
}

}  // namespace capstan::server
