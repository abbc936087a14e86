package capstan.safety.rules.scale_safety_test

import data.capstan.safety.rules.scale_safety
import rego.v1

request(replicas, labels) := {
	"action": "ScaleDeployment",
	"parameters": {"replicas": replicas},
	"target_resource": {"kind": "Deployment", "name": "web", "namespace": "shop", "labels": labels},
}

ids(request_input) := {violation.id |
	some violation in scale_safety.violations with input as request_input
}

test_scaling_up_is_allowed if {
	ids(request(3, {})) == set()
}

test_labels_that_are_not_an_object_are_denied_for_zero if {
	ids(request(0, "critical")) == {"scale-safety/unknown-labels"}
}

test_zero_is_allowed_for_an_ordinary_workload if {
	ids(request(0, {"app": "web"})) == set()
}

test_zero_is_allowed_when_critical_is_not_true if {
	ids(request(0, {"critical": "false"})) == set()
}

test_zero_is_denied_for_a_critical_workload if {
	ids(request(0, {"critical": "true"})) == {"scale-safety/critical-to-zero"}
}

test_one_is_allowed_for_a_critical_workload if {
	ids(request(1, {"critical": "true"})) == set()
}

test_the_message_names_the_workload if {
	some violation in scale_safety.violations with input as request(0, {"critical": "true"})
	contains(violation.message, "web")
}

test_zero_without_labels_is_denied if {
	ids({"action": "ScaleDeployment", "parameters": {"replicas": 0}, "target_resource": {"name": "web"}}) == {"scale-safety/unknown-labels"}
}

test_a_string_is_denied if {
	ids(request("3", {})) == {"scale-safety/bad-replicas"}
}

test_a_fraction_is_denied if {
	ids(request(1.5, {})) == {"scale-safety/bad-replicas"}
}

test_a_negative_number_is_denied if {
	ids(request(-1, {})) == {"scale-safety/bad-replicas"}
}

test_a_missing_number_is_denied if {
	ids({"action": "ScaleDeployment", "parameters": {}}) == {"scale-safety/bad-replicas"}
}

test_another_action_without_replicas_is_allowed if {
	ids({"action": "RestartDeployment", "parameters": {}}) == set()
}

test_another_action_that_scales_to_zero_is_denied_for_a_critical_workload if {
	ids(object.union(request(0, {"critical": "true"}), {"action": "ScaleStatefulSet"})) == {"scale-safety/critical-to-zero"}
}

test_another_action_with_text_as_replicas_is_denied if {
	ids({"action": "RestartDeployment", "parameters": {"replicas": "many"}}) == {"scale-safety/bad-replicas"}
}
