// Macros for code that returns absl::Status, and CAPSTAN_CHECK for what cannot happen.
// (Abseil's own status_macros.h is newer than the Abseil we build against.)
#pragma once

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#define CAPSTAN_CONCAT_INNER_(a, b) a##b
#define CAPSTAN_CONCAT_(a, b) CAPSTAN_CONCAT_INNER_(a, b)

// Returns from the enclosing function if `expr` is not OK.
#define CAPSTAN_RETURN_IF_ERROR(expr)                                   \
  do {                                                                  \
    if (absl::Status capstan_status_ = (expr); !capstan_status_.ok()) { \
      return capstan_status_;                                           \
    }                                                                   \
  } while (false)

// CAPSTAN_ASSIGN_OR_RETURN(auto job, BuildJob(spec));
#define CAPSTAN_ASSIGN_OR_RETURN(lhs, expr) \
  CAPSTAN_ASSIGN_OR_RETURN_IMPL_(CAPSTAN_CONCAT_(capstan_or_, __LINE__), lhs, expr)
#define CAPSTAN_ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                                   \
  if (!tmp.ok()) return std::move(tmp).status();       \
  lhs = *std::move(tmp)

// Ends the process when a broken invariant or bad wiring shows; stays on in release builds. Never
// for input, network, database or cluster: those are absl::Status.
#define CAPSTAN_CHECK(condition)                                                         \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (false)

namespace capstan {

// The same code and payloads with "context: " before the message.
absl::Status Annotate(const absl::Status& status, std::string_view context);

}  // namespace capstan
