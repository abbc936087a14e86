package capstan.conditions.deployment_health_check_test

import data.capstan.conditions.deployment_health_check
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := deployment_health_check.result with input as given(facts)
}

test_a_healthy_deployment_passes if {
	judge({"deployment": {"generation": 3, "status": {"observed_generation": 3}, "conditions": [{"type": "Available", "status": "True"}, {"type": "Progressing", "status": "True"}]}}).passed
}

test_none_without_a_progress_deadline_passes if {
	judge({"deployment": {"generation": 3, "status": {"observed_generation": 3}, "conditions": [{"type": "Available", "status": "True"}]}}).passed
}

test_one_that_is_not_available_fails if {
	answer := judge({"deployment": {"generation": 3, "status": {"observed_generation": 3}, "conditions": [{"type": "Available", "status": "False"}, {"type": "Progressing", "status": "True"}]}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_one_that_says_nothing_fails if {
	answer := judge({"deployment": {"generation": 3, "status": {"observed_generation": 3}, "conditions": []}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_a_stuck_rollout_fails if {
	answer := judge({"deployment": {"generation": 3, "status": {"observed_generation": 3}, "conditions": [{"type": "Available", "status": "True"}, {"type": "Progressing", "status": "False"}]}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_replicas_that_cannot_be_made_fail if {
	answer := judge({"deployment": {"generation": 3, "status": {"observed_generation": 3}, "conditions": [{"type": "Available", "status": "True"}, {"type": "ReplicaFailure", "status": "True"}]}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_what_was_said_before_the_change_fails if {
	answer := judge({"deployment": {"generation": 3, "status": {"observed_generation": 2}, "conditions": [{"type": "Available", "status": "True"}]}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"deployment": {"found": false}})
	not answer.passed
	answer.missing == ["facts.deployment.generation", "facts.deployment.status.observed_generation", "facts.deployment.conditions"]
}
