"""Estimators exported where they were trained, then imported, served and predicted in batches."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hookline.adapters.machine.environments import install
from tests.e2e.cloud import CLASSIFY, Cloud
from tests.e2e.formats import LONG_S, journey, kept_cache, made

pytestmark = [pytest.mark.formats, pytest.mark.timeout(3600)]

PACKAGES = (
    "joblib==1.6.0",
    "lightgbm==4.7.0",
    "numpy==2.4.6",
    "onnx==1.23.2",
    "onnxmltools==1.16.0",
    "pandas==3.0.3",
    "scikit-learn==1.9.1",
    "skl2onnx==1.20.0",
    "xgboost-cpu==3.2.0",
)
PROGRAM = """
import pickle
import joblib
import lightgbm
import numpy as np
import pandas
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

x, y = load_iris(return_X_y=True)
x = x.astype(np.float32)
names = np.array(["setosa", "versicolor", "virginica"])[y]
np.save("x.npy", x[75])
np.save("rows.npy", x)

def keep(name, model, ask):
    joblib.dump(model, f"{name}.joblib")
    np.save(f"{name}.npy", ask(x[75:76]))

pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(x, names)
keep("pipeline", pipeline, pipeline.predict_proba)
forest = RandomForestRegressor(10, random_state=0).fit(x, y)
keep("forest", forest, forest.predict)
boosted = xgboost.XGBClassifier(n_estimators=10).fit(x, y)
keep("xgboost", boosted, boosted.predict_proba)
lit = lightgbm.LGBMClassifier(n_estimators=10, verbose=-1).fit(x, y)
keep("lightgbm", lit, lit.predict_proba)
boosted.get_booster().save_model("booster.json")
lit.booster_.save_model("booster.txt")

table = pandas.DataFrame({"width": x[:, 0], "colour": np.where(x[:, 1] > 3, "red", "blue")})
mixed = make_pipeline(
    ColumnTransformer([("n", StandardScaler(), ["width"]), ("c", OneHotEncoder(), ["colour"])]),
    LogisticRegression(),
).fit(table, names)
table.to_csv("table.csv", index=False)
with open("mixed.pkl", "wb") as file:
    pickle.dump(mixed, file)
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with kept_cache(tmp_path_factory.mktemp("estimators") / "home") as started:
        yield started


@pytest.fixture(scope="module")
def models(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    made(cloud, PACKAGES, PROGRAM, folder)
    return folder


def exported(cloud: Cloud, models: Path, name: str, *flags: str) -> Path:
    site = install(list(PACKAGES), cloud.home / "cache")
    target = models / f"{Path(name).stem}.onnx"
    done = cloud.run(
        "model",
        "export",
        str(models / name),
        "--output",
        str(target),
        *flags,
        environment={"PYTHONPATH": str(site)},
        timeout_s=LONG_S,
    )
    assert "the largest difference from the original is" in done.stderr
    return target


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("pipeline", "scikit-learn Pipeline"),
        ("forest", "scikit-learn RandomForestRegressor"),
        ("xgboost", "XGBoost XGBClassifier"),
        ("lightgbm", "LightGBM LGBMClassifier"),
    ],
)
def test_an_estimator_answers_as_where_it_was_trained(
    name: str, source: str, cloud: Cloud, models: Path, tmp_path: Path
) -> None:
    path = exported(cloud, models, f"{name}.joblib", "--sample", str(models / "rows.npy"))

    found = journey(cloud, path, np.load(models / "x.npy"), folder=tmp_path)

    answers = found.served["outputs"]
    scores = answers["probabilities"] if isinstance(answers, dict) else answers
    assert np.allclose(np.ravel(scores), np.load(models / f"{name}.npy").ravel(), atol=1e-5)
    assert found.batched == found.served
    assert found.model["conversion"]["source"] == source
    assert found.model["conversion"]["max_difference"] < 1e-4
    assert found.model["conversion"]["cases"] == 150


def test_the_names_of_classes_come_along(cloud: Cloud, models: Path) -> None:
    path = exported(cloud, models, "pipeline.joblib")
    model = cloud.ask("model", "import", str(path), "--name", "iris")
    stream = cloud.ask("model", "deploy", str(model["id"]), *CLASSIFY, "--wait")
    body = str(np.load(models / "x.npy").tolist()).encode()
    answer = cloud.predict(stream["presigned_token"], body, "application/json").json()
    assert answer["predictions"][0]["label"] == "versicolor"


def test_columns_of_texts_are_described_by_a_sample(cloud: Cloud, models: Path) -> None:
    path = exported(cloud, models, "mixed.pkl", "--sample", str(models / "table.csv"))
    model = cloud.ask("model", "import", str(path), "--name", "mixed")
    shown = cloud.ask("model", "show", str(model["id"]))
    assert [(each["name"], each["dtype"]) for each in shown["inputs"]] == [
        ("width", "float32"),
        ("colour", "string"),
    ]
    header = next(csv.reader((models / "table.csv").read_text().splitlines()))
    assert header == ["width", "colour"]


@pytest.mark.parametrize("name", ["booster.json", "booster.txt"])
def test_boosters_own_files_are_exported(name: str, cloud: Cloud, models: Path) -> None:
    path = exported(cloud, models, name, "--sample", str(models / "rows.npy"))
    assert cloud.ask("model", "import", str(path), "--name", "b")["format"] == "onnx"


@pytest.mark.parametrize("name", ["pipeline.joblib", "mixed.pkl", "booster.json", "booster.txt"])
def test_none_of_them_is_opened_by_an_import(name: str, cloud: Cloud, models: Path) -> None:
    done = cloud.run("model", "import", str(models / name), "--name", "x", status=6)
    assert "hookline model export FILE --output model.onnx" in done.stderr


def test_what_is_missing_in_this_python_is_named(cloud: Cloud, models: Path) -> None:
    done = cloud.run(
        "model", "export", str(models / "pipeline.joblib"), "--output", "/dev/null", status=6
    )
    assert "pip install" in done.stderr
