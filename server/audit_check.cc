#include "server/audit_check.h"

#include "absl/strings/escaping.h"
#include "core/ids.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::server {
namespace {

constexpr int kPage = 1000;
constexpr int kMostProblems = 100;

void Complain(v1::VerifyAuditResponse& response, const std::string& chain, std::int64_t number,
              std::string message) {
  if (response.problems_size() == kMostProblems) return;
  v1::VerifyAuditResponse::Problem& problem = *response.add_problems();
  problem.set_chain(chain);
  problem.set_number(number);
  problem.set_message(std::move(message));
}

// As audit_append.sql makes it.
std::string HashOf(const std::string& before, const std::string& chain,
                   const storage::AuditEntry& entry) {
  return Sha256(Cat(before, chain, " ", entry.number, " ", entry.at_micros, " ", entry.body));
}

absl::Status VerifyChain(storage::AdminStore& admin, const storage::AuditChainEnd& end,
                         v1::VerifyAuditResponse& response) {
  const std::string chain = end.chain.ToString();
  std::string hash;
  std::int64_t number = 0;
  while (number < end.number) {
    CAPSTAN_ASSIGN_OR_RETURN(const std::vector<storage::AuditEntry> entries,
                             admin.ReadAudit(end.chain, number, kPage));
    // Rows up to the end are gone; higher ones were written since it was read.
    if (entries.empty() || entries.front().number > end.number) break;
    for (const storage::AuditEntry& entry : entries) {
      if (entry.number > end.number) break;  // written since the end was read
      if (entry.number != number + 1) {
        Complain(response, chain, number + 1, "the row is missing");
      } else if (HashOf(hash, chain, entry) != entry.hash) {
        Complain(response, chain, entry.number, "the row is not as it was written");
      }
      number = entry.number;
      hash = entry.hash;
      if (number == end.number) break;
    }
  }
  if (number != end.number || hash != end.hash) {
    Complain(response, chain, 0, Cat("the chain ends at row ", number, ", want ", end.number));
  }
  v1::VerifyAuditResponse::Chain& shown = *response.add_chains();
  shown.set_name(chain);
  shown.set_rows(end.number);
  shown.set_hash(absl::BytesToHexString(end.hash));
  return absl::OkStatus();
}

}  // namespace

absl::Status VerifyAuditNow(storage::AdminStore& admin, v1::VerifyAuditResponse& response) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<storage::AuditChainEnd> chains, admin.AuditChains());
  for (const storage::AuditChainEnd& chain : chains) {
    CAPSTAN_RETURN_IF_ERROR(VerifyChain(admin, chain, response));
  }
  return absl::OkStatus();
}

}  // namespace capstan::server
