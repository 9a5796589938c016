"""MXNet's symbol and parameters, made by MXNet and served as ONNX."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hookline.convert.routes import ROUTES
from tests.e2e.cloud import Cloud
from tests.e2e.formats import journey, kept_cache, made, outputs

pytestmark = [pytest.mark.formats, pytest.mark.timeout(3600)]

PROGRAM = """
import mxnet as mx
import numpy as np

mx.random.seed(0)
data = mx.sym.Variable("data")
x = mx.sym.Convolution(data, kernel=(3, 3), num_filter=8, pad=(1, 1), name="conv")
x = mx.sym.BatchNorm(x, fix_gamma=False, name="norm")
x = mx.sym.Activation(x, act_type="relu")
x = mx.sym.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")
x = mx.sym.FullyConnected(mx.sym.Flatten(x), num_hidden=10, name="full")
net = mx.sym.SoftmaxOutput(x, name="softmax")
module = mx.mod.Module(net, data_names=["data"], label_names=["softmax_label"])
module.bind([("data", (1, 3, 8, 8))], [("softmax_label", (1,))], for_training=False)
module.init_params(mx.init.Xavier())
module.save_checkpoint("net", 3)
example = np.random.RandomState(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
module.forward(mx.io.DataBatch([mx.nd.array(example)]), is_train=False)
np.save("x.npy", example[0])
np.save("y.npy", module.get_outputs()[0].asnumpy())
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with kept_cache(tmp_path_factory.mktemp("mxnet") / "home") as started:
        yield started


@pytest.fixture(scope="module")
def models(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    made(cloud, ROUTES["mxnet-symbol"].packages, PROGRAM, folder, python="3.11")
    return folder


def test_a_model_answers_as_in_mxnet(cloud: Cloud, models: Path, tmp_path: Path) -> None:
    x, y = np.load(models / "x.npy"), np.load(models / "y.npy")

    found = journey(
        cloud, models / "net-symbol.json", x, "--input-shape", "1,3,8,8", folder=tmp_path
    )

    assert np.abs(outputs(found.served) - y.ravel()).max() < 1e-5
    assert found.batched == found.served
    assert 0 <= found.model["conversion"]["max_difference"] < 1e-5


def test_a_symbol_without_shape_or_parameters_is_refused(
    cloud: Cloud, models: Path, tmp_path: Path
) -> None:
    done = cloud.run("model", "import", f"{models}/net-0003.params", "--name", "x", status=6)
    assert "--input-shape" in done.stderr
    alone = tmp_path / "net-symbol.json"
    alone.write_bytes((models / "net-symbol.json").read_bytes())
    done = cloud.run("model", "import", str(alone), "--name", "x", status=6)
    assert "without its weights" in done.stderr
