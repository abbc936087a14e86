#!/usr/bin/env python3
"""Compares the policy engine with OPA on the shipped policies: usage opa_differential.py CAPSTAN_POLICY_CHECK OPA.

Runs `opa check --strict` and `opa test` on catalog/policies, then evaluates a corpus of inputs with both engines; the
decisions must be equal. Exits 1 and prints what differs otherwise.
"""
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

POLICIES = pathlib.Path(__file__).resolve().parents[3] / "catalog" / "policies"

ACTIONS = ["ScaleDeployment", "DrainNode", "", None]
REPLICAS = [0, 1, 3, 110, 111, 0.0, 3.0, -1, 1.5, 2147483648, "3", None]
NAMESPACES = ["shop", "kube-system", "capstan-actions", "", "größe"]
LABELS = [{}, {"critical": "true"}, {"critical": "false", "app": "web"}]


def scale_input(action, replicas, namespace, labels):
    return {
        "api_version": "capstan.policy/v1",
        "action": action,
        "parameters": {"replicas": replicas},
        "caller": "corpus",
        "dry_run": False,
        "evaluation_time": "2026-01-01T00:00:00+00:00",
        "target_resource": {"kind": "Deployment", "name": "web", "namespace": namespace, "labels": labels},
        "metadata": {"execution_name": "executions/1", "execution_namespace": "capstan-actions"},
        "facts": {},
    }


def without(document, *path):
    copy = json.loads(json.dumps(document))
    parent = copy
    for key in path[:-1]:
        parent = parent[key]
    del parent[path[-1]]
    return copy


def corpus():
    for values in itertools.product(ACTIONS, REPLICAS, NAMESPACES, LABELS):
        yield scale_input(*values)
    good = scale_input("ScaleDeployment", 0, "shop", {})
    for path in [("action",), ("parameters",), ("parameters", "replicas"), ("target_resource",), ("metadata",),
                 ("target_resource", "labels"), ("target_resource", "namespace"), ("target_resource", "name"),
                 ("metadata", "execution_namespace")]:
        yield without(good, *path)
    yield from ({}, {"action": ["ScaleDeployment"]}, {"parameters": {"replicas": {}}}, {"target_resource": "x"})


def decide_ours(check, documents):
    lines = "".join(json.dumps(document) + "\n" for document in documents)
    result = subprocess.run([check, POLICIES, "--decide"], input=lines, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"--decide failed: {result.stdout}{result.stderr}")
    return [json.loads(line) for line in result.stdout.splitlines()]


def decide_opa(opa, module, documents):
    """All documents in one opa process: a module that asks for the decision with each of them as input."""
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "decision.rego").write_text(module)
        (pathlib.Path(folder) / "corpus.json").write_text(json.dumps({"corpus": documents}))
        query = "[decision | some document in data.corpus; decision := data.capstan.safety.decision with input as document]"
        command = [opa, "eval", "--strict-builtin-errors", "--format", "json", "--ignore", "*_test.rego", "--data",
                   POLICIES, "--data", folder, query]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit(f"opa eval failed: {result.stdout}{result.stderr}")
        return json.loads(result.stdout)["result"][0]["expressions"][0]["value"]


def main():
    check, opa = sys.argv[1:]
    for command in ([opa, "check", "--strict", POLICIES], [opa, "test", POLICIES]):
        subprocess.run(command, check=True)
    module = subprocess.run([check, POLICIES, "--decision-module"], check=True, capture_output=True, text=True).stdout
    documents = list(corpus())
    ours, theirs = decide_ours(check, documents), decide_opa(opa, module, documents)
    if not len(ours) == len(theirs) == len(documents):
        sys.exit(f"of {len(documents)} inputs we decided {len(ours)} and opa {len(theirs)}")
    different = 0
    for document, our_decision, opa_decision in zip(documents, ours, theirs):
        if our_decision != opa_decision:
            different += 1
            print("input:", json.dumps(document), "\n  ours:", our_decision, "\n  opa: ", opa_decision)
    print(f"{len(documents)} inputs, {different} decided differently")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
