"""The README's own commands, run in order as a reader would."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.e2e.cloud import DIGITS, ROOT, Cloud

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_readme_s_commands_work(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path / "home")
    first, *rest = (
        block.replace("hookline up -d", "hookline up -d --port 0") for block in blocks("sh")
    )
    learn = (
        "export ENDPOINT=$(hookline config endpoint)\n"
        "export TOKEN=$(hookline stream rotate 1 -o json | python3 -c "
        "\"import json,sys; print(json.load(sys.stdin)['presigned_token'])\")\n"
    )
    script = "set -eu\n" + first + learn + "".join(rest)
    script = script.replace("-O results.csv", f"-O {tmp_path}/results.csv")
    try:
        done = subprocess.run(
            ["bash", "-c", script],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=cloud.environment,
            timeout=110,
        )
    finally:
        cloud.kill()
    assert done.returncode == 0, done.stdout + done.stderr
    promised = json.loads(blocks("json")[0])["predictions"][0]
    assert done.stdout.count(f'"label": "{promised["label"]}"') == 2
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 100


def test_the_readme_s_hook_file_works(tmp_path: Path) -> None:
    [block] = blocks("python")
    assert len(block.splitlines()) <= 15
    (tmp_path / "inference.py").write_text(block)
    image = DIGITS / "images" / "000.png"
    model = str(DIGITS / "digits.onnx")
    done = Cloud(tmp_path / "home").run(
        "run", model, str(image), "--hooks", str(tmp_path / "inference.py")
    )
    assert json.loads(done.stdout) == {"digit": 2, "of_bytes": image.stat().st_size}
