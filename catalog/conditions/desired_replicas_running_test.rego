package capstan.conditions.desired_replicas_running_test

import data.capstan.conditions.desired_replicas_running
import rego.v1

given(facts) := {"parameters": {"replicas": 3}, "facts": facts}

judge(facts) := answer if {
	answer := desired_replicas_running.result with input as given(facts)
}

test_as_many_as_asked_for_pass if {
	judge({"workload": {"ready_pods": 3}}).passed
}

test_fewer_fail if {
	answer := judge({"workload": {"ready_pods": 2}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_more_fail if {
	answer := judge({"workload": {"ready_pods": 4}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"workload": {}})
	not answer.passed
	answer.missing == ["facts.workload.ready_pods"]
}
