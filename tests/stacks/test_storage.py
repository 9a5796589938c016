from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.stacks.conftest import Synthesize
from tests.stacks.templates import Template, listed, text

Templates = dict[str, Template]


@pytest.fixture(scope="module")
def storage(templates: Templates) -> Template:
    return templates["Storage-acme"]


def test_the_bucket_is_closed_encrypted_and_versioned(storage: Template) -> None:
    (bucket,) = storage.of_type("AWS::S3::Bucket").values()
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert "AccessControl" not in bucket


def test_stale_uploads_are_ended_within_a_week(storage: Template) -> None:
    (bucket,) = storage.of_type("AWS::S3::Bucket").values()
    rule, of_predictions = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["Status"] == "Enabled"
    assert rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] <= 7
    assert "Prefix" not in rule
    assert "ExpirationInDays" not in rule  # what is stored stays
    assert (of_predictions["Prefix"], of_predictions["ExpirationInDays"]) == (
        "acme/predictions/",
        1,
    )


def test_buckets_and_queues_take_tls_only(storage: Template) -> None:
    policies = [
        *storage.of_type("AWS::S3::BucketPolicy").values(),
        *storage.of_type("AWS::SQS::QueuePolicy").values(),
    ]
    queues = storage.of_type("AWS::SQS::Queue")
    assert len(policies) == 1 + len(queues)
    for policy in policies:
        refusals = [
            statement
            for statement in policy["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Deny"
            and statement.get("Condition", {}).get("Bool") == {"aws:SecureTransport": "false"}
        ]
        assert refusals
        assert all(statement["Principal"] == {"AWS": "*"} for statement in refusals)


def test_queues_are_encrypted(storage: Template) -> None:
    queues = storage.of_type("AWS::SQS::Queue").values()
    assert all(queue["SqsManagedSseEnabled"] is True for queue in queues)


def test_every_queue_has_dead_letters_but_the_dead_themselves(storage: Template) -> None:
    for name, queue in storage.of_type("AWS::SQS::Queue").items():
        is_last = "Dead" in name or name.startswith("Undelivered")
        assert ("RedrivePolicy" in queue) != is_last, name
        assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_the_table_has_the_keys_of_the_catalog_and_is_recoverable(storage: Template) -> None:
    (table,) = storage.of_type("AWS::DynamoDB::Table").values()
    assert [key["AttributeName"] for key in table["KeySchema"]] == ["pk", "sk"]
    assert {one["AttributeType"] for one in table["AttributeDefinitions"]} == {"S"}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}


def test_files_under_volumes_are_drops_and_results_never_are(storage: Template) -> None:
    (bucket,) = storage.of_type("AWS::S3::Bucket").values()
    told = bucket["NotificationConfiguration"]["EventBridgeConfiguration"]
    assert told == {"EventBridgeEnabled": True}
    pattern = rule(storage, "Dropped")["EventPattern"]
    assert (pattern["source"], pattern["detail-type"]) == (["aws.s3"], ["Object Created"])
    assert [text(name) for name in pattern["detail"]["bucket"]["name"]] == list(
        storage.of_type("AWS::S3::Bucket")
    )
    ((begin,),) = [list(key.values()) for key in pattern["detail"]["object"]["key"]]
    assert fnmatchcase("acme/volumes/3/in/a.png", f"{begin}*")
    for other in ("acme/jobs/1/results.csv", "acme/jobs/1/parts/0.jsonl", "acme/uploads/0"):
        assert not fnmatchcase(other, f"{begin}*")


def rule(storage: Template, name: str) -> dict[str, Any]:
    """The rule whose logical id begins so."""
    rules = storage.of_type("AWS::Events::Rule")
    (found,) = [body for one, body in rules.items() if one.startswith(name)]
    return found


def test_every_object_of_a_tenants_linked_buckets_is_a_drop(templates: Templates) -> None:
    pattern = rule(templates["Storage-acme"], "Linked")["EventPattern"]
    assert (pattern["source"], pattern["detail-type"]) == (["aws.s3"], ["Object Created"])
    assert pattern["detail"] == {"bucket": {"name": ["photos"]}}
    (own,) = templates["Storage-globex"].of_type("AWS::Events::Rule")
    assert own.startswith("Dropped")


def test_many_linked_buckets_fit_the_patterns_of_their_rules(synthesize: Synthesize) -> None:
    names = [f"{number:02}{'x' * 61}" for number in range(45)]
    linked = {"acme": names}
    storage = synthesize(tenant="acme", **{"hookline:linked-buckets": linked})["Storage-acme"]
    patterns = [
        body["EventPattern"]
        for one, body in storage.of_type("AWS::Events::Rule").items()
        if one.startswith("Linked")
    ]
    found = [name for pattern in patterns for name in pattern["detail"]["bucket"]["name"]]
    assert found == names
    assert max(len(json.dumps(pattern)) for pattern in patterns) <= 2048


def test_a_drop_that_cannot_be_delivered_is_kept(storage: Template) -> None:
    for one in storage.of_type("AWS::Events::Rule").values():
        (target,) = one["Targets"]
        assert text(target["Arn"]).startswith("DropsQueue")
        assert text(target["DeadLetterConfig"]["Arn"]).startswith("Undelivered")


def test_eventbridge_may_send_for_its_own_rule_only(storage: Template) -> None:
    for policy in storage.of_type("AWS::SQS::QueuePolicy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Allow":
                assert statement["Principal"] == {"Service": "events.amazonaws.com"}
                assert "sqs:SendMessage" in listed(statement["Action"])
                assert "aws:SourceArn" in statement["Condition"]["ArnEquals"]


def test_development_can_be_destroyed(templates: Templates) -> None:
    assert kept(templates["Storage-acme"]) == set()


def kept(storage: Template) -> set[str]:
    """The types of what outlives its stack."""
    resources = storage.body["Resources"].values()
    return {one["Type"] for one in resources if one.get("DeletionPolicy") == "Retain"}
