package capstan.conditions.node_ready_test

import data.capstan.conditions.node_ready
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := node_ready.result with input as given(facts)
}

test_a_ready_node_passes if {
	judge({"node": {"ready": true}}).passed
}

test_another_one_fails if {
	answer := judge({"node": {"ready": false}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"node": {}})
	not answer.passed
	answer.missing == ["facts.node.ready"]
}
