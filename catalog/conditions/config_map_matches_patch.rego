# The ConfigMap has the values of the patch. They are read from facts.config_map.restore_patch, which holds all values as
# they are now. Where that is empty, because the ConfigMap is large, the hash of the values must have changed; values that
# are copied or moved within the ConfigMap are not compared.
package capstan.conditions.config_map_matches_patch

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "the values have changed; there are too many to compare", "missing": []} if {
	input.facts.config_map.restore_patch == ""
	input.facts.config_map.data_sha256 != input.before.data_sha256
} else := {"passed": false, "message": "the values have not changed", "missing": []} if {
	input.facts.config_map.restore_patch == ""
} else := {"passed": true, "message": "the values are those of the patch", "missing": []} if {
	count(different) == 0
} else := {"passed": false, "message": sprintf("not as in the patch: %s", [concat(", ", different)]), "missing": []}

missing := [path |
	some path in ["parameters.patch", "facts.config_map.restore_patch", "facts.config_map.data_sha256", "before.data_sha256"]
	not is_string(object.get(input, split(path, "."), null))
]

patch := json.unmarshal(input.parameters.patch)

# What is there now: {"/data/mode": "fast"}, for each map that has values. A later operation wins.
values := {sprintf("%s/%s", [operation.path, escaped(key)]): value |
	json.is_valid(input.facts.config_map.restore_patch)
	some operation in json.unmarshal(input.facts.config_map.restore_patch)
	operation.path in {"/data", "/binaryData"}
	is_object(object.get(operation, "value", null))
	some key, value in operation.value
}

escaped(key) := replace(replace(key, "~", "~0"), "/", "~1")

# Operations after which no other touches the same value.
last contains index if {
	some index, operation in patch
	later := [1 |
		some other, next in patch
		other > index
		touches(next, operation.path)
	]
	count(later) == 0
}

touches(operation, path) if operation.path == path

touches(operation, path) if startswith(path, sprintf("%s/", [operation.path]))

touches(operation, path) if object.get(operation, "from", "") == path

different contains operation.path if {
	some index in last
	operation := patch[index]
	operation.op in {"add", "replace"}
	is_string(operation.value)
	object.get(values, operation.path, null) != operation.value
}

different contains path if {
	some index in last
	operation := patch[index]
	operation.op in {"add", "replace"}
	is_object(operation.value)
	some key, value in operation.value
	path := sprintf("%s/%s", [operation.path, escaped(key)])
	count([1 | some other, next in patch; other > index; touches(next, path)]) == 0
	object.get(values, path, null) != value
}

different contains path if {
	some index in last
	operation := patch[index]
	operation.op in {"add", "replace"}
	is_object(operation.value)
	some path, _ in values
	startswith(path, sprintf("%s/", [operation.path]))
	not path in {wanted | some key, _ in operation.value; wanted := sprintf("%s/%s", [operation.path, escaped(key)])}
	count([1 | some other, next in patch; other > index; touches(next, path)]) == 0
}

different contains operation.path if {
	some index in last
	operation := patch[index]
	operation.op == "remove"
	some path, _ in values
	touches(operation, path)
}
