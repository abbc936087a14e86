package capstan.conditions.pods_run_image_test

import data.capstan.conditions.pods_run_image
import rego.v1

given(facts) := {"parameters": {"image": "web:2"}, "facts": facts}

judge(facts) := answer if {
	answer := pods_run_image.result with input as given(facts)
}

test_all_pods_with_the_image_pass if {
	judge({"deployment": {"replicas": 2}, "workload": {"pods": [{"phase": "Running", "images": ["web:2", "proxy:1"]}, {"phase": "Pending", "images": ["web:2", "proxy:1"]}]}}).passed
}

test_one_with_the_old_image_fails if {
	answer := judge({"deployment": {"replicas": 2}, "workload": {"pods": [{"phase": "Running", "images": ["web:2", "proxy:1"]}, {"phase": "Running", "images": ["web:1", "proxy:1"]}]}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_a_finished_pod_does_not_count if {
	judge({"deployment": {"replicas": 2}, "workload": {"pods": [{"phase": "Running", "images": ["web:2", "proxy:1"]}, {"phase": "Failed", "images": ["web:1", "proxy:1"]}]}}).passed
}

test_no_pod_fails if {
	answer := judge({"deployment": {"replicas": 2}, "workload": {"pods": []}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_no_pod_passes_when_none_is_wanted if {
	judge({"deployment": {"replicas": 0}, "workload": {"pods": []}}).passed
}

test_not_knowing_fails if {
	answer := judge({"deployment": {"replicas": 1}})
	not answer.passed
	answer.missing == ["facts.workload.pods"]
}
