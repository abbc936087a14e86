package capstan.conditions.managed_by_controller_test

import data.capstan.conditions.managed_by_controller
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := managed_by_controller.result with input as given(facts)
}

test_a_pod_of_a_replica_set_passes if {
	judge({"pod": {"owner": {"kind": "ReplicaSet", "name": "web-1", "uid": "u1"}}}).passed
}

test_a_pod_of_nobody_fails if {
	answer := judge({"pod": {"owner": null}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_an_owner_without_uid_fails if {
	answer := judge({"pod": {"owner": {"kind": "ReplicaSet"}}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"pod": {"found": false}})
	not answer.passed
	answer.missing == ["facts.pod.owner"]
}
