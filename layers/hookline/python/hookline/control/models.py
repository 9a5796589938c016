"""Uploads and models: POST /v1/uploads, /v1/models."""

from __future__ import annotations

from aws_lambda_powertools.event_handler import Response

from hookline.control import app, modelfile, paging, signature
from hookline.control.answers import CREATED, NO_CONTENT, created, no_content
from hookline.control.caller import Call, Calling
from hookline.control.idempotency import create_numbered
from hookline.control.paging import Limit, PageToken
from hookline.control.transactions import Write
from hookline.control.uses import refuse_if_used
from hookline.core.errors import NotFound
from hookline.core.models import Compilation, Conversion, Model, Variant
from hookline.core.ports import Delete, Ports
from hookline.core.records import upload_key
from hookline.core.requests import CompilationFields, NewModel, NewUpload, VariantFields
from hookline.core.topology import Handler
from hookline.core.views.models import ModelFileView, ModelView, UploadView
from hookline.core.views.view import PageView, RequestView

router = app.Router()


def build(ports: Ports) -> Handler:
    """The handler of the routes below."""
    return app.handler([router], ports)


@router.post("/v1/uploads", status_code=CREATED)
def upload(call: Calling, body: NewUpload) -> Response[UploadView]:
    """Say where to put a file; no request when a file of that content is stored already."""
    key = upload_key(call.tenant, body.sha256)
    request = None
    if call.ports.blobs.stat(key) is None:
        request = RequestView.of(
            call.ports.blobs.presign("PUT", key, sha256=body.sha256, size_bytes=body.size_bytes)
        )
    return created("/v1/uploads", UploadView(sha256=body.sha256, request=request))


@router.post("/v1/models", status_code=CREATED)
def import_model(call: Calling, body: NewModel) -> Response[ModelView]:
    """Import an uploaded file: ONNX, TorchScript or .pt2."""
    described = _described(call, body)

    def plan(model_id: int) -> tuple[Model, list[Write]]:
        return described.model_copy(update={"id": model_id}), []

    model, _ = create_numbered(call, body, Model, plan)
    return created(f"/v1/models/{model.id}", ModelView.of(model))


def _described(call: Call, body: NewModel) -> Model:
    """The model but for its id. Raise NotFound, InvalidModel or InvalidInput."""
    key = upload_key(call.tenant, body.sha256)
    blob = call.ports.blobs.stat(key)
    if blob is None:
        raise NotFound(
            f"There is no upload {body.sha256}.",
            hint="Ask POST /v1/uploads where to put the file, put it there, then import it.",
        )
    with call.ports.blobs.open(key) as file:
        found = modelfile.inspect(file, body)
    inputs = signature.inputs(body, found)
    return Model(
        tenant=call.tenant,
        id=0,
        name=body.name,
        format=body.format,
        sha256=body.sha256,
        size_bytes=blob.size_bytes,
        inputs=inputs,
        outputs=found.outputs,
        labels=signature.labels(body, found),
        preparation=signature.preparation(body, found, inputs),
        conversion=Conversion(**body.conversion.model_dump()) if body.conversion else None,
        variant=_variant(call, body.variant) if body.variant else None,
        compilation=_compilation(call, body.compilation) if body.compilation else None,
        created_at=call.now(),
    )


def _variant(call: Call, told: VariantFields) -> Variant:
    """What to store of a variant. Raise NotFound for a parent that is not there."""
    if told.parent_id is not None:
        call.find(Model, told.parent_id)
    return Variant.model_validate(told.model_dump())


def _compilation(call: Call, told: CompilationFields) -> Compilation:
    """What to store of it. Raise NotFound for a model that is not there."""
    if told.model_id is not None:
        call.find(Model, told.model_id)
    return Compilation.model_validate(told.model_dump())


@router.get("/v1/models")
def list_models(
    call: Calling, limit: Limit = 100, page_token: PageToken = ""
) -> PageView[ModelView]:
    """List models in the order they were imported."""
    turn = paging.turn(call, limit, page_token)
    found = call.ports.catalog.query(Model, call.tenant, after=turn.after, limit=limit)
    return turn.page(found, ModelView.of)


@router.get("/v1/models/<model_id>")
def show_model(call: Calling, model_id: int) -> ModelView:
    """Show one model."""
    return ModelView.of(call.find(Model, model_id))


@router.get("/v1/models/<model_id>/file")
def model_file(call: Calling, model_id: int) -> ModelFileView:
    """Say where to fetch the file of a model, as replicas run it."""
    model = call.find(Model, model_id)
    return ModelFileView(
        id=model.id,
        sha256=model.sha256,
        size_bytes=model.size_bytes,
        request=RequestView.of(call.ports.blobs.presign("GET", model.blob_key)),
    )


@router.delete("/v1/models/<model_id>", status_code=NO_CONTENT)
def delete_model(call: Calling, model_id: int) -> Response[None]:
    """Delete a model that no stream, unfinished job or trigger needs."""
    model = call.find(Model, model_id)
    refuse_if_used(call, model)
    # Whoever began to use it since then has touched the record, and this fails with Conflict.
    call.ports.catalog.transact([Delete(model)])
    if not any(other.sha256 == model.sha256 for other in call.every(Model)):
        call.ports.blobs.delete(model.blob_key)
    return no_content()
