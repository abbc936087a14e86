# How large a change may be. To lower a limit, or to name the registries that images may come from, edit the constants.
package capstan.safety.rules.resource_limits

import rego.v1

max_replicas := 110

# What Kubernetes stores in one ConfigMap.
max_config_map_bytes := 1048576

# Of everything that a patch action is given.
max_patch_bytes := 204800

# Prefixes of the images that UpdateImage may set, such as "registry.example.com/team/". None: any image.
allowed_registries := set()

patch_actions := {"PatchConfigMap", "PatchSecret"}

violations contains {
	"id": "resource-limits/too-many-replicas",
	"message": sprintf("%d replicas are more than the %d allowed", [replicas, max_replicas]),
} if {
	replicas := input.parameters.replicas
	is_number(replicas)
	replicas > max_replicas
}

violations contains {
	"id": "resource-limits/patch-too-large",
	"message": sprintf("the patch has %d bytes, at most %d are taken", [given_bytes, max_patch_bytes]),
} if {
	input.action in patch_actions
	given_bytes > max_patch_bytes
}

# The size afterwards is not known before the change. It is at most the size now and what is added; each "copy" can add
# what is there already once more. A patch that replaces most of a large ConfigMap is refused too.
violations contains {
	"id": "resource-limits/config-map-too-large",
	"message": sprintf("the ConfigMap could grow to %d bytes, at most %d are allowed", [bytes, max_config_map_bytes]),
} if {
	input.action == "PatchConfigMap"
	size_known
	bytes := (input.facts.config_map.size_bytes + given_bytes) * (1 + copies)
	bytes > max_config_map_bytes
}

violations contains {
	"id": "resource-limits/unknown-size",
	"message": "the size of the ConfigMap is not known",
} if {
	input.action == "PatchConfigMap"
	not absent
	not size_known
}

violations contains {
	"id": "resource-limits/bad-patch",
	"message": "patch must be a JSON Patch: a list of operations",
} if {
	input.action == "PatchConfigMap"
	not operations
}

violations contains {
	"id": "resource-limits/registry-not-allowed",
	"message": sprintf("image %v does not come from an allowed registry", [object.get(input.parameters, "image", "(none)")]),
} if {
	input.action == "UpdateImage"
	not image_allowed
}

image_allowed if from_registry(object.get(input, ["parameters", "image"], ""), allowed_registries)

from_registry(_, registries) if count(registries) == 0

from_registry(image, registries) if {
	some registry in registries
	startswith(image, registry)
}

# Bytes of all texts among the parameters. Counted in base64: a text itself is counted in characters.
given_bytes := sum([bytes |
	some value in input.parameters
	is_string(value)
	bytes := floor((count(base64url.encode_no_pad(value)) * 3) / 4)
])

# A list, empty or not: neither false nor undefined.
operations := list if {
	json.is_valid(input.parameters.patch)
	list := json.unmarshal(input.parameters.patch)
	is_array(list)
}

copies := count([operation |
	some operation in operations
	operation.op == "copy"
])

absent if input.facts.config_map.found == false

size_known if is_number(input.facts.config_map.size_bytes)
