package capstan.conditions.evicted_workloads_ready_test

import data.capstan.conditions.evicted_workloads_ready
import rego.v1

given(facts) := {"parameters": {}, "before": {"pods": [{"name": "web-1"}, {"name": "agent", "daemon_set": true}]}, "facts": facts}

judge(facts) := answer if {
	answer := evicted_workloads_ready.result with input as given(facts)
}

test_all_ready_pass if {
	judge({"node": {"evicted_unready": []}}).passed
}

test_one_that_is_not_ready_fails if {
	answer := judge({"node": {"evicted_unready": ["shop/web"]}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"node": {}})
	not answer.passed
	answer.missing == ["facts.node.evicted_unready"]
}

test_a_drain_that_evicted_nothing_passes if {
	answer := evicted_workloads_ready.result with input as {"before": {"pods": [
		{"name": "agent", "daemon_set": true},
		{"name": "kube-proxy", "mirror": true},
		{"name": "job", "finished": true},
	]}}
	answer.passed
}

test_something_else_than_a_list_of_what_was_there_is_not_known if {
	answer := evicted_workloads_ready.result with input as {"before": {"pods": null}}
	not answer.passed
	answer.missing == ["before.pods"]
}

test_not_knowing_what_was_there_fails if {
	answer := evicted_workloads_ready.result with input as {"facts": {"node": {"evicted_unready": []}}}
	not answer.passed
	answer.missing == ["before.pods"]
}
