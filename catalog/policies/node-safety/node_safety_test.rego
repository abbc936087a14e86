package capstan.safety.rules.node_safety_test

import data.capstan.safety.rules.node_safety
import rego.v1

request(action, node, cluster) := {
	"action": action,
	"parameters": {"node": "worker-1"},
	"target_resource": {"kind": "Node", "name": "worker-1", "namespace": "", "labels": {}},
	"facts": {"node": node, "cluster": cluster},
}

worker := {"found": true, "control_plane": false, "labels": {"kubernetes.io/os": "linux"}}

master := {"found": true, "control_plane": true, "labels": {}}

roomy := {"total_nodes": 5, "other_schedulable_nodes": 3}

actions := ["CordonNode", "DrainNode", "UncordonNode"]

ids(request_input) := {violation.id |
	some violation in node_safety.violations with input as request_input
}

test_a_worker_node_is_allowed if {
	every action in actions {
		ids(request(action, worker, roomy)) == set()
	}
}

test_a_control_plane_node_is_denied if {
	every action in actions {
		ids(request(action, master, roomy)) == {"node-safety/control-plane"}
	}
}

test_a_role_label_of_the_node_is_enough if {
	every label in ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"] {
		labelled := object.union(worker, {"labels": {label: ""}})
		ids(request("CordonNode", labelled, roomy)) == {"node-safety/control-plane"}
	}
}

test_a_role_label_of_the_target_is_enough if {
	target := {"target_resource": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}
	ids(object.union(request("CordonNode", worker, roomy), target)) == {"node-safety/control-plane"}
}

test_a_name_says_nothing_about_the_role if {
	target := {"target_resource": {"name": "master-control-plane-0"}}
	ids(object.union(request("CordonNode", worker, roomy), target)) == set()
}

test_the_message_names_the_node if {
	some violation in node_safety.violations with input as request("CordonNode", master, roomy)
	contains(violation.message, "worker-1")
}

test_an_unknown_role_is_denied if {
	every action in actions {
		ids(request(action, {"found": true}, roomy)) == {"node-safety/unknown-node"}
	}
}

test_a_role_that_is_not_a_boolean_is_denied if {
	ids(request("CordonNode", {"found": true, "control_plane": "false"}, roomy)) == {"node-safety/unknown-node"}
}

test_no_facts_at_all_are_denied if {
	ids({"action": "UncordonNode"}) == {"node-safety/unknown-node"}
	ids({"action": "CordonNode"}) == {"node-safety/unknown-node", "node-safety/unknown-schedulable-nodes"}
	ids({"action": "DrainNode"}) == {
		"node-safety/unknown-node",
		"node-safety/unknown-cluster-size",
		"node-safety/unknown-schedulable-nodes",
	}
}

test_a_node_that_does_not_exist_is_left_to_the_action if {
	ids(request("DrainNode", {"found": false}, {})) == set()
}

test_a_drain_with_three_nodes_is_allowed if {
	ids(request("DrainNode", worker, {"total_nodes": 3, "other_schedulable_nodes": 1})) == set()
}

test_a_drain_with_two_nodes_is_denied if {
	ids(request("DrainNode", worker, {"total_nodes": 2, "other_schedulable_nodes": 1})) == {"node-safety/too-few-nodes-to-drain"}
}

test_a_cordon_with_two_nodes_is_allowed if {
	ids(request("CordonNode", worker, {"total_nodes": 2, "other_schedulable_nodes": 1})) == set()
}

test_an_unknown_number_of_nodes_is_denied_for_a_drain if {
	ids(request("DrainNode", worker, {"other_schedulable_nodes": 1})) == {"node-safety/unknown-cluster-size"}
	ids(request("DrainNode", worker, {"total_nodes": "9", "other_schedulable_nodes": 1})) == {"node-safety/unknown-cluster-size"}
}

test_the_last_schedulable_node_is_not_cordoned_or_drained if {
	every action in ["CordonNode", "DrainNode"] {
		ids(request(action, worker, {"total_nodes": 5, "other_schedulable_nodes": 0})) == {"node-safety/last-schedulable-node"}
	}
}

test_the_last_schedulable_node_may_be_uncordoned if {
	ids(request("UncordonNode", worker, {"total_nodes": 5, "other_schedulable_nodes": 0})) == set()
}

test_unknown_schedulable_nodes_are_denied if {
	ids(request("CordonNode", worker, {"total_nodes": 5})) == {"node-safety/unknown-schedulable-nodes"}
}

test_another_action_on_a_node_is_held_to_the_role if {
	ids(request("LabelNode", worker, {})) == set()
	ids(request("LabelNode", master, {})) == {"node-safety/control-plane"}
}

test_an_action_on_something_else_is_allowed if {
	ids({"action": "ScaleDeployment", "target_resource": {"kind": "Deployment"}}) == set()
}
