"""Volumes and their files: /v1/volumes."""

from __future__ import annotations

from aws_lambda_powertools.event_handler import Response

from hookline.control import app, paging, triggers
from hookline.control.answers import CREATED, NO_CONTENT, created, no_content
from hookline.control.caller import Call, Calling
from hookline.control.idempotency import create_numbered
from hookline.control.paging import Limit, PageToken
from hookline.control.transactions import Write
from hookline.control.uses import refuse_if_used
from hookline.control.volume_files import source
from hookline.core.checks import check_blob_key
from hookline.core.errors import HooklineError, InvalidInput, NotFound, problem
from hookline.core.limits import MAX_UPLOAD_BYTES
from hookline.core.links import canonical
from hookline.core.names import is_hidden
from hookline.core.ports import Delete, Ports
from hookline.core.records import Volume
from hookline.core.requests import NewFile, NewFiles, NewVolume, WantedFiles
from hookline.core.targets import OPEN_INTERNET, Targets
from hookline.core.topology import Handler
from hookline.core.views.view import PageView, RequestView
from hookline.core.views.volumes import FileView, SlotsView, UploadSlot, VolumeDetails, VolumeView

router = app.Router()


def build(ports: Ports, targets: Targets = OPEN_INTERNET) -> Handler:
    """The handler of the routes below and of the triggers'."""
    return app.handler([router, triggers.router], ports, targets=targets)


@router.post("/v1/volumes", status_code=CREATED)
def create_volume(call: Calling, body: NewVolume) -> Response[VolumeView]:
    """Make an empty volume, or link a folder or bucket."""
    link = _link(call, body.link) if body.link else ""

    def plan(volume_id: int) -> tuple[Volume, list[Write]]:
        volume = Volume(
            tenant=call.tenant, id=volume_id, name=body.name, link=link, created_at=call.now()
        )
        return volume, []

    volume, _ = create_numbered(call, body, Volume, plan)
    return created(f"/v1/volumes/{volume.id}", VolumeView.of(volume, _location(call, volume)))


def _link(call: Call, link: str) -> str:
    """The link as a URI, once it could be opened."""
    # Everyone of the tenant reads what is linked, with the rights of the server.
    call.require_admin()
    uri = canonical(link)
    call.ports.linked(uri).list("", limit=1)
    return uri


def _location(call: Call, volume: Volume) -> str:
    return volume.link or call.ports.blobs.uri(volume.prefix)


@router.get("/v1/volumes")
def list_volumes(
    call: Calling, limit: Limit = 100, page_token: PageToken = ""
) -> PageView[VolumeView]:
    """List volumes in the order they were made."""
    turn = paging.turn(call, limit, page_token)
    found = call.ports.catalog.query(Volume, call.tenant, after=turn.after, limit=limit)
    return turn.page(found, lambda volume: VolumeView.of(volume, _location(call, volume)))


@router.get("/v1/volumes/<volume_id>")
def show_volume(call: Calling, volume_id: int) -> VolumeDetails:
    """Show one volume and how much is in it."""
    volume = call.find(Volume, volume_id)
    place = source(call.ports, volume)
    total_files = size_bytes = dotfiles = 0
    for blob in place.walk():
        if is_hidden(blob.key.removeprefix(place.prefix)):
            dotfiles += 1
        else:
            total_files, size_bytes = total_files + 1, size_bytes + blob.size_bytes
    return VolumeDetails.of(
        volume,
        _location(call, volume),
        total_files=total_files,
        size_bytes=size_bytes,
        dotfiles=dotfiles,
    )


@router.delete("/v1/volumes/<volume_id>", status_code=NO_CONTENT)
def delete_volume(call: Calling, volume_id: int) -> Response[None]:
    """Delete a volume that nothing needs, with its uploaded files; linked files stay."""
    volume = call.find(Volume, volume_id)
    refuse_if_used(call, volume)
    if not volume.link:
        # The files first: a deletion that ends halfway can be sent again.
        for blob in source(call.ports, volume).walk():
            call.ports.blobs.delete(blob.key)
    call.ports.catalog.transact([Delete(volume)])
    return no_content()


@router.post("/v1/volumes/<volume_id>/uploads", status_code=CREATED)
def upload_files(call: Calling, volume_id: int, body: NewFiles) -> Response[SlotsView]:
    """Say where to put each file, replacing those of the same name. A bad name fails alone."""
    volume = call.find(Volume, volume_id)
    if volume.link:
        raise InvalidInput(
            f"The volume {volume_id} is linked.", hint=f"Copy the files into {volume.link}."
        )
    slots = tuple(_slot(call, volume, file) for file in body.files)
    return created(f"/v1/volumes/{volume_id}/files", SlotsView(items=slots))


def _slot(call: Call, volume: Volume, file: NewFile) -> UploadSlot:
    try:
        if not 0 <= file.size_bytes <= MAX_UPLOAD_BYTES:
            raise InvalidInput(f"A file may have {MAX_UPLOAD_BYTES} bytes at most.")
        key = check_blob_key(volume.prefix + file.name)
        request = call.ports.blobs.presign("PUT", key, size_bytes=file.size_bytes)
    except HooklineError as error:
        return UploadSlot(name=file.name, error=problem(error, request_id=""))
    return UploadSlot(name=file.name, request=RequestView.of(request))


@router.post("/v1/volumes/<volume_id>/downloads", status_code=CREATED)
def download_files(call: Calling, volume_id: int, body: WantedFiles) -> Response[SlotsView]:
    """Say where to fetch each file of an uploaded volume. A name that is not there fails alone."""
    volume = call.find(Volume, volume_id)
    if volume.link:
        raise InvalidInput(
            f"The volume {volume_id} is linked.",
            why="Its files are handed out by whoever keeps them.",
            hint=f"Read them at {volume.link}.",
        )
    slots = tuple(_download(call, volume, name) for name in body.names)
    return created(f"/v1/volumes/{volume_id}/files", SlotsView(items=slots))


def _download(call: Call, volume: Volume, name: str) -> UploadSlot:
    try:
        key = check_blob_key(volume.prefix + name)
        if call.ports.blobs.stat(key) is None:
            raise NotFound(f"There is no file {name} in volume {volume.id}.")
        request = call.ports.blobs.presign("GET", key)
    except HooklineError as error:
        return UploadSlot(name=name, error=problem(error, request_id=""))
    return UploadSlot(name=name, request=RequestView.of(request))


@router.get("/v1/volumes/<volume_id>/files")
def list_files(
    call: Calling, volume_id: int, limit: Limit = 100, page_token: PageToken = ""
) -> PageView[FileView]:
    """List the files of a volume in the order of their names."""
    turn = paging.turn(call, limit, page_token)
    place = source(call.ports, call.find(Volume, volume_id))
    found = place.blobs.list(place.prefix, after=turn.after, limit=limit)
    return turn.page(found, lambda blob: FileView.of(blob, place.prefix))
