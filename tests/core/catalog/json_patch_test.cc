#include "core/catalog/json_patch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/catalog/parameters.h"
#include "core/text.h"
#include "tests/core/catalog/fixtures.h"
#include "tests/support/status_matchers.h"

namespace capstan::catalog {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

absl::Status Check(std::string_view patch) {
  return CheckJsonPatch({"/data", "/binaryData"}, patch);
}

struct Refusal {
  const char* name;
  const char* patch;
  const char* why;
};

class RefusedPatchTest : public ::testing::TestWithParam<Refusal> {};

TEST_P(RefusedPatchTest, S2_8_APatchIsRefusedAndTheMessageSaysWhy) {
  EXPECT_THAT(Check(GetParam().patch), StatusIs(kInvalid, GetParam().why));
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedPatchTest,
    ::testing::Values(
        Refusal{"Text", "add it", "it is not JSON"}, Refusal{"Nothing", "", "it is not JSON"},
        Refusal{"TwoValues", "[] []", "it is not JSON"},
        Refusal{"Comment", "[/**/]", "it is not JSON"},
        Refusal{"Object", R"({"op":"add"})", "it is not an array"},
        Refusal{"Empty", "[]", "it has no operations"},
        Refusal{"Number", "[1]", "operation 0 is not an object"},
        Refusal{"Twice", R"([{"op":"remove","path":"/data/a","path":"/metadata"}])",
                "a key is given twice in one object"},
        Refusal{"NoOp", R"([{"path":"/data/a"}])",
                "operation 0 has an op that is none of add, remove, replace, move, copy, test"},
        Refusal{"OtherOp", R"([{"op":"merge","path":"/data/a"}])",
                "operation 0 has an op that is none of add, remove, replace, move, copy, test"},
        Refusal{"Capitals", R"([{"op":"Add","path":"/data/a","value":"x"}])",
                "operation 0 has an op that is none of add, remove, replace, move, copy, test"},
        Refusal{"NoPath", R"([{"op":"remove"}])", "operation 0 has no path"},
        Refusal{"NoPointer", R"([{"op":"remove","path":"data"}])",
                "operation 0 has a path that is no JSON Pointer"},
        Refusal{"BadEscape", R"([{"op":"remove","path":"/data/a~2"}])",
                "operation 0 has a path that is no JSON Pointer"},
        Refusal{"Elsewhere", R"([{"op":"remove","path":"/metadata/labels/a"}])",
                "operation 0 has a path that is not under /data or /binaryData"},
        Refusal{"Whole", R"([{"op":"replace","path":"","value":{}}])",
                "operation 0 has a path that is not under /data or /binaryData"},
        Refusal{"Prefix", R"([{"op":"add","path":"/database","value":"x"}])",
                "operation 0 has a path that is not under /data or /binaryData"},
        Refusal{"Second",
                R"([{"op":"remove","path":"/data/a"},{"op":"remove","path":"/immutable"}])",
                "operation 1 has a path that is not under /data or /binaryData"},
        Refusal{"NoValue", R"([{"op":"add","path":"/data/a"}])", "operation 0 has no value"},
        Refusal{"NoFrom", R"([{"op":"move","path":"/data/a"}])", "operation 0 has no from"},
        Refusal{"FromElsewhere", R"([{"op":"copy","path":"/data/a","from":"/metadata/uid"}])",
                "operation 0 has a from that is not under /data or /binaryData"},
        Refusal{"Extra", R"([{"op":"remove","path":"/data/a","value":"x"}])",
                "operation 0 has a member that remove does not take"}),
    [](const auto& info) { return info.param.name; });

TEST(JsonPatchTest, AcceptsEveryOperationUnderThePaths) {
  EXPECT_OK(Check(R"([{"op":"test","path":"/data/a","value":"1"},
                      {"op":"add","path":"/data","value":{"a":"1"}},
                      {"op":"replace","path":"/data/a~1b","value":"2"},
                      {"op":"move","from":"/data/a","path":"/data/b"},
                      {"op":"copy","from":"/data/b","path":"/binaryData/b"},
                      {"op":"remove","path":"/binaryData"}])"));
}

TEST(JsonPatchTest, RefusesWhatIsNestedDeeply) {
  EXPECT_THAT(Check(std::string(100'000, '[')), StatusIs(kInvalid, "it is nested deeper than 16"));
}

absl::Status Submit(std::string_view patch) {
  google::protobuf::Struct parameters = ParseStruct(R"({"configmap":"c","namespace":"n"})");
  (*parameters.mutable_fields())["patch"].set_string_value(std::string(patch));
  return ValidateParameters(Shipped("PatchConfigMap"), parameters).status();
}

TEST(JsonPatchTest, S2_8_TheMessageNamesTheParameterAndNeverAValue) {
  EXPECT_THAT(Submit(R"([{"op":"add","path":"/metadata","value":"hunter2"}])"),
              StatusIs(kInvalid,
                       AllOf(HasSubstr("parameters.patch: got a text of "),
                             HasSubstr("want a JSON array of RFC 6902 operations under /data or "
                                       "/binaryData, at most 122880 bytes: operation 0 has a path"),
                             Not(HasSubstr("hunter2")))));
}

TEST(JsonPatchTest, APatchHasAnArgumentsSizeAndNotThatOfAShortText) {
  auto patch_of = [](size_t bytes) {
    const std::string head = R"([{"op":"add","path":"/data/a","value":")";
    return Cat(head, std::string(bytes - head.size() - 3, 'x'), R"("}])");
  };

  EXPECT_OK(Submit(patch_of(kMaxPatchBytes)));
  EXPECT_THAT(Submit(patch_of(kMaxPatchBytes + 1)),
              StatusIs(kInvalid, HasSubstr("it is too large")));
}

TEST(ImageParameterTest, S2_8_TheMessageSaysWhatIsWrongWithAnImage) {
  auto submit = [](std::string_view image) {
    google::protobuf::Struct parameters =
        ParseStruct(R"({"deployment":"d","namespace":"n","container":"c"})");
    (*parameters.mutable_fields())["image"].set_string_value(std::string(image));
    return ValidateParameters(Shipped("UpdateImage"), parameters).status();
  };

  EXPECT_OK(submit("registry.example.com/web:1.2"));
  EXPECT_THAT(
      submit("web:latest"),
      StatusIs(kInvalid,
               "parameters.image: got \"web:latest\", want an image reference with a digest "
               "or a tag other than latest: its tag is latest"));
  EXPECT_THAT(submit("web"), StatusIs(kInvalid, HasSubstr("it has neither a tag nor a digest")));
  EXPECT_THAT(submit("web:1 --all"), StatusIs(kInvalid, HasSubstr("it is not an image reference")));
}

TEST(ExactlyOneOfTest, S2_8_TheMessageSaysWhichWereGiven) {
  auto submit = [](std::string_view json) {
    return ValidateParameters(Shipped("PatchSecret"), ParseStruct(json)).status();
  };

  EXPECT_OK(submit(R"({"secret":"s","namespace":"n","patch_secret":"p"})"));
  EXPECT_OK(submit(R"({"secret":"s","namespace":"n","restore_from":"p"})"));
  EXPECT_THAT(
      submit(R"({"secret":"s","namespace":"n"})"),
      StatusIs(kInvalid, "parameters: got none, want exactly one of patch_secret, restore_from"));
  EXPECT_THAT(submit(R"({"secret":"s","namespace":"n","patch_secret":"p","restore_from":"q"})"),
              StatusIs(kInvalid, HasSubstr("got patch_secret and restore_from, want exactly one")));
}

}  // namespace
}  // namespace capstan::catalog
