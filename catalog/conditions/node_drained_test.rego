package capstan.conditions.node_drained_test

import data.capstan.conditions.node_drained
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := node_drained.result with input as given(facts)
}

test_an_empty_node_passes if {
	judge({"node": {"pods": []}}).passed
}

test_a_pod_of_a_daemon_set_passes if {
	judge({"node": {"pods": [{"namespace": "shop", "name": "web-1", "daemon_set": true}]}}).passed
}

test_a_pod_of_the_kubelet_passes if {
	judge({"node": {"pods": [{"namespace": "shop", "name": "web-1", "mirror": true}]}}).passed
}

test_a_finished_pod_passes if {
	judge({"node": {"pods": [{"namespace": "shop", "name": "web-1", "finished": true}]}}).passed
}

test_another_pod_fails if {
	answer := judge({"node": {"pods": [{"namespace": "shop", "name": "web-1", "daemon_set": false, "mirror": false, "finished": false}]}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_a_pod_that_is_being_ended_fails if {
	answer := judge({"node": {"pods": [{"namespace": "shop", "name": "web-1", "terminating": true}]}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_a_pod_of_which_nothing_is_known_fails if {
	answer := judge({"node": {"pods": [{"namespace": "shop", "name": "web-1", "owner_kind": ""}]}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"node": {"found": false}})
	not answer.passed
	answer.missing == ["facts.node.pods"]
}
