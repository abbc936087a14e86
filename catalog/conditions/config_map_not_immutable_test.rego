package capstan.conditions.config_map_not_immutable_test

import data.capstan.conditions.config_map_not_immutable
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := config_map_not_immutable.result with input as given(facts)
}

test_an_ordinary_one_passes if {
	judge({"config_map": {"immutable": false}}).passed
}

test_an_immutable_one_fails if {
	answer := judge({"config_map": {"immutable": true}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"config_map": {}})
	not answer.passed
	answer.missing == ["facts.config_map.immutable"]
}
