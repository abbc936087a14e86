package capstan.conditions.image_pull_secrets_valid_test

import data.capstan.conditions.image_pull_secrets_valid
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := image_pull_secrets_valid.result with input as given(facts)
}

test_no_secrets_pass if {
	judge({"deployment": {"image_pull_secrets": []}, "workload": {"image_pull_failing": 1}}).passed
}

test_secrets_that_work_pass if {
	judge({"deployment": {"image_pull_secrets": ["registry"]}, "workload": {"image_pull_failing": 0}}).passed
}

test_secrets_that_do_not_work_fail if {
	answer := judge({"deployment": {"image_pull_secrets": ["registry"]}, "workload": {"image_pull_failing": 1}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_something_else_than_a_number_fails if {
	answer := judge({"deployment": {"image_pull_secrets": ["registry"]}, "workload": {"image_pull_failing": "0"}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"deployment": {"image_pull_secrets": ["registry"]}})
	not answer.passed
	answer.missing == ["facts.workload.image_pull_failing"]
}
