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

test_a_target_without_namespace_is_allowed if {
	ids(request("")) == set()
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
