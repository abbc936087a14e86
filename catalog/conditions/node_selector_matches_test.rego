package capstan.conditions.node_selector_matches_test

import data.capstan.conditions.node_selector_matches
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := node_selector_matches.result with input as given(facts)
}

test_a_ready_node_that_fits_passes if {
	judge({"workload": {"matching_nodes": 2, "ready_matching_nodes": 1}}).passed
}

test_no_ready_node_fails if {
	answer := judge({"workload": {"matching_nodes": 2, "ready_matching_nodes": 0}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_no_node_fails if {
	answer := judge({"workload": {"matching_nodes": 0, "ready_matching_nodes": 0}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({})
	not answer.passed
	answer.missing == ["facts.workload.matching_nodes", "facts.workload.ready_matching_nodes"]
}
