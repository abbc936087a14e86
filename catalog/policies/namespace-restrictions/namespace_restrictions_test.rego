package capstan.safety.rules.namespace_restrictions_test

import data.capstan.safety.rules.namespace_restrictions
import rego.v1

request(namespace) := {
	"target_resource": {"kind": "Deployment", "name": "web", "namespace": namespace, "labels": {}},
	"metadata": {"execution_name": "executions/1", "execution_namespace": "capstan-actions"},
}

ids(request_input) := {violation.id |
	some violation in namespace_restrictions.violations with input as request_input
}

test_an_ordinary_namespace_is_allowed if {
	ids(request("shop")) == set()
}

of_kind(kind, name) := object.union(request(""), {"target_resource": {"kind": kind, "name": name, "namespace": ""}})

test_a_node_has_no_namespace_and_is_allowed if {
	ids(of_kind("Node", "worker-1")) == set()
}

test_a_node_that_is_named_like_a_protected_namespace_is_allowed if {
	ids(of_kind("Node", "kube-system")) == set()
}

test_a_namespace_as_the_target_is_allowed if {
	ids(of_kind("Namespace", "shop")) == set()
}

test_a_protected_namespace_as_the_target_is_denied if {
	ids(of_kind("Namespace", "kube-system")) == {"namespace-restrictions/protected-namespace"}
}

test_the_executor_namespace_as_the_target_is_denied if {
	ids(of_kind("Namespace", "capstan-actions")) == {"namespace-restrictions/executor-namespace"}
}

test_a_deployment_without_namespace_is_denied if {
	ids(request("")) == {"namespace-restrictions/unknown-namespace"}
}

test_an_unknown_kind_without_namespace_is_denied if {
	ids({
		"target_resource": {"namespace": ""},
		"metadata": {"execution_namespace": "capstan-actions"},
	}) == {"namespace-restrictions/unknown-namespace"}
}

test_a_namespace_that_only_starts_like_a_protected_one_is_allowed if {
	ids(request("kube-system-tools")) == set()
}

test_kube_system_is_denied if {
	ids(request("kube-system")) == {"namespace-restrictions/protected-namespace"}
}

test_kube_public_is_denied if {
	ids(request("kube-public")) == {"namespace-restrictions/protected-namespace"}
}

test_kube_node_lease_is_denied if {
	ids(request("kube-node-lease")) == {"namespace-restrictions/protected-namespace"}
}

test_the_executor_namespace_is_denied if {
	ids(request("capstan-actions")) == {"namespace-restrictions/executor-namespace"}
}

test_the_message_names_the_namespace if {
	some violation in namespace_restrictions.violations with input as request("kube-system")
	contains(violation.message, "kube-system")
}

test_an_unknown_target_namespace_is_denied if {
	ids({
		"target_resource": {"kind": "Deployment", "name": "web"},
		"metadata": {"execution_namespace": "capstan-actions"},
	}) == {"namespace-restrictions/unknown-namespace"}
}

test_an_unknown_executor_namespace_is_denied if {
	ids({
		"target_resource": {"namespace": "shop"},
		"metadata": {"execution_namespace": ""},
	}) == {"namespace-restrictions/unknown-namespace"}
}

test_an_empty_input_is_denied if {
	ids({}) == {"namespace-restrictions/unknown-namespace"}
}

test_a_task_needs_no_namespace if {
	count(namespace_restrictions.violations) == 0 with input as {
		"action": "RunTask",
		"target_resource": {"kind": "Workflow", "name": "medium", "namespace": "", "labels": {}},
		"metadata": {"execution_name": "executions/x", "execution_namespace": ""},
	}
}

test_another_action_on_a_workflow_needs_one if {
	count(namespace_restrictions.violations) > 0 with input as {
		"action": "ScaleDeployment",
		"target_resource": {"kind": "Workflow", "name": "medium", "namespace": "", "labels": {}},
		"metadata": {"execution_name": "executions/x", "execution_namespace": "capstan-actions"},
	}
}
