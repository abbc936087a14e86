package capstan.conditions.container_exists_test

import data.capstan.conditions.container_exists
import rego.v1

given(facts) := {"parameters": {"container": "web"}, "facts": facts}

judge(facts) := answer if {
	answer := container_exists.result with input as given(facts)
}

test_one_of_the_name_passes if {
	judge({"deployment": {"containers": [{"name": "proxy"}, {"name": "web"}]}}).passed
}

test_none_of_the_name_fails if {
	answer := judge({"deployment": {"containers": [{"name": "proxy"}]}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"deployment": {"found": false}})
	not answer.passed
	answer.missing == ["facts.deployment.containers"]
}
