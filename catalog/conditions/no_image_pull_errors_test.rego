package capstan.conditions.no_image_pull_errors_test

import data.capstan.conditions.no_image_pull_errors
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := no_image_pull_errors.result with input as given(facts)
}

test_none_passes if {
	judge({"workload": {"image_pull_failing": 0}}).passed
}

test_one_fails if {
	answer := judge({"workload": {"image_pull_failing": 1}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({})
	not answer.passed
	answer.missing == ["facts.workload.image_pull_failing"]
}
