package capstan.conditions.no_crashloop_pods_test

import data.capstan.conditions.no_crashloop_pods
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := no_crashloop_pods.result with input as given(facts)
}

test_none_passes if {
	judge({"workload": {"crash_looping": 0}}).passed
}

test_one_fails if {
	answer := judge({"workload": {"crash_looping": 1}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"workload": {"crash_looping": null}})
	not answer.passed
	answer.missing == ["facts.workload.crash_looping"]
}
