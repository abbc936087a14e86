# The actions that may run at all, and RunTask, which stands for all tasks. An action that is in the catalog and not in this list is denied.
package capstan.safety.rules.action_allowlist

import rego.v1

allowed := {
	"ScaleDeployment",
	"RestartDeployment",
	"DeletePod",
	"PatchConfigMap",
	"PatchSecret",
	"UpdateImage",
	"CordonNode",
	"DrainNode",
	"UncordonNode",
	"RolloutStatus",
	"RunTask",
}

violations contains {
	"id": "action-allowlist/not-allowed",
	"message": sprintf("action %v is not in the list of allowed actions", [object.get(input, "action", "(none)")]),
} if {
	not listed
}

listed if input.action in allowed
