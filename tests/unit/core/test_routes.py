from __future__ import annotations

import pytest

from hookline.core.errors import NotFound
from hookline.core.routes import Routes
from hookline.core.topology import FALLBACK, FUNCTIONS


def test_every_route_of_the_topology_leads_to_its_function() -> None:
    routes = Routes()
    for function in FUNCTIONS:
        for route in function.routes:
            path = route.path.replace("{", "").replace("}", "")
            assert routes.match(route.method, path).function == function.name


def test_path_parameters_are_decoded() -> None:
    match = Routes().match("DELETE", "/v1/users/ad%20a")
    assert match.parameters == {"name": "ad a"}


@pytest.mark.parametrize("path", ["/v1/models/7", "/v1/nothing/at/all"])
def test_what_no_route_answers_below_v1_falls_to_one_that_says_so(path: str) -> None:
    match = Routes().match("PATCH", path)
    assert (match.route, match.function) == (FALLBACK, "api")
    assert match.parameters == {"proxy": path.removeprefix("/v1/")}


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v2x/models", "/nothing"])
def test_other_paths_are_not_there(path: str) -> None:
    with pytest.raises(NotFound, match=f"no operation GET {path}"):
        Routes().match("GET", path)


def test_a_path_has_its_methods() -> None:
    assert Routes().methods("/v1/models/7") == ("GET", "DELETE")
    assert Routes().methods("/v1/nothing") == ()
