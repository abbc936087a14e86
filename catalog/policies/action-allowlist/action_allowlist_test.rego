package capstan.safety.rules.action_allowlist_test

import data.capstan.safety.rules.action_allowlist
import rego.v1

ids(request_input) := {violation.id |
	some violation in action_allowlist.violations with input as request_input
}

test_the_ten_actions_are_allowed if {
	every action in [
		"ScaleDeployment", "RestartDeployment", "DeletePod", "PatchConfigMap", "PatchSecret",
		"UpdateImage", "CordonNode", "DrainNode", "UncordonNode", "RolloutStatus",
	] {
		ids({"action": action}) == set()
	}
}

test_tasks_are_allowed if {
	ids({"action": "RunTask"}) == set()
}

test_another_action_is_denied if {
	ids({"action": "DeleteNamespace"}) == {"action-allowlist/not-allowed"}
}

test_the_name_must_match_exactly if {
	ids({"action": "scaledeployment"}) == {"action-allowlist/not-allowed"}
}

test_the_message_names_the_action if {
	some violation in action_allowlist.violations with input as {"action": "DeleteNamespace"}
	contains(violation.message, "DeleteNamespace")
}

test_an_action_that_is_not_a_string_is_denied if {
	ids({"action": ["ScaleDeployment"]}) == {"action-allowlist/not-allowed"}
}

test_a_missing_action_is_denied if {
	ids({}) == {"action-allowlist/not-allowed"}
}
