#include "cli/target_commands.h"

#include "capstan/v1/admin_service.grpc.pb.h"
#include "cli/exit_code.h"
#include "cli/reads.h"
#include "cli/render_admin.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

// "Deployment/shop/web" -> "targets/Deployment/shop/web".
std::string WithTargets(const std::string& name) {
  constexpr std::string_view kPrefix = "targets/";
  return name.rfind(kPrefix, 0) == 0 ? name : Cat(kPrefix, name);
}

}  // namespace

int TargetList(Session& session) {
  auto stub = v1::AdminService::NewStub(session.channel);
  return ListUpToLimit<v1::ListTargetsResponse>(
      session, v1::ListTargetsRequest(),
      [&](grpc::ClientContext* context, const v1::ListTargetsRequest& request,
          v1::ListTargetsResponse* page) { return stub->ListTargets(context, request, page); },
      [](v1::ListTargetsResponse& page) { return page.mutable_targets(); },
      [&](const auto& targets) { return TargetTable(targets, session.environment.clock.Now()); });
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
