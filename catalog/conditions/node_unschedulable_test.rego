package capstan.conditions.node_unschedulable_test

import data.capstan.conditions.node_unschedulable
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := node_unschedulable.result with input as given(facts)
}

test_a_cordoned_node_passes if {
	judge({"node": {"unschedulable": true}}).passed
}

test_another_one_fails if {
	answer := judge({"node": {"unschedulable": false}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"node": {"found": false}})
	not answer.passed
	answer.missing == ["facts.node.unschedulable"]
}
