package capstan.conditions.resource_usage_acceptable_test

import data.capstan.conditions.resource_usage_acceptable
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := resource_usage_acceptable.result with input as given(facts)
}

test_none_out_of_memory_passes if {
	judge({"workload": {"oom_killed": 0}}).passed
}

test_one_out_of_memory_fails if {
	answer := judge({"workload": {"oom_killed": 1}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"workload": {}})
	not answer.passed
	answer.missing == ["facts.workload.oom_killed"]
}
