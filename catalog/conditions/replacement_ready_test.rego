package capstan.conditions.replacement_ready_test

import data.capstan.conditions.replacement_ready
import rego.v1

given(facts) := {"parameters": {}, "before": {"uid": "u1"}, "facts": facts}

judge(facts) := answer if {
	answer := replacement_ready.result with input as given(facts)
}

test_another_pod_that_is_ready_passes if {
	judge({"pod": {"found": false, "owner_ready_others": 1}}).passed
}

test_the_same_name_with_another_uid_passes if {
	judge({"pod": {"found": true, "uid": "u2", "ready": true, "owner_ready_others": 0}}).passed
}

test_the_same_name_that_is_not_ready_fails if {
	answer := judge({"pod": {"found": true, "uid": "u2", "ready": false, "owner_ready_others": 0}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_no_other_pod_fails if {
	answer := judge({"pod": {"found": false, "owner_ready_others": 0}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_the_pod_itself_fails if {
	answer := judge({"pod": {"found": true, "uid": "u1", "ready": true, "owner_ready_others": 1}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_something_else_than_a_number_fails if {
	answer := judge({"pod": {"found": false, "owner_ready_others": "1"}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({})
	not answer.passed
	answer.missing == ["facts.pod.found"]
}
