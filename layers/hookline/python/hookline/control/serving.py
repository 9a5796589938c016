"""Checks how a model is to answer, for streams, jobs and triggers alike."""

from __future__ import annotations

from collections.abc import Sequence

from hookline.control.caller import Call
from hookline.control.volume_files import source
from hookline.core.archives import HOOK_FILE, members
from hookline.core.errors import InvalidBundle, InvalidInput, NotFound
from hookline.core.formatting import check_args
from hookline.core.limits import MAX_GPUS
from hookline.core.models import Compilation, Model, TensorSpec
from hookline.core.neuroncores import CORES_PER_CHIP
from hookline.core.records import (
    Bundle,
    CustomCode,
    DeviceName,
    Padding,
    Serving,
    Volume,
    upload_key,
)
from hookline.core.repositories import check_custom_code
from hookline.core.requests import (
    BundleFields,
    CustomCodeFields,
    PaddingFields,
    ServingFields,
    StreamChanges,
)


def checked(call: Call, model: Model, fields: ServingFields) -> Serving:
    """What to store. Raise InvalidInput or InvalidBundle for what could never work."""
    outputs = {output.name: output.dtype for output in model.outputs}
    check_args(
        fields.formatter, fields.formatter_args, has_labels=bool(model.labels), outputs=outputs
    )
    check_padding(fields.padding, model.inputs)
    device, gpus = _device(model, fields)
    return Serving(
        bundle=_bundle(call, fields.bundle) if fields.bundle else None,
        custom_code=_custom_code(fields.custom_code) if fields.custom_code else None,
        formatter=fields.formatter,
        formatter_args=fields.formatter_args,
        decoder=fields.decoder,
        padding=Padding(**dict(fields.padding)) if fields.padding else None,
        device=device,
        gpus=gpus,
    )


def checked_for_workers(call: Call, model: Model, fields: ServingFields) -> Serving:
    """As `checked`, for what batch workers run: they have no NeuronCores."""
    if model.compilation:
        raise InvalidInput(
            f"Model {model.id} is compiled for {model.compilation.target}, and jobs do not run "
            "there.",
            why="A NeuronCore belongs to one process, and those of streams have them.",
            hint="Use the model that it was compiled from, or deploy a stream.",
        )
    if fields.device in CORES_PER_CHIP:
        raise InvalidInput(
            f"Jobs and triggers do not run on {fields.device}.",
            why="A NeuronCore belongs to one process, and those of streams have them.",
            hint="Use cpu or gpu, or deploy a stream.",
        )
    return checked(call, model, fields)


def changed(old: Serving, changes: StreamChanges | ServingFields) -> ServingFields:
    """The fields of a serving with some replaced. Another formatter begins without arguments."""
    given = changes.model_dump(exclude_unset=True, include=set(ServingFields.model_fields))
    kept = {name: getattr(old, name) for name in ServingFields.model_fields}
    if old.bundle:
        is_volume = old.bundle.volume_id is not None
        names = {"volume_id"} if is_volume else {"sha256", "filename"}
        kept["bundle"] = old.bundle.model_dump(include=names)
    if old.custom_code:
        kept["custom_code"] = old.custom_code.model_dump()
    if old.padding:
        kept["padding"] = old.padding.model_dump()
    if "formatter" in given and given["formatter"] != old.formatter:
        kept["formatter_args"] = {}
    if "gpus" in given or "device" in given:
        kept |= {"device": None, "gpus": 0}
    nulls = {"formatter": "raw", "formatter_args": {}, "decoder": "pillow", "gpus": 0}
    given = {name: nulls.get(name) if value is None else value for name, value in given.items()}
    return ServingFields.model_validate({**kept, **given})


def bundle_volume(fields: ServingFields | Serving) -> int | None:
    """The volume that holds the hook files, if one does."""
    return fields.bundle.volume_id if fields.bundle else None


def _device(model: Model, fields: ServingFields) -> tuple[DeviceName, int]:
    if model.compilation or fields.device in CORES_PER_CHIP:
        return _neuron(model, model.compilation, fields)
    if fields.device == "cpu" and fields.gpus:
        raise InvalidInput(
            f"The device cpu has no {fields.gpus} GPUs.", hint="Leave out `device` or `gpus`."
        )
    if fields.gpus > MAX_GPUS:
        raise InvalidInput(
            f"A replica has no {fields.gpus} gpus.", hint=f"Give `gpus` from 1 to {MAX_GPUS}."
        )
    if fields.device == "gpu" or fields.gpus:
        return "gpu", fields.gpus or 1
    return "cpu", 0


def check_padding(padding: PaddingFields | None, inputs: Sequence[TensorSpec]) -> None:
    """Raise InvalidInput for inputs that cannot be padded, as far as shapes tell."""
    if padding is None:
        return
    variable = [one.name for one in inputs if -1 in one.shape[1:]]
    unknown = sorted(padding.values.keys() - set(variable))
    if not variable or unknown:
        raise InvalidInput(
            f"The model has no input {unknown[0][:100]!r} of variable size."
            if variable
            else "The model has no input of variable size, so nothing can be padded.",
            why=f"Inputs of variable size are: {', '.join(variable) or 'none'}.",
            hint="Give a value for one of them." if variable else "Leave out `padding`.",
        )


def _neuron(
    model: Model, compiled: Compilation | None, fields: ServingFields
) -> tuple[DeviceName, int]:
    """The device that the model was compiled for, and the NeuronCores of each replica."""
    if compiled is None:
        raise InvalidInput(
            f"Model {model.id} is not compiled for {fields.device}.",
            why="NeuronCores run what AWS's compiler made.",
            hint=f"Run `hookline model compile {model.id} --target {fields.device}`, and deploy "
            "the model that it makes.",
        )
    if fields.device not in (None, compiled.target):
        raise InvalidInput(
            f"Model {model.id} is compiled for {compiled.target} and runs on no {fields.device}.",
            hint=f"Deploy it with the device {compiled.target}, or compile the model it was made "
            f"of for {fields.device}.",
        )
    if fields.gpus % compiled.cores:
        raise InvalidInput(
            f"{fields.gpus} NeuronCores cannot be shared out to processes of {compiled.cores}.",
            why=f"Model {model.id} is compiled for {compiled.cores} in a row.",
            hint=f"Give a multiple of {compiled.cores}, or none for all of the machine.",
        )
    return compiled.target, fields.gpus


def _bundle(call: Call, fields: BundleFields) -> Bundle:
    if fields.volume_id is not None:
        return _volume_bundle(call, fields.volume_id)
    sha256, filename = fields.sha256 or "", fields.filename or ""
    key = upload_key(call.tenant, sha256)
    if call.ports.blobs.stat(key) is None:
        raise NotFound(
            f"The bundle {filename} is not uploaded.",
            why=f"There is no upload {sha256}.",
            hint="Ask POST /v1/uploads where to put it, put it there, then send this again.",
        )
    if filename.lower().endswith(".zip"):
        with call.ports.blobs.open(key) as file:
            members(file)
    elif not filename.lower().endswith(".py"):
        raise InvalidBundle(
            f"The bundle {filename} is neither a .py file nor a .zip.",
            hint="Give one .py file with hooks, a .zip, or the id of a volume.",
        )
    return Bundle(sha256=sha256, filename=filename)


def _custom_code(fields: CustomCodeFields) -> CustomCode:
    check_custom_code(fields.url, fields.commit)
    return CustomCode(url=fields.url, commit=fields.commit)


def _volume_bundle(call: Call, volume_id: int) -> Bundle:
    volume = call.find(Volume, volume_id)
    if source(call.ports, volume).stat(HOOK_FILE) is None:
        raise InvalidBundle(
            f"The volume {volume_id} has no {HOOK_FILE}.",
            why="The hooks are the functions of that file.",
            hint=f"Upload one with `hookline volume upload {HOOK_FILE} -i {volume_id}`.",
        )
    return Bundle(volume_id=volume_id)
