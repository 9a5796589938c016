"""The main job on real input: import, deploy, predict, batch, and files that predict themselves.

Run it with `make demo`. It starts the whole cloud in a temporary folder on a free port, speaks to
it through the command line and plain HTTP, as you would, and leaves nothing behind.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hookline.core import config, profiles

DIGITS = Path(os.path.relpath(Path(__file__).parent / "digits"))
HOOKLINE = str(Path(sys.executable).parent / "hookline")
CLASSIFY = ("--formatter", "classification", "--formatter-args", '{"label": true}')
DROP_TIMEOUT_S = 30


def main() -> int:
    """Run every step; the first that fails ends the demo with its own message."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hookline-demo-") as folder:
        os.environ["HOOKLINE_HOME"] = f"{folder}/home"
        with cloud() as endpoint:
            model = ask("model", "import", f"{DIGITS}/digits.onnx", "--name", "digits")
            say("Deploy the model as a stream")
            stream = ask("model", "deploy", str(model["id"]), *CLASSIFY, "--wait")
            predict(endpoint, stream)
            batch(str(model["id"]))
            drop(str(model["id"]), Path(folder) / "inbox")
            say("Undeploy: the stream's process ends, its token is void")
            show("stream", "undeploy", str(stream["id"]))
    print(f"\nDone in {time.monotonic() - started:.1f} s. Next: `make up`, or read README.md.")
    return 0


@contextmanager
def cloud() -> Iterator[str]:
    """The cloud on this machine, up for the length of the block; yields its address."""
    say("Start the whole cloud on this machine, on a free port")
    show("up", "--port", "0", "-d")
    try:
        yield profiles.load(config.from_environment()).endpoint
    finally:
        say("Stop")
        show("down")


def predict(endpoint: str, stream: dict[str, Any]) -> None:
    """Post three handwritten digits, as any program would."""
    say("Predict three handwritten digits over HTTP")
    url = f"{endpoint}/streams/{stream['id']}/predict"
    bearer = f"Authorization: Bearer {stream['presigned_token']}"
    for image in sorted((DIGITS / "images").glob("*.png"))[:3]:
        print(f"$ curl {url} -H '{bearer}' \\")
        print(f"    -H 'Content-Type: image/png' --data-binary @{image}")
        name, _, value = bearer.partition(": ")
        headers = {name: value, "Content-Type": "image/png"}
        request = urllib.request.Request(url, data=image.read_bytes(), headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            print(answer.read().decode())


def batch(model_id: str) -> None:
    """Predict a volume of 100 images into one CSV, and hold it against the truth."""
    say("Upload 100 images as a volume and predict them in one batch")
    volume = ask("volume", "upload", f"{DIGITS}/images")
    job = ask("batch", "predict", model_id, str(volume["id"]), *CLASSIFY, "--wait")
    rows = results(job["id"])
    truth = dict(csv.reader((DIGITS / "truth.csv").read_text().splitlines()))
    right = sum(label_of(output) == truth[name] for name, output, *_ in rows)
    print(f"accuracy {100 * right / len(rows):.1f} %")


def drop(model_id: str, inbox: Path) -> None:
    """Watch a folder, copy files into it, and wait for the job that they trigger."""
    say("Watch a folder: files that land in it are predicted")
    inbox.mkdir()
    volume = ask("volume", "link", str(inbox))
    show("volume", "watch", str(volume["id"]), "--model", model_id, *CLASSIFY)
    for image in sorted((DIGITS / "drops").glob("*.png")):
        shutil.copy(image, inbox)
    print(f"copied {len(list(inbox.iterdir()))} files into {inbox.name}/")
    for job_id in triggered(str(volume["id"]), len(list(inbox.iterdir()))):
        ask("batch", "watch", str(job_id))
        results(job_id)


def triggered(volume_id: str, files: int) -> list[int]:
    """The jobs that the volume's triggers started, once they cover that many files."""
    until = time.monotonic() + DROP_TIMEOUT_S
    while time.monotonic() < until:
        drops = ask("volume", "triggers", volume_id, "--history", quiet=True)
        jobs = {row["job_id"] for row in drops if row.get("job_id")}
        if sum(1 for row in drops if row.get("job_id")) >= files:
            return sorted(jobs)
        time.sleep(0.2)
    raise SystemExit("The files that landed did not become a job in time.")


def results(job_id: int) -> list[list[str]]:
    """Print the head of a job's CSV; return all of it."""
    text = run("batch", "results", str(job_id))
    lines = text.splitlines()
    print("\n".join(lines[:5] + ([f"… {len(lines) - 5} more rows"] if len(lines) > 5 else [])))
    return list(csv.reader(io.StringIO(text)))


def label_of(output: str) -> str:
    """The most likely label in one row's output."""
    return str(json.loads(output)["predictions"][0]["label"])


def say(sentence: str) -> None:
    """Announce a step."""
    print(f"\n# {sentence}", flush=True)


def run(*arguments: str, quiet: bool = False) -> str:
    """Run a hookline command, showing it; progress goes to the terminal, data comes back."""
    if not quiet:
        print(f"$ hookline {shlex.join(arguments)}", flush=True)
    done = subprocess.run([HOOKLINE, *arguments], check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"hookline {arguments[0]} ended with status {done.returncode}.")
    return done.stdout


def show(*arguments: str) -> None:
    """Run a command and print what it answers."""
    print(run(*arguments), end="")


def ask(*arguments: str, quiet: bool = False) -> Any:
    """Run a command and parse its JSON; the answer is printed too."""
    answer = json.loads(run(*arguments, "-o", "json", quiet=quiet))
    if not quiet:
        print(json.dumps(answer))
    return answer


if __name__ == "__main__":
    sys.exit(main())
