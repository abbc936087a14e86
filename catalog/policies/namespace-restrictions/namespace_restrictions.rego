# Namespaces that no action may touch: those of Kubernetes itself and the one the Jobs run in.
package capstan.safety.rules.namespace_restrictions

import rego.v1

protected := {"kube-system", "kube-public", "kube-node-lease"}

violations contains {
	"id": "namespace-restrictions/protected-namespace",
	"message": sprintf("namespace %s is protected: no action may change it", [namespace]),
} if {
	namespace := input.target_resource.namespace
	namespace in protected
}

violations contains {
	"id": "namespace-restrictions/executor-namespace",
	"message": sprintf("namespace %s is where actions run: no action may change it", [namespace]),
} if {
	namespace := input.target_resource.namespace
	namespace == input.metadata.execution_namespace
	namespace != ""
}

violations contains {
	"id": "namespace-restrictions/unknown-namespace",
	"message": "the namespace of the target or of the Job is not known",
} if {
	not known
}

known if {
	is_string(input.target_resource.namespace)
	is_string(input.metadata.execution_namespace)
	input.metadata.execution_namespace != ""
}
