package capstan.conditions.node_schedulable_test

import data.capstan.conditions.node_schedulable
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := node_schedulable.result with input as given(facts)
}

test_an_open_node_passes if {
	judge({"node": {"unschedulable": false}}).passed
}

test_a_cordoned_one_fails if {
	answer := judge({"node": {"unschedulable": true}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"node": {"found": false}})
	not answer.passed
	answer.missing == ["facts.node.unschedulable"]
}
