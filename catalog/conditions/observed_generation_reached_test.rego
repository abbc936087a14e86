package capstan.conditions.observed_generation_reached_test

import data.capstan.conditions.observed_generation_reached
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := observed_generation_reached.result with input as given(facts)
}

test_the_newest_passes if {
	judge({"deployment": {"generation": 3, "status": {"observed_generation": 3}}}).passed
}

test_an_older_one_fails if {
	answer := judge({"deployment": {"generation": 3, "status": {"observed_generation": 2}}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"deployment": {"generation": 3}})
	not answer.passed
	answer.missing == ["facts.deployment.status.observed_generation"]
}
