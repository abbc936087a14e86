#include "action_program/json_patch.h"

#include <gmock/gmock.h>

#include "tests/support/status_matchers.h"

namespace capstan::action_program {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::HasSubstr;
using Json = nlohmann::json;

Json Operation(const std::string& op, const std::string& path, const Json& value = nullptr) {
  Json operation = {{"op", op}, {"path", path}};
  if (!value.is_null()) operation["value"] = value;
  return operation;
}

// (A list of one Json in braces would be that Json.)
Json Patch(const std::vector<Json>& operations) { return operations; }

absl::Status Check(const Json& patch) { return CheckJsonPatch(patch, {"/data"}); }

TEST(JsonPatchTest, WhatIsNoPatchIsRefusedByNumber) {
  EXPECT_FALSE(Check(Json::object()).ok());
  EXPECT_FALSE(Check(Json::array()).ok());
  EXPECT_FALSE(Check(Json(Json::value_t::discarded)).ok());
  EXPECT_THAT(Check(Patch({Operation("remove", "/data/a"), Operation("put", "/data/a", 1)})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("operation 2: op")));
  EXPECT_THAT(Check(Patch({Operation("add", "/data/a")})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("operation 1: value")));
  EXPECT_FALSE(Check(Patch({Operation("add", "/data/~9", "x")})).ok());
}

TEST(JsonPatchTest, OnlyTheRootsAndWhatIsBelowMayBeTouched) {
  EXPECT_OK(
      Check(Patch({Operation("add", "/data", Json::object()), Operation("remove", "/data/a~1b")})));
  EXPECT_FALSE(Check(Patch({Operation("add", "/database", "x")})).ok());
  EXPECT_FALSE(Check(Patch({Operation("add", "", "x")})).ok());
  EXPECT_FALSE(
      Check(Json::array({{{"op", "copy"}, {"from", "/metadata/uid"}, {"path", "/data/a"}}})).ok());
  EXPECT_FALSE(Check(Patch({Operation("test", "/metadata/uid", "x")})).ok());
}

TEST(JsonPatchTest, WhatDoesNotApplyNamesItsOperationAndNoValue) {
  const Json document = {{"data", {{"a", "one"}}}};

  EXPECT_THAT(ApplyJsonPatch(document, Patch({Operation("test", "/data/a", "hidden")})),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "operation 1 (test /data/a): the value there is another one"));
  EXPECT_THAT(ApplyJsonPatch(document, Patch({Operation("replace", "/data/b", "hidden")})),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("operation 1 (replace /data/b): does not apply")));
}

TEST(JsonPatchTest, AlreadyAppliedLooksAtWhatTheWholePatchLeaves) {
  const Json patch = {Operation("add", "/data/a", "1"), Operation("replace", "/data/a", "2"),
                      Operation("remove", "/data/b")};

  EXPECT_TRUE(AlreadyApplied({{"data", {{"a", "2"}, {"c", "3"}}}}, patch));
  EXPECT_FALSE(AlreadyApplied({{"data", {{"a", "1"}}}}, patch));
  EXPECT_FALSE(AlreadyApplied({{"data", {{"a", "2"}, {"b", "3"}}}}, patch));
  EXPECT_FALSE(AlreadyApplied(Json::object(), patch));
}

TEST(JsonPatchTest, AnEmptyMapIsAnAbsentOne) {
  EXPECT_TRUE(AlreadyApplied(Json::object(), Patch({Operation("add", "/data", Json::object())})));
  EXPECT_TRUE(AlreadyApplied(Json::object(), Patch({Operation("remove", "/data/a")})));
}

TEST(JsonPatchTest, MovesAndCopiesAreNeverTakenForApplied) {
  const Json move = Json::array({{{"op", "move"}, {"from", "/data/a"}, {"path", "/data/b"}}});

  EXPECT_FALSE(AlreadyApplied({{"data", {{"b", "1"}}}}, move));
}

}  // namespace
}  // namespace capstan::action_program
