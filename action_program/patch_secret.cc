#include "absl/strings/escaping.h"
#include "action_program/guarded_patch.h"
#include "action_program/json_patch.h"
#include "action_program/secret_data.h"
#include "action_program/verbs.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/kubernetes/json_fields.h"

namespace capstan::action_program {
namespace {

using kubernetes::FindField;

// The server's own words for this quote the value.
absl::Status CheckBase64(const Json& value, const std::string& at) {
  if (value.is_object()) {
    for (const auto& entry : value.items()) {
      CAPSTAN_RETURN_IF_ERROR(CheckBase64(entry.value(), Cat(at, "/", entry.key())));
    }
    return absl::OkStatus();
  }
  std::string decoded;
  if (value.is_string() && absl::Base64Unescape(value.get<std::string>(), &decoded)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(Cat(at, ": the value is no base64"));
}

absl::StatusOr<Json> ReadPatch(const std::string& path, Host& host) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::string text, host.ReadFile(path));
  Json patch = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  CAPSTAN_RETURN_IF_ERROR(Annotate(CheckJsonPatch(patch, {"/data"}), path));
  for (const Json& operation : patch) {
    if (!operation.contains("value")) continue;
    CAPSTAN_RETURN_IF_ERROR(Annotate(
        CheckBase64(operation["value"], kubernetes::StringField(operation, {"path"})), path));
  }
  return patch;
}

}  // namespace

absl::Status PatchSecret(const Command& command, Host& host) {
  CAPSTAN_ASSIGN_OR_RETURN(const Json patch, ReadPatch(command.patch_file, host));
  CAPSTAN_ASSIGN_OR_RETURN(const Json before,
                           host.Get(kubernetes::kSecrets, command.name_space, command.name));
  if (AlreadyApplied(before, patch)) {
    host.Print(Cat("secret/", command.name, " unchanged: it is as the patch makes it already"));
    return absl::OkStatus();
  }

  SecretGuard guard;
  for (const Json& operation : patch) {
    if (operation.contains("value")) guard.Learn(operation["value"]);
  }
  if (const Json* data = FindField(before, {"data"})) guard.Learn(*data);
  const absl::StatusOr<Json> patched =
      PatchVersion(host, kubernetes::kSecrets, "secret", before, patch);
  if (!patched.ok()) return guard.Clean(patched.status());
  host.Print(Cat("secret/", command.name, " patched"));
  PrintSecretChanges(host, before, *patched);
  return absl::OkStatus();
}

}  // namespace capstan::action_program
