# Namespaces that no action may touch: those of Kubernetes itself and the one the Jobs run in.
package capstan.safety.rules.namespace_restrictions

import rego.v1

protected := {"kube-system", "kube-public", "kube-node-lease"}

# Kinds whose objects are in no namespace. Of any other kind an empty namespace means that we do not know it.
cluster_scoped := {
	"ClusterRole",
	"ClusterRoleBinding",
	"CustomResourceDefinition",
	"Namespace",
	"Node",
	"PersistentVolume",
	"PriorityClass",
	"StorageClass",
}

# The namespace that an action changes: that of its target, or the target itself when that is a Namespace.
changed contains input.target_resource.namespace if input.target_resource.namespace != ""

changed contains input.target_resource.name if input.target_resource.kind == "Namespace"

violations contains {
	"id": "namespace-restrictions/protected-namespace",
	"message": sprintf("namespace %s is protected: no action may change it", [namespace]),
} if {
	some namespace in changed
	namespace in protected
}

violations contains {
	"id": "namespace-restrictions/executor-namespace",
	"message": sprintf("namespace %s is where actions run: no action may change it", [namespace]),
} if {
	some namespace in changed
	namespace == input.metadata.execution_namespace
}

violations contains {
	"id": "namespace-restrictions/unknown-namespace",
	"message": "the namespace of the target or of the Job is not known",
} if {
	not known
}

known if {
	target_known
	is_string(input.metadata.execution_namespace)
	input.metadata.execution_namespace != ""
}

# A task changes no object of a cluster: it has no namespace, and no Job.
known if {
	input.action == "RunTask"
	input.target_resource.kind == "Workflow"
}

target_known if {
	is_string(input.target_resource.namespace)
	input.target_resource.namespace != ""
}

target_known if {
	input.target_resource.namespace == ""
	input.target_resource.kind in cluster_scoped
}
