from __future__ import annotations

import os
from pathlib import Path

import pytest

from hookline.core.errors import HookFailed, InvalidInput
from hookline.runtime.guard import Guard
from hookline.runtime.inference_file import load_hooks
from hookline.runtime.items import Item
from tests.unit.runtime.conftest import WriteBundle

ITEM = Item(b"raw", "text/plain")


def test_any_subset_of_the_hooks_is_found(write_bundle: WriteBundle) -> None:
    hooks = load_hooks(str(write_bundle("def postprocess(output, raw_input): return raw_input")))
    missing = (hooks.init, hooks.preprocess, hooks.predict, hooks.predict_batch)
    assert missing == (None, None, None, None)
    assert hooks.postprocess is not None
    assert hooks.postprocess(1, ITEM) == b"raw"
    assert not hooks.has_predict


def test_the_hook_file_runs_in_its_own_folder(write_bundle: WriteBundle) -> None:
    code_dir = write_bundle(
        """
        import os
        from pathlib import Path
        import my_labels_module
        LABELS = Path("labels.txt").read_text()
        assert os.environ["HOOKLINE_CODE_DIR"] == os.getcwd()

        def preprocess(input, model):
            return my_labels_module.NAME, LABELS, Path("labels.txt").read_text()
        """,
        **{"labels.txt": "cat", "my_labels_module.py": "NAME = 'mine'"},
    )
    hooks = load_hooks(str(code_dir))
    assert hooks.preprocess is not None
    assert hooks.preprocess(ITEM, None) == ("mine", "cat", "cat")
    assert Path.cwd() == code_dir
    assert os.environ["HOOKLINE_CODE_DIR"] == str(code_dir)


def test_requirements_come_after_the_bundles_own_modules(
    write_bundle: WriteBundle, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "both_have_it.py").write_text("FROM = 'site'")
    (site / "only_site_has_it.py").write_text("FROM = 'site'")
    code_dir = write_bundle(
        """
        import both_have_it, only_site_has_it
        def init(prm): return both_have_it.FROM, only_site_has_it.FROM
        """,
        **{"both_have_it.py": "FROM = 'code'"},
    )
    hooks = load_hooks(str(code_dir), [str(site)])
    assert hooks.init is not None
    assert hooks.init("") == ("code", "site")


def test_a_bundle_without_the_file_says_which_is_missing(tmp_path: Path) -> None:
    with pytest.raises(HookFailed, match=r"no inference\.py"):
        load_hooks(str(tmp_path))


def test_a_failing_import_shows_the_users_own_lines_only(write_bundle: WriteBundle) -> None:
    code_dir = write_bundle(
        """
        import json

        def read():
            return json.loads("{")

        LABELS = read()
        """
    )
    with pytest.raises(HookFailed, match=r"inference\.py failed to import") as caught:
        load_hooks(str(code_dir))
    assert caught.value.trace.splitlines() == [
        '  File "inference.py", line 7, in <module>',
        "    LABELS = read()",
        "             ^^^^^^",
        '  File "inference.py", line 5, in read',
        '    return json.loads("{")',
        "           ^^^^^^^^^^^^^^^",
        (
            "json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: "
            "line 1 column 2 (char 1)"
        ),
    ]
    assert str(code_dir) not in str(caught.value)


def test_a_syntax_error_shows_its_line(write_bundle: WriteBundle) -> None:
    code_dir = write_bundle("def predict(data, model)\n    return data")
    with pytest.raises(HookFailed) as caught:
        load_hooks(str(code_dir))
    assert 'File "inference.py", line 1' in caught.value.trace
    assert caught.value.why.startswith("SyntaxError")


@pytest.mark.parametrize("line", ["raise SystemExit(3)", "raise KeyboardInterrupt", "import nope"])
def test_an_import_that_wants_to_end_the_process_only_fails(
    write_bundle: WriteBundle, line: str
) -> None:
    with pytest.raises(HookFailed):
        load_hooks(str(write_bundle(line)))


def test_a_file_missing_below_code_names_the_variable_that_helps(
    write_bundle: WriteBundle,
) -> None:
    code_dir = write_bundle("labels = open('/code/labels.pkl').read()")
    with pytest.raises(HookFailed, match="HOOKLINE_CODE_DIR"):
        load_hooks(str(code_dir))


def test_a_file_missing_elsewhere_gets_no_such_hint(write_bundle: WriteBundle) -> None:
    code_dir = write_bundle("labels = open('/coder/labels.pkl').read()")
    with pytest.raises(HookFailed) as caught:
        load_hooks(str(code_dir))
    assert caught.value.hint == ""


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def preprocess(input): pass", r"preprocess\(input, model\)"),
        ("def predict(data, model, beams): pass", r"predict\(data, model\)"),
        ("def init(): pass", r"init\(prm\)"),
        ("async def predict(data, model): pass", "async"),
    ],
)
def test_a_hook_that_cannot_be_called_is_refused_at_load(
    write_bundle: WriteBundle, source: str, says: str
) -> None:
    with pytest.raises(HookFailed, match=says):
        load_hooks(str(write_bundle(source)))


@pytest.mark.parametrize(
    "source",
    [
        "def predict(a, b, extra=None): return a",
        "def predict(*args): return args[0]",
        "predict = lambda x, y: x",
        "class Predict:\n    def __call__(self, a, b): return a\npredict = Predict()",
    ],
)
def test_anything_that_can_be_called_is_a_hook(write_bundle: WriteBundle, source: str) -> None:
    hooks = load_hooks(str(write_bundle(source)))
    assert hooks.predict is not None
    assert hooks.predict("data", None) == "data"


def test_a_name_that_is_not_a_function_is_no_hook(write_bundle: WriteBundle) -> None:
    assert load_hooks(str(write_bundle("predict = 3"))).predict is None


def test_a_module_of_the_bundle_can_be_unpickled(write_bundle: WriteBundle) -> None:
    code_dir = write_bundle(
        """
        import pickle
        class Vocabulary:
            size = 7
        COPY = pickle.loads(pickle.dumps(Vocabulary()))
        def init(prm): return COPY.size
        """
    )
    hooks = load_hooks(str(code_dir))
    assert hooks.init is not None
    assert hooks.init("") == 7


def test_an_error_the_hook_chose_is_kept() -> None:
    chosen = InvalidInput("Send a cat.")

    def hook() -> None:
        raise chosen

    assert Guard().attempt("preprocess", hook) is chosen
