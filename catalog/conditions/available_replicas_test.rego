package capstan.conditions.available_replicas_test

import data.capstan.conditions.available_replicas
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := available_replicas.result with input as given(facts)
}

test_one_passes if {
	judge({"deployment": {"replicas": 3, "status": {"available_replicas": 1}}}).passed
}

test_none_fails if {
	answer := judge({"deployment": {"replicas": 3, "status": {"available_replicas": 0}}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_none_wanted_passes if {
	judge({"deployment": {"replicas": 0, "status": {"available_replicas": 0}}}).passed
}

test_not_knowing_fails if {
	answer := judge({"deployment": {"replicas": 3}})
	not answer.passed
	answer.missing == ["facts.deployment.status.available_replicas"]
}
