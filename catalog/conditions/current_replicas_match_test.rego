package capstan.conditions.current_replicas_match_test

import data.capstan.conditions.current_replicas_match
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := current_replicas_match.result with input as given(facts)
}

test_as_many_as_asked_for_pass if {
	judge({"deployment": {"replicas": 3, "status": {"replicas": 3}}}).passed
}

test_fewer_fail if {
	answer := judge({"deployment": {"replicas": 3, "status": {"replicas": 2}}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_more_fail if {
	answer := judge({"deployment": {"replicas": 3, "status": {"replicas": 4}}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"deployment": {"found": false}})
	not answer.passed
	answer.missing == ["facts.deployment.replicas", "facts.deployment.status.replicas"]
}
