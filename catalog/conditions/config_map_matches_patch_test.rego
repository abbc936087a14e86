package capstan.conditions.config_map_matches_patch_test

import data.capstan.conditions.config_map_matches_patch
import rego.v1

given(facts) := {
	"parameters": {"patch": json.marshal([
		{"op": "test", "path": "/data/mode", "value": "slow"},
		{"op": "replace", "path": "/data/mode", "value": "medium"},
		{"op": "replace", "path": "/data/mode", "value": "fast"},
		{"op": "add", "path": "/data/a~1b", "value": "c"},
		{"op": "remove", "path": "/data/old"},
	])},
	"before": {"data_sha256": "h1"},
	"facts": facts,
}

now(entries) := {"config_map": {
	"data_sha256": "h2",
	"restore_patch": json.marshal([{"op": "add", "path": "/data", "value": entries}]),
}}

judge(facts) := answer if {
	answer := config_map_matches_patch.result with input as given(facts)
}

test_the_values_of_the_patch_pass if {
	judge(now({"mode": "fast", "a/b": "c", "other": "x"})).passed
}

test_an_earlier_value_fails if {
	answer := judge(now({"mode": "medium", "a/b": "c"}))
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_a_value_that_is_not_there_fails if {
	answer := judge(now({"mode": "fast"}))
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_a_value_that_was_to_be_removed_fails if {
	answer := judge(now({"mode": "fast", "a/b": "c", "old": "x"}))
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_a_large_config_map_that_changed_passes if {
	judge({"config_map": {"data_sha256": "h2", "restore_patch": ""}}).passed
}

test_a_large_config_map_that_did_not_change_fails if {
	answer := judge({"config_map": {"data_sha256": "h1", "restore_patch": ""}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"config_map": {"data_sha256": "h2"}})
	not answer.passed
	answer.missing == ["facts.config_map.restore_patch"]
}

whole(patch, entries) := answer if {
	answer := config_map_matches_patch.result with input as {
		"parameters": {"patch": json.marshal(patch)},
		"before": {"data_sha256": "h1"},
		"facts": now(entries),
	}
}

test_a_whole_map_that_is_there_passes if {
	whole([{"op": "add", "path": "/data", "value": {"a": "1", "b": "2"}}], {"a": "1", "b": "2"}).passed
}

test_a_whole_map_of_which_a_value_differs_fails if {
	not whole([{"op": "add", "path": "/data", "value": {"a": "1", "b": "2"}}], {"a": "1", "b": "3"}).passed
}

test_a_value_besides_the_whole_map_fails if {
	not whole([{"op": "add", "path": "/data", "value": {"a": "1"}}], {"a": "1", "b": "2"}).passed
}

test_a_value_that_is_added_after_the_whole_map_passes if {
	whole([{"op": "add", "path": "/data", "value": {"a": "1"}}, {"op": "add", "path": "/data/b", "value": "2"}], {"a": "1", "b": "2"}).passed
}

test_a_value_that_is_set_after_the_whole_map_counts if {
	whole([{"op": "add", "path": "/data", "value": {"a": "1"}}, {"op": "add", "path": "/data/a", "value": "2"}], {"a": "2"}).passed
}

test_a_whole_map_that_is_gone_passes if {
	whole([{"op": "remove", "path": "/data"}], {}).passed
}

test_a_value_that_was_moved_away_is_not_looked_for if {
	whole([{"op": "add", "path": "/data/a", "value": "1"}, {"op": "move", "from": "/data/a", "path": "/data/b"}], {"b": "1"}).passed
}

test_a_value_that_was_to_be_removed_alone_fails if {
	not whole([{"op": "remove", "path": "/data/a"}], {"a": "1"}).passed
}

test_the_message_names_the_path_and_no_value if {
	answer := whole([{"op": "add", "path": "/data/a", "value": "hidden"}], {})
	contains(answer.message, "/data/a")
	not contains(answer.message, "hidden")
}
