"""The typed HTTP client, shared by the command line and by users."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, Unpack
from urllib.parse import quote

import httpx2

from hookline.client import (
    artifacts,
    downloads,
    files,
    predicting,
    sofar,
    uploads,
    verifying,
    views,
)
from hookline.client.deployment import Deployment, Gathering, Predicting, Serving, Shape
from hookline.client.polling import between_looks_s, until
from hookline.client.replica import Replica, here
from hookline.client.wire import Wire
from hookline.core.errors import HooklineError

LOCAL = "http://127.0.0.1:8700"


class Client:
    """A hookline cloud.

    >>> with Client("http://127.0.0.1:8700", "hk_…") as cloud:
    ...     model = cloud.import_model("digits.onnx", name="digits", labels=list("0123456789"))
    ...     stream = cloud.deploy(model.id, formatter="classification")
    ...     cloud.wait_for_stream(stream.id)
    ...     answer = cloud.predict(stream.presigned_token, Path("7.png").read_bytes(), "image/png")
    ...     print(answer.json())
    {'predictions': [{'probability': 0.998}]}

    Every method raises a HooklineError for what goes wrong; lists are iterators that fetch page by
    page; creates carry an Idempotency-Key, so that a retry never makes two. Share one client
    between threads.
    """

    def __init__(
        self,
        endpoint: str = LOCAL,
        key: str = "",
        *,
        timeout_s: float = 60.0,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sleep = sleep
        self._wire = Wire(endpoint, key, timeout_s=timeout_s, transport=transport, sleep=sleep)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    def me(self) -> views.Identity:
        """Whom the key speaks for."""
        return self._wire.call("GET", "/v1/me", views.Identity)

    def import_model(
        self,
        path: Path | str,
        name: str,
        *,
        labels: Iterable[str] = (),
        preparation: Mapping[str, Any] | None = None,
        input_shape: Iterable[int] = (),
        described: Mapping[str, Any] | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> views.Model:
        """Upload a model file and make it a model. `labels` name its classes, in order.

        `preparation` tells canned image input: {"mean": […], "std": […], "scale": …, "layout": …};
        `input_shape` fixes the variable dimensions of the first input. A file that is not ONNX is
        `described` by its "format", "inputs" and "outputs", as `hookline model import` does it.

        >>> cloud.import_model("digits.onnx", name="digits", labels=list("0123456789")).id
        2
        """
        sha256 = artifacts.store(self._wire, Path(path), on_bytes)
        wanted = {
            "labels": list(labels),
            "preparation": dict(preparation or {}),
            "input_shape": list(input_shape),
        } | dict(described or {})
        body = {"name": name, "sha256": sha256} | {k: v for k, v in wanted.items() if v}
        return self._wire.call("POST", "/v1/models", views.Model, body=body)

    def models(self) -> Iterator[views.Model]:
        """The models of the tenant."""
        return self._wire.pages("/v1/models", views.Model)

    def model(self, model_id: int) -> views.Model:
        """One model."""
        return self._wire.call("GET", f"/v1/models/{model_id}", views.Model)

    def save_model(self, model_id: int, path: Path | str) -> None:
        """Write the file of a model, as replicas run it, to `path`."""
        downloads.save_model(self._wire, model_id, Path(path))

    def delete_model(self, model_id: int) -> None:
        """Forget a model. Raise Conflict while a stream, a job or a trigger uses it."""
        self._wire.delete(f"/v1/models/{model_id}")

    def deploy(self, model_id: int, **options: Unpack[Deployment]) -> views.Deployed:
        """Start a stream of a model. Keep the token: it is shown here alone.

        It always has `replicas`, or from `min_replicas` to `max_replicas` of them, so that each has
        about `target_in_flight` requests in flight; with a least of 0 it may have none.

        >>> cloud.deploy(2, bundle="hooks/", formatter="classification").presigned_token
        '8e517a6e…'
        """
        body = {"model_id": model_id} | self._serving(options)
        return self._wire.call("POST", "/v1/streams", views.Deployed, body=body)

    def streams(self) -> Iterator[views.Stream]:
        """The streams of the tenant."""
        return self._wire.pages("/v1/streams", views.Stream)

    def stream(self, stream_id: int) -> views.Stream:
        """One stream, with its failure if it has one."""
        return self._wire.call("GET", f"/v1/streams/{stream_id}", views.Stream)

    def wait_for_stream(
        self,
        stream_id: int,
        *,
        timeout_s: float = 300.0,
        on_change: Callable[[views.Stream], None] | None = None,
    ) -> views.Stream:
        """The stream once it is no longer starting. Raise DeadlineExceeded after `timeout_s`."""
        return until(
            lambda: self.stream(stream_id),
            lambda stream: stream.status not in {"Deploying", "Updating"},
            on_change,
            f"Stream {stream_id} is still starting after {timeout_s:g} s.",
            timeout_s,
            self._sleep,
        )

    def update_stream(
        self,
        stream_id: int,
        *,
        model_id: int | None = None,
        edition: int | None = None,
        **options: Unpack[Deployment],
    ) -> views.Stream:
        """Change what a stream answers with, or its replicas; what is not given stays.

        It goes on answering as before until the new replicas are ready. One that has failed is
        tried again. With `edition` it is only done if nobody has changed the stream since.
        """
        body = self._serving(options) | ({} if model_id is None else {"model_id": model_id})
        path = f"/v1/streams/{stream_id}"
        return self._wire.call("PATCH", path, views.Stream, body=body, if_match=edition)

    def undeploy(self, stream_id: int) -> views.Status:
        """Stop a stream and free what it holds."""
        return self._wire.call("DELETE", f"/v1/streams/{stream_id}", views.Status)

    def rotate(self, stream_id: int) -> views.Token:
        """Give a stream a new token and revoke its older ones."""
        return self._wire.call("POST", f"/v1/streams/{stream_id}/tokens", views.Token)

    def logs(self, stream_id: int, after: int = 0) -> views.LogPage:
        """The lines a stream has logged; ask again with the page's `after` for the newer ones."""
        path = f"/v1/streams/{stream_id}/logs"
        return self._wire.call("GET", path, views.LogPage, params={"after": after})

    def traffic(self, stream_id: int) -> views.Traffic:
        """What a stream answered within the last seconds."""
        return self._wire.call("GET", f"/v1/streams/{stream_id}/traffic", views.Traffic)

    def predict(
        self, token: str, body: bytes, mime_type: str, *, timeout_s: float = 120.0
    ) -> views.Answer:
        """Ask a stream, by its token alone. A request that may have run is never sent twice.

        Large bodies go by reference, and what takes long is polled for.

        >>> cloud.predict(token, Path("7.png").read_bytes(), "image/png").json()
        {'outputs': [0.0, 0.0, 1.0], 'shape': [3, 1]}
        """
        return predicting.predict(
            self._wire, token, body, mime_type, timeout_s=timeout_s, sleep=self._sleep
        )

    def replica(self, stream_id: int, *, timeout_s: float = 60.0) -> Replica:
        """A replica of a stream on this machine, to be asked without the gateway.

        The stream neither counts such requests nor scales by them. Raise Unavailable where there is
        none on this machine.

        >>> with cloud.replica(23) as replica:
        ...     replica.predict(Path("7.png").read_bytes(), "image/png").json()
        {'outputs': [0.0, 0.0, 1.0], 'shape': [3, 1]}
        """
        return Replica(here(stream_id, self.stream(stream_id).addresses), timeout_s=timeout_s)

    def create_volume(self, name: str, *, link: str = "") -> views.Volume:
        """Make an empty volume, or one that shows the files of `link` (s3://… or a folder)."""
        body = {"name": name} | ({"link": link} if link else {})
        return self._wire.call("POST", "/v1/volumes", views.Volume, body=body)

    def volumes(self) -> Iterator[views.Volume]:
        """The volumes of the tenant."""
        return self._wire.pages("/v1/volumes", views.Volume)

    def volume(self, volume_id: int) -> views.Volume:
        """One volume, with the number and size of its files."""
        return self._wire.call("GET", f"/v1/volumes/{volume_id}", views.Volume)

    def delete_volume(self, volume_id: int) -> None:
        """Forget a volume. Raise Conflict while a trigger or an unfinished job uses it."""
        self._wire.delete(f"/v1/volumes/{volume_id}")

    def volume_files(self, volume_id: int) -> Iterator[views.VolumeFile]:
        """The files of a volume, in the order of their names."""
        return self._wire.pages(f"/v1/volumes/{volume_id}/files", views.VolumeFile)

    def save_files(self, volume_id: int, names: Iterable[str], folder: Path | str) -> None:
        """Fetch files of an uploaded volume into `folder`, under their own names.

        >>> cloud.save_files(56, [file.name for file in cloud.volume_files(56)], "images")
        """
        downloads.save_all(self._wire, volume_id, names, Path(folder))

    def upload(
        self,
        volume_id: int,
        found: Iterable[files.LocalFile],
        *,
        on_file: Callable[[files.LocalFile, HooklineError | None], None] | None = None,
    ) -> views.Uploaded:
        """Send files to a volume, several at a time; a file of the same name is replaced.

        A file that fails does not stop the others: `on_file` hears of each and its error.

        >>> from hookline.client.files import LocalFile, walk
        >>> found = [file for file in walk(Path("images")) if isinstance(file, LocalFile)]
        >>> cloud.upload(cloud.create_volume("images").id, found).success
        3
        """
        succeeded = failed = 0
        for file, error in uploads.send_all(self._wire, volume_id, found):
            succeeded, failed = succeeded + (error is None), failed + (error is not None)
            if on_file:
                on_file(file, error)
        total = succeeded + failed
        return views.Uploaded(id=volume_id, success=succeeded, failed=failed, total_files=total)

    def watch(
        self,
        volume_id: int,
        model_id: int,
        *,
        gathering: Gathering | None = None,
        notify: str = "",
        **serving: Unpack[Predicting],
    ) -> views.Trigger:
        """Predict every file that lands in the volume from now on, or those that are gathered.

        `notify`, an https URL or an SNS topic, is told the end of each job.

        >>> cloud.watch(56, 2, gathering={"settle_s": 30, "suffixes": [".jpg"]}).id
        1
        """
        told = {"notify": notify} if notify else {}
        body = {"model_id": model_id, **told, **(gathering or {})} | self._serving(serving)
        return self._wire.call(
            "POST", f"/v1/volumes/{volume_id}/triggers", views.Trigger, body=body
        )

    def unwatch(self, volume_id: int) -> tuple[views.Trigger, ...]:
        """Turn the volume's triggers off; answer those that were on."""
        return self._wire.call("DELETE", f"/v1/volumes/{volume_id}/triggers", views.Triggers).items

    def triggers(self, volume_id: int) -> Iterator[views.Trigger]:
        """The triggers of a volume."""
        return self._wire.pages(f"/v1/volumes/{volume_id}/triggers", views.Trigger)

    def drops(self, volume_id: int) -> Iterator[views.Drop]:
        """What landed in a watched volume, and which job took it or why none did."""
        return self._wire.pages(f"/v1/volumes/{volume_id}/drops", views.Drop)

    def start_batch(
        self,
        model_id: int,
        volume_id: int,
        *,
        shape: Shape | None = None,
        notify: str = "",
        **serving: Unpack[Predicting],
    ) -> views.Job:
        """Predict every file of a volume, or with `shape` every record of its files.

        `notify`, an https URL or an SNS topic, is told its end.

        >>> job = cloud.start_batch(2, 56)
        >>> cloud.wait_for_batch(job.id).status
        'Completed'
        >>> cloud.save_results(job.id, "results.csv")
        """
        told = {"notify": notify} if notify else {}
        body = {"model_id": model_id, "volume_id": volume_id, **told, **(shape or {})}
        return self._wire.call("POST", "/v1/batches", views.Job, body=body | self._serving(serving))

    def batches(self) -> Iterator[views.Job]:
        """The jobs of the tenant."""
        return self._wire.pages("/v1/batches", views.Job)

    def batch(self, job_id: int) -> views.Job:
        """One job, and how far it is."""
        return self._wire.call("GET", f"/v1/batches/{job_id}", views.Job)

    def wait_for_batch(
        self,
        job_id: int,
        *,
        timeout_s: float = float("inf"),
        on_change: Callable[[views.Job], None] | None = None,
    ) -> views.Job:
        """The job once it has ended. Raise DeadlineExceeded after `timeout_s`; the job goes on."""
        return until(
            lambda: self.batch(job_id),
            lambda job: job.has_ended,
            on_change,
            f"Job {job_id} has not ended after {timeout_s:g} s; it goes on.",
            timeout_s,
            self._sleep,
            least_s=between_looks_s,
        )

    def stop_batch(self, job_id: int) -> views.Status:
        """Stop a job between two files; what is done stays downloadable."""
        return self._wire.call("POST", f"/v1/batches/{job_id}/stop", views.Status)

    def retry_batch(self, job_id: int, **serving: Unpack[Serving]) -> views.Job:
        """Make the failed rows of a job again, in a new job that takes over the others.

        Options that are not given are as they were for that job.

        >>> cloud.retry_batch(21, bundle="hooks/").retry_of
        21
        """
        body = self._serving(serving)
        return self._wire.call("POST", f"/v1/batches/{job_id}/retry", views.Job, body=body)

    def results(self, job_id: int) -> views.Results:
        """Where the CSV of a job is. Raise Conflict while the job runs."""
        return self._wire.call("GET", f"/v1/batches/{job_id}/results", views.Results)

    def download(self, results: views.Results) -> Iterator[bytes]:
        """The CSV in chunks. Raise InvalidOutput at its end when it came cut or altered."""
        return downloads.results(self._wire, results)

    def save(self, results: views.Results, path: Path | str) -> None:
        """Write the CSV to a file, which is replaced whole or not at all."""
        with files.replaced(Path(path)) as target:
            for chunk in self.download(results):
                target.write(chunk)

    def save_results(self, job_id: int, path: Path | str) -> views.Results:
        """Write the CSV of a job to a file; see whether the answer `is_partial`."""
        results = self.results(job_id)
        self.save(results, path)
        return results

    def rows_so_far(self, job: views.Job) -> Iterator[bytes]:
        """The rows of a job that runs, in the order of its files, as CSV in chunks.

        The column of errors is always there. JSON lines if the job is not to make CSV.

        >>> Path("so_far.csv").write_bytes(b"".join(cloud.rows_so_far(cloud.batch(21))))
        """
        return sofar.sheet(self._wire, job)

    def verify_batch(self, job_id: int) -> views.Verification:
        """Check that every file of a job is one row of its CSV, which is downloaded for it.

        The service reads the files' list and every row again; this end reads the CSV as anyone
        would, and compares its size and digest. A job that runs is checked as far as it has come.

        >>> cloud.verify_batch(21).problems
        ()
        """
        return verifying.verify(self._wire, job_id)

    def create_user(self, name: str, role: str = "user") -> views.User:
        """Add a person to the tenant; roles are user and admin."""
        return self._wire.call("POST", "/v1/users", views.User, body={"name": name, "role": role})

    def users(self) -> Iterator[views.User]:
        """The people of the tenant."""
        return self._wire.pages("/v1/users", views.User)

    def delete_user(self, name: str) -> None:
        """Remove a person and revoke their keys."""
        self._wire.delete(f"/v1/users/{quote(name, safe='')}")

    def create_key(self, user: str = "") -> views.NewKey:
        """A new key for yourself, or for another user. Keep it: it is shown here alone."""
        return self._wire.call(
            "POST", "/v1/keys", views.NewKey, body={"user": user} if user else {}
        )

    def make_webhook_secret(self) -> str:
        """The secret that notices are signed with, from now on. It is shown here alone."""
        return self._wire.call("POST", "/v1/webhook-secret", views.WebhookSecret).secret

    def keys(self) -> Iterator[views.Key]:
        """The keys you may see, without their secrets."""
        return self._wire.pages("/v1/keys", views.Key)

    def delete_key(self, key_id: str) -> None:
        """Revoke a key, by the id that it is listed with."""
        self._wire.delete(f"/v1/keys/{quote(key_id, safe='')}")

    def _serving(self, serving: Serving) -> dict[str, Any]:
        return artifacts.serving_fields(self._wire, serving)
