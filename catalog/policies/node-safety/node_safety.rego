# Which nodes may be cordoned, drained and uncordoned. Judged by what was read from the cluster: the role label of the
# node, never its name. A node that is known not to exist is no business of this bundle: the action ends for that.
package capstan.safety.rules.node_safety

import rego.v1

node_actions := {"CordonNode", "DrainNode", "UncordonNode"}

# Those that take the node away from the scheduler.
closing_actions := {"CordonNode", "DrainNode"}

# A cluster with fewer nodes has no room for what a drain evicts.
min_nodes_to_drain := 3

role_labels := {"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"}

on_node if {
	input.action in node_actions
	not absent
}

# An action of the catalog that is not in the list above and changes a node is held to the same rules.
on_node if {
	input.target_resource.kind == "Node"
	not absent
}

absent if input.facts.node.found == false

violations contains {
	"id": "node-safety/control-plane",
	"message": sprintf("node %s is of the control plane: it is not cordoned, drained or uncordoned", [name]),
} if {
	on_node
	control_plane
}

violations contains {
	"id": "node-safety/unknown-node",
	"message": sprintf("the role of node %s is not known", [name]),
} if {
	on_node
	not role_known
}

violations contains {
	"id": "node-safety/too-few-nodes-to-drain",
	"message": sprintf("the cluster has %d nodes: a drain needs %d", [nodes, min_nodes_to_drain]),
} if {
	on_node
	input.action == "DrainNode"
	nodes := input.facts.cluster.total_nodes
	is_number(nodes)
	nodes < min_nodes_to_drain
}

violations contains {
	"id": "node-safety/unknown-cluster-size",
	"message": "the number of nodes is not known, so no node is drained",
} if {
	on_node
	input.action == "DrainNode"
	not size_known
}

violations contains {
	"id": "node-safety/last-schedulable-node",
	"message": sprintf("%s is the last node that takes new pods", [name]),
} if {
	on_node
	input.action in closing_actions
	input.facts.cluster.other_schedulable_nodes == 0
}

violations contains {
	"id": "node-safety/unknown-schedulable-nodes",
	"message": "the number of other nodes that take new pods is not known",
} if {
	on_node
	input.action in closing_actions
	not others_known
}

control_plane if input.facts.node.control_plane == true

control_plane if {
	some label in role_labels
	_ = input.facts.node.labels[label]
}

control_plane if {
	some label in role_labels
	_ = input.target_resource.labels[label]
}

role_known if is_boolean(input.facts.node.control_plane)

size_known if is_number(input.facts.cluster.total_nodes)

others_known if is_number(input.facts.cluster.other_schedulable_nodes)

default name := "(unknown)"

name := input.target_resource.name
