from __future__ import annotations

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from botocore.stub import Stubber

from hookline.adapters.aws.errors import answer_of, call, code_of, pages, translated
from hookline.core.errors import (
    Conflict,
    Forbidden,
    HooklineError,
    InvalidInput,
    NotFound,
    TooManyRequests,
    Unavailable,
)
from tests.unit.adapters.aws.world import fresh_clients


def answered(code: str, *, status: int = 400) -> HooklineError:
    """Our error for one of AWS, whose sentence names a role."""
    message = "arn:aws:iam::123456789012:role/x is not authorized"
    ecs = fresh_clients().ecs
    with Stubber(ecs) as stub:
        stub.add_client_error("list_services", code, message, http_status_code=status)
        with pytest.raises(HooklineError) as caught:
            call(ecs.list_services, cluster="main")
    return caught.value


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("NoSuchKey", NotFound),
        ("AccessDenied", Forbidden),
        ("AccessDeniedException", Forbidden),
        ("ConditionalCheckFailedException", Conflict),
        ("ConditionalRequestConflict", Conflict),
        ("PreconditionFailed", Conflict),
        ("TransactionConflictException", Conflict),
        ("ValidationException", InvalidInput),
        ("ThrottlingException", TooManyRequests),
        ("ProvisionedThroughputExceededException", TooManyRequests),
        ("SlowDown", TooManyRequests),
        ("ServiceNotActiveException", Unavailable),
    ],
)
def test_a_code_of_aws_becomes_our_error(code: str, kind: type[HooklineError]) -> None:
    error = answered(code)

    assert type(error) is kind
    assert code_of(error) == code


def test_a_fault_of_aws_is_worth_a_retry_whatever_its_code() -> None:
    assert type(answered("InternalFailure", status=500)) is Unavailable
    assert type(answered("Odd", status=503)) is Unavailable


def test_an_unknown_refusal_is_ours_to_mend() -> None:
    error = answered("ClusterNotFoundException")

    assert type(error) is HooklineError
    assert error.why == "It answered ClusterNotFoundException."


def test_the_sentences_of_aws_stay_inside() -> None:
    error = answered("AccessDenied")

    assert "arn:" not in str(error)
    assert "arn:" in str(error.__cause__)


def test_a_resource_that_is_absent_is_not_found_only_where_callers_name_it() -> None:
    assert type(answered("ResourceNotFoundException")) is HooklineError


@pytest.mark.parametrize(
    "cause", [EndpointConnectionError(endpoint_url="https://x"), NoCredentialsError()]
)
def test_no_answer_at_all_is_worth_a_retry(cause: Exception) -> None:
    with pytest.raises(Unavailable) as caught, translated():
        raise cause

    assert answer_of(caught.value) == {}
    assert code_of(caught.value) == ""


def test_pages_are_asked_for_until_there_are_no_more() -> None:
    ecs = fresh_clients().ecs
    with Stubber(ecs) as stub:
        stub.add_response(
            "list_services", {"serviceArns": ["a"], "nextToken": "2"}, {"cluster": "main"}
        )
        stub.add_response(
            "list_services", {"serviceArns": ["b"]}, {"cluster": "main", "nextToken": "2"}
        )
        found = [page["serviceArns"] for page in pages(ecs.list_services, {"cluster": "main"})]

    assert found == [["a"], ["b"]]
