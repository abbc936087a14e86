#include "worker/process/spec_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace capstan::process {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

struct Wrong {
  const char* name;
  void (*spoil)(Spec&);
  const char* message;
};

class SpecCheckTest : public ::testing::TestWithParam<Wrong> {};

Spec Good() {
  Spec spec;
  spec.argv = {"true"};
  spec.sandbox.writable = {"/srv/workspaces/one"};
  spec.secret_files = {{"token.txt", "x"}};
  return spec;
}

TEST(SpecCheckTest, AGoodSpecPasses) { EXPECT_OK(CheckSpec(Good())); }

TEST_P(SpecCheckTest, AWrongFieldIsNamed) {
  Spec spec = Good();
  GetParam().spoil(spec);

  EXPECT_THAT(CheckSpec(spec),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Fields, SpecCheckTest,
    ::testing::Values(
        Wrong{"NoProgram", [](Spec& s) { s.argv.clear(); }, "argv: got no program"},
        Wrong{"ZeroByte", [](Spec& s) { s.argv.push_back(std::string(1, '\0')); }, "argv"},
        Wrong{"NoTime", [](Spec& s) { s.limits.timeout = absl::ZeroDuration(); }, "timeout"},
        Wrong{"Forever", [](Spec& s) { s.limits.timeout = absl::InfiniteDuration(); }, "timeout"},
        Wrong{"NoProcess", [](Spec& s) { s.limits.max_processes = 0; }, "max_processes"},
        Wrong{"NoOutput", [](Spec& s) { s.limits.output_bytes = 0; }, "output_bytes"},
        Wrong{"NegativeMemory", [](Spec& s) { s.limits.memory_bytes = -1; }, "limits"},
        Wrong{"Variable", [](Spec& s) { s.environment["A=B"] = "c"; }, "environment: got 'A=B'"},
        Wrong{"SecretPath", [](Spec& s) { s.secret_files["../x"] = "c"; }, "secret_files"},
        Wrong{"HiddenSecret", [](Spec& s) { s.secret_files[".x"] = "c"; }, "secret_files"},
        Wrong{"BigSecret", [](Spec& s) { s.secret_files["x"] = std::string(2 << 20, 'x'); },
              "2097153 bytes"},
        Wrong{"RelativePath", [](Spec& s) { s.sandbox.writable = {"here"}; }, "absolute"},
        Wrong{"TheRoot", [](Spec& s) { s.sandbox.writable = {"/"}; }, "below /"},
        Wrong{"Dots", [](Spec& s) { s.sandbox.readable = {"/srv/../etc"}; }, "sandbox.readable"},
        Wrong{"System", [](Spec& s) { s.sandbox.writable = {"/etc"}; }, "folder of the system"},
        Wrong{"Kernel", [](Spec& s) { s.sandbox.readable = {"/sys/fs/cgroup"}; }, "kernel's"}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace capstan::process
