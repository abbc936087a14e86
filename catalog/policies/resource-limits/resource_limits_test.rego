package capstan.safety.rules.resource_limits_test

import data.capstan.safety.rules.resource_limits
import rego.v1

ids(request_input) := {violation.id |
	some violation in resource_limits.violations with input as request_input
}

scale(replicas) := {"action": "ScaleDeployment", "parameters": {"replicas": replicas}}

patch(operations, size) := {
	"action": "PatchConfigMap",
	"parameters": {"namespace": "shop", "configmap": "web", "patch": json.marshal(operations)},
	"facts": {"config_map": {"found": true, "size_bytes": size}},
}

small := [{"op": "replace", "path": "/data/mode", "value": "fast"}]

sixteen := [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]

# 256 KiB.
long_text := concat("", ["xxxx" | some _ in sixteen; some _ in sixteen; some _ in sixteen; some _ in sixteen])

test_the_largest_number_of_replicas_is_allowed if {
	ids(scale(110)) == set()
}

test_more_replicas_are_denied if {
	ids(scale(111)) == {"resource-limits/too-many-replicas"}
}

test_more_replicas_are_denied_for_any_action if {
	ids({"action": "RestartDeployment", "parameters": {"replicas": 500}}) == {"resource-limits/too-many-replicas"}
}

test_an_action_without_replicas_is_allowed if {
	ids({"action": "RestartDeployment", "parameters": {}}) == set()
}

test_a_small_patch_is_allowed if {
	ids(patch(small, 1000)) == set()
}

test_an_empty_patch_is_allowed if {
	ids(patch([], 1000)) == set()
}

test_a_large_patch_is_denied if {
	ids(patch([{"op": "add", "path": "/data/a", "value": long_text}], 1000)) == {"resource-limits/patch-too-large"}
}

test_a_large_parameter_of_a_secret_patch_is_denied if {
	ids({"action": "PatchSecret", "parameters": {"keys": long_text}}) == {"resource-limits/patch-too-large"}
}

test_a_secret_patch_by_reference_is_allowed if {
	ids({"action": "PatchSecret", "parameters": {"secret": "web", "patch": "web-patch"}}) == set()
}

test_bytes_count_and_not_characters if {
	resource_limits.given_bytes == 7 with input as {"parameters": {"a": "größe"}}
	resource_limits.given_bytes == 10 with input as {"parameters": {"a": "größe€"}}
	resource_limits.given_bytes == 0 with input as {"parameters": {"replicas": 3}}
}

test_a_config_map_that_stays_small_enough_is_allowed if {
	ids(patch(small, 1048000)) == set()
}

test_a_config_map_that_grows_too_large_is_denied if {
	ids(patch(small, 1048570)) == {"resource-limits/config-map-too-large"}
}

test_a_copy_counts_what_is_there_already if {
	copy := [{"op": "copy", "from": "/data/a", "path": "/data/b"}]
	ids(patch(copy, 400000)) == set()
	ids(patch(copy, 600000)) == {"resource-limits/config-map-too-large"}
}

test_an_unknown_size_is_denied if {
	ids(object.union(patch(small, 0), {"facts": {"config_map": {"size_bytes": "0"}}})) == {"resource-limits/unknown-size"}
	ids({"action": "PatchConfigMap", "parameters": {"patch": "[]"}}) == {"resource-limits/unknown-size"}
}

test_a_config_map_that_does_not_exist_is_left_to_the_action if {
	ids({"action": "PatchConfigMap", "parameters": {"patch": "[]"}, "facts": {"config_map": {"found": false}}}) == set()
}

test_a_patch_that_is_not_a_list_is_denied if {
	every text in ["{}", "null", "3", "", "[", "no"] {
		ids({
			"action": "PatchConfigMap",
			"parameters": {"patch": text},
			"facts": {"config_map": {"found": true, "size_bytes": 10}},
		}) == {"resource-limits/bad-patch"}
	}
}

test_a_missing_patch_is_denied if {
	ids({
		"action": "PatchConfigMap",
		"parameters": {},
		"facts": {"config_map": {"found": true, "size_bytes": 10}},
	}) == {"resource-limits/bad-patch"}
}

test_any_image_is_allowed_when_no_registry_is_named if {
	ids({"action": "UpdateImage", "parameters": {"image": "web:2"}}) == set()
}

# With registries named.
image_ids(image) := {violation.id |
	some violation in resource_limits.violations with input as {"action": "UpdateImage", "parameters": {"image": image}}
		with data.capstan.safety.rules.resource_limits.allowed_registries as {"registry.example.com/", "other.example.com/"}
}

test_an_image_of_a_named_registry_is_allowed if {
	image_ids("registry.example.com/web:2") == set()
}

test_an_image_of_another_registry_is_denied if {
	image_ids("evil.example.com/web:2") == {"resource-limits/registry-not-allowed"}
	image_ids("registry.example.com.evil.example/web:2") == {"resource-limits/registry-not-allowed"}
	image_ids("web") == {"resource-limits/registry-not-allowed"}
}
