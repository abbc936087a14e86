package capstan.conditions.rollout_complete_test

import data.capstan.conditions.rollout_complete
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := rollout_complete.result with input as given(facts)
}

test_a_complete_rollout_passes if {
	judge({"deployment": {"generation": 2, "replicas": 3, "status": {"observed_generation": 2, "replicas": 3, "updated_replicas": 3, "ready_replicas": 3, "available_replicas": 3}}}).passed
}

test_an_unseen_change_fails if {
	answer := judge({"deployment": {"generation": 2, "replicas": 3, "status": {"observed_generation": 1, "replicas": 3, "updated_replicas": 3, "ready_replicas": 3, "available_replicas": 3}}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_an_old_replica_fails if {
	answer := judge({"deployment": {"generation": 2, "replicas": 3, "status": {"observed_generation": 2, "replicas": 4, "updated_replicas": 3, "ready_replicas": 3, "available_replicas": 3}}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_a_replica_that_is_not_updated_fails if {
	answer := judge({"deployment": {"generation": 2, "replicas": 3, "status": {"observed_generation": 2, "replicas": 3, "updated_replicas": 2, "ready_replicas": 3, "available_replicas": 3}}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_a_replica_that_is_not_ready_fails if {
	answer := judge({"deployment": {"generation": 2, "replicas": 3, "status": {"observed_generation": 2, "replicas": 3, "updated_replicas": 3, "ready_replicas": 2, "available_replicas": 3}}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_a_replica_that_is_not_available_fails if {
	answer := judge({"deployment": {"generation": 2, "replicas": 3, "status": {"observed_generation": 2, "replicas": 3, "updated_replicas": 3, "ready_replicas": 3, "available_replicas": 2}}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"deployment": {"generation": 1, "replicas": 1, "status": {"observed_generation": 1, "replicas": 1, "updated_replicas": 1, "ready_replicas": 1}}})
	not answer.passed
	answer.missing == ["facts.deployment.status.available_replicas"]
}
