package capstan.conditions.other_nodes_schedulable_test

import data.capstan.conditions.other_nodes_schedulable
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := other_nodes_schedulable.result with input as given(facts)
}

test_one_passes if {
	judge({"cluster": {"other_schedulable_nodes": 1}}).passed
}

test_none_fails if {
	answer := judge({"cluster": {"other_schedulable_nodes": 0}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"cluster": {}})
	not answer.passed
	answer.missing == ["facts.cluster.other_schedulable_nodes"]
}
