#include "cli/target_commands.h"

#include <algorithm>

#include "capstan/v1/admin_service.grpc.pb.h"
#include "cli/exit_code.h"
#include "cli/render_admin.h"
#include "cli/text_format.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

constexpr int kPageSize = 500;

// "Deployment/shop/web" -> "targets/Deployment/shop/web".
std::string WithTargets(const std::string& name) {
  constexpr std::string_view kPrefix = "targets/";
  return name.rfind(kPrefix, 0) == 0 ? name : Cat(kPrefix, name);
}

}  // namespace

int TargetList(Session& session) {
  auto stub = v1::AdminService::NewStub(session.channel);
  v1::ListTargetsRequest request;
  v1::ListTargetsResponse all;
  do {
    request.set_page_size(std::min(kPageSize, session.options.limit - all.targets_size()));
    v1::ListTargetsResponse page;
    grpc::Status status = session.Unary(
        [&](grpc::ClientContext& context) { return stub->ListTargets(&context, request, &page); });
    if (!status.ok()) return session.Fail(status);
    all.mutable_targets()->MergeFrom(page.targets());
    all.set_next_page_token(page.next_page_token());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && all.targets_size() < session.options.limit);
  session.Print(all, TargetTable(all.targets(), session.environment.clock.Now()));
  if (!all.next_page_token().empty()) session.SayThereAreMore();
  return kOk;
}

int TargetClear(Session& session) {
  auto stub = v1::AdminService::NewStub(session.channel);
  v1::ClearTargetBlockRequest request;
  request.set_name(WithTargets(session.options.name));
  request.set_reason(session.options.reason);
  v1::ClearTargetBlockResponse response;
  grpc::Status status = session.Unary([&](grpc::ClientContext& context) {
    return stub->ClearTargetBlock(&context, request, &response);
  });
  if (!status.ok()) return session.Fail(status);
  session.Print(response.target(), ClearedText(response.target()));
  return kOk;
}

}  // namespace capstan::cli
