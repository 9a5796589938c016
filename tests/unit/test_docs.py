"""The documentation is complete: what exists is described, and what is listed exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hookline.core.config import NAMES, PREFIX
from hookline.core.errors import BY_CODE

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
HOOKS = (
    "init(prm)",
    "preprocess(input, model)",
    "predict(data, model)",
    "predict_batch(data, model)",
    "postprocess(output, raw_input)",
    "model_fn(model_dir)",
    "input_fn(input_data, content_type)",
    "predict_fn(data, model)",
    "output_fn(prediction, accept)",
)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_every_error_code_has_its_status_cause_and_cure(code: str) -> None:
    row = next(line for line in text_of("errors.md").splitlines() if line.startswith(f"| `{code}`"))
    _, _, status, cause, cure, _ = (cell.strip() for cell in row.split("|"))
    assert status == str(BY_CODE[code].status)
    assert ("Retryable" in row) == BY_CODE[code].retryable
    assert cause
    assert cure


def test_no_error_is_documented_that_does_not_exist() -> None:
    documented = re.findall(r"^\| `([a-z_]+)` \| \d", text_of("errors.md"), re.MULTILINE)
    assert sorted(documented) == sorted(BY_CODE)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_documented(name: str) -> None:
    assert f"| `{PREFIX}{name.upper()}` |" in text_of("settings.md")


def test_no_setting_is_documented_that_does_not_exist() -> None:
    documented = re.findall(rf"^\| `{PREFIX}([A-Z_]+)`", text_of("settings.md"), re.MULTILINE)
    assert sorted(name.lower() for name in documented) == sorted(NAMES)


@pytest.mark.parametrize("signature", HOOKS)
def test_every_hook_is_documented_with_its_signature(signature: str) -> None:
    assert f"`{signature}`" in text_of("hooks.md")


def test_every_page_is_in_the_navigation_once() -> None:
    listed = re.findall(r":\s+(\S+\.md)\s*$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == PAGES


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    for target in LINK.findall(text_of(page)):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = (DOCS / page).parent / path if path else DOCS / page
        assert there.is_file(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, target


def slug(heading: str) -> str:
    """The anchor that Markdown's toc extension gives a heading."""
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())
