#include "storage/audit_writer.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/status_macros.h"
#include "storage/sql.h"

namespace capstan::storage {

absl::Status AuditWriter::Append(Connection& connection,
                                 const std::vector<std::string>& entries) const {
  if (entries.empty()) return absl::OkStatus();
  const Params params =
      Params().Add(chain_).Add(absl::StrCat("[", absl::StrJoin(entries, ","), "]"));
  CAPSTAN_ASSIGN_OR_RETURN(const Rows appended, connection.Run(sql::kAuditAppend, params));
  if (!appended.empty()) return absl::OkStatus();
  CAPSTAN_RETURN_IF_ERROR(connection.Run(sql::kAuditChain, Params().Add(chain_)).status());
  return connection.Run(sql::kAuditAppend, params).status();
}

}  // namespace capstan::storage
