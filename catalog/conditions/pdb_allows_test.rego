package capstan.conditions.pdb_allows_test

import data.capstan.conditions.pdb_allows
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := pdb_allows.result with input as given(facts)
}

test_no_budget_in_the_way_passes if {
	judge({"node": {"blocking_budgets": []}}).passed
}

test_one_in_the_way_fails if {
	answer := judge({"node": {"blocking_budgets": [{"namespace": "shop", "name": "web", "disruptions_allowed": 0, "pods": 1}]}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"node": {}})
	not answer.passed
	answer.missing == ["facts.node.blocking_budgets"]
}
