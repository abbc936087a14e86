package capstan.conditions.dependents_healthy_test

import data.capstan.conditions.dependents_healthy
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := dependents_healthy.result with input as given(facts)
}

test_all_ready_pass if {
	judge({"workload": {"crash_looping": 0, "ready_pods": 3, "running_pods": 3}}).passed
}

test_one_that_is_not_ready_fails if {
	answer := judge({"workload": {"crash_looping": 0, "ready_pods": 2, "running_pods": 3}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_one_that_crashes_fails if {
	answer := judge({"workload": {"crash_looping": 1, "ready_pods": 3, "running_pods": 3}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({})
	not answer.passed
	answer.missing == ["facts.workload.crash_looping", "facts.workload.ready_pods", "facts.workload.running_pods"]
}
