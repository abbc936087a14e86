# What a workload may be scaled to. How many replicas are too many is in resource-limits.
package capstan.safety.rules.scale_safety

import rego.v1

scaling_actions := {"ScaleDeployment"}

scales if input.action in scaling_actions

scales if input.parameters.replicas != null

violations contains {
	"id": "scale-safety/bad-replicas",
	"message": "replicas must be a whole number, 0 or more",
} if {
	scales
	not whole
}

violations contains {
	"id": "scale-safety/critical-to-zero",
	"message": sprintf("%s is labelled critical: it must not be scaled to zero", [object.get(input.target_resource, "name", "the target")]),
} if {
	input.parameters.replicas == 0
	input.target_resource.labels.critical == "true"
}

violations contains {
	"id": "scale-safety/unknown-labels",
	"message": "the labels of the target are not known, so it must not be scaled to zero",
} if {
	input.parameters.replicas == 0
	not labels_known
}

labels_known if is_object(input.target_resource.labels)

# A string is never compared with a number: every string would be greater.
whole if {
	is_number(input.parameters.replicas)
	input.parameters.replicas >= 0
	floor(input.parameters.replicas) == input.parameters.replicas
}
