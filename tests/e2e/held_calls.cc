#include "tests/e2e/held_calls.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "tests/e2e/cluster_under_test.h"

namespace capstan::testing {
namespace {

constexpr char kListener[] = R"(
apiVersion: v1
kind: Pod
metadata: {name: silence, namespace: default}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  containers:
    - name: silence
      image: ${image}
      command: [nc, -ll, -p, "8443", -e, sh, -c, "echo called >&2; sleep 3600"]
)";

constexpr char kWebhook[] = R"(
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: silence}
webhooks:
  - name: silence.capstan.test
    clientConfig: {url: "https://${address}/"}
    rules:
      - {apiGroups: ["*"], apiVersions: ["*"], operations: [CREATE, UPDATE, DELETE],
         resources: ["*/*"]}
    matchConditions:
      - {name: which, expression: "(${which}) || request.name == 'silence-probe'"
}
    admissionReviewVersions: [v1]
    sideEffects: None
    timeoutSeconds: ${seconds}
    failurePolicy: ${policy}
)";

std::string StartListener() {
  Apply(Filled(kListener, {{"image", Environment("CAPSTAN_E2E_BUSYBOX_IMAGE")}}));
  Kubectl("wait pod/silence --for=condition=Ready --timeout=60s");
  return absl::StrCat(Kubectl("get pod silence -o jsonpath='{.status.podIP}'"), ":8443");
}

}  // namespace

HeldCalls::HeldCalls(const HeldCallsOptions& options) {
  Apply(Filled(kWebhook, {{"address", options.at_once ? "127.0.0.1:1" : StartListener()},
                          {"which", options.which},
                          {"seconds", absl::StrCat(options.seconds)},
                          {"policy", options.done_then ? "Ignore" : "Fail"}}));
  // The API server takes a moment to know it, and so does the listener to listen.
  Shell(absl::StrCat("for i in $(seq 100); do ", Environment("CAPSTAN_E2E_KUBECTL"),
                     " create configmap silence-probe --dry-run=server --request-timeout=1s 2>&1 | "
                     "grep -q '",
                     options.at_once ? "refused" : "deadline\\|imeout",
                     "' && exit; sleep 0.1; done; exit 1"));
  if (!options.at_once) {
    probes_ = std::atoi(Kubectl("logs silence | grep -c called").c_str());
  }
}

void HeldCalls::WaitForOne() {
  Shell(absl::StrCat("timeout 60 bash -c 'grep -q -m ", probes_ + 1, " called < <(",
                     Environment("CAPSTAN_E2E_KUBECTL"), " logs -f silence)'"));
}

HeldCalls::~HeldCalls() {
  Kubectl("delete validatingwebhookconfiguration silence", /*must=*/false);
  Kubectl("delete pod silence --ignore-not-found --wait=false", /*must=*/false);
}

}  // namespace capstan::testing
