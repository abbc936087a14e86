package capstan.conditions.pod_exists_test

import data.capstan.conditions.pod_exists
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := pod_exists.result with input as given(facts)
}

test_one_that_exists_passes if {
	judge({"pod": {"found": true}}).passed
}

test_one_that_does_not_exist_fails if {
	answer := judge({"pod": {"found": false}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({})
	not answer.passed
	answer.missing == ["facts.pod.found"]
}

test_something_else_than_a_boolean_is_not_known if {
	answer := judge({"pod": {"found": "true"}})
	not answer.passed
	answer.missing == ["facts.pod.found"]
}
