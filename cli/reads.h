// Reads that several commands make.
#pragma once

#include <algorithm>

#include "capstan/v1/execution_service.grpc.pb.h"
#include "cli/exit_code.h"
#include "cli/session.h"

namespace capstan::cli {

inline constexpr int kPageSize = 500;

// The execution that the command line names.
grpc::Status GetExecution(const Session& session, v1::ExecutionService::Stub& stub,
                          v1::Execution* execution);

// A whole listing command: pages up to --limit, printed as one answer. `call(context, request,
// page)` makes the call, `rows(message)` is the repeated field, mutable, and `table(rows)` its
// text.
template <class Page, class Request, class Call, class Rows, class Table>
int ListUpToLimit(Session& session, Request request, const Call& call, const Rows& rows,
                  const Table& table) {
  Page all;
  do {
    request.set_page_size(std::min(kPageSize, session.options.limit - rows(all)->size()));
    Page page;
    const grpc::Status status =
        session.Unary([&](grpc::ClientContext& context) { return call(&context, request, &page); });
    if (!status.ok()) return session.Fail(status);
    rows(all)->MergeFrom(*rows(page));
    all.set_next_page_token(page.next_page_token());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && rows(all)->size() < session.options.limit);
  session.Print(all, table(*rows(all)));
  if (!all.next_page_token().empty()) session.SayThereAreMore();
  return kOk;
}

}  // namespace capstan::cli
