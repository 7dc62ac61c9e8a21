"""Asks a running server with the published clients of the protocols that it speaks, and compares their answers.

    python tests/clients/protocols.py http://127.0.0.1:8080

The server must have the model `waves` (inputs x, z: numbers, kind: category; target y), which is also the served one,
and `gaps`, which was trained with missing values of x. Needs requests, pandas and tritonclient[http]; asks also with
kserve, and mlflow-skinny with scipy, where they are installed. Prints one line per client; exits with a traceback if an answer is
wrong.
"""

import asyncio
import json
import sys

import numpy as np
import pandas as pd
import requests

BASE = sys.argv[1].rstrip("/")
HOST, PORT = BASE.removeprefix("http://").split(":")
FRAME = pd.DataFrame({"x": [1.0, 4.5, 17.25], "z": [3, 2, 11], "kind": ["a", "b", "c"]})
GAPS = pd.DataFrame({"x": [1.0, np.nan], "z": [3, 2], "kind": ["a", "b"]})


def expected(model, frame):
    """What the product's own route says to the rows."""
    rows = json.loads(frame.to_json(orient="records"))
    response = requests.post(f"{BASE}/predict", json={"model": model, "data": rows}, timeout=60)
    response.raise_for_status()
    body = response.json()
    values = [row["y"] for row in body["predictions"]]
    lower = [row["y"]["lower_bound"] for row in body["intervals"]]
    return np.array(values), np.array(lower)


def same(one, other, what):
    one = np.asarray(one, dtype=float).ravel()
    assert one.shape == other.shape and (one == other).all(), f"{what}: {one} is not {other}"


def with_requests():
    """The bodies in the documentation of MLflow, TensorFlow Serving and KServe, sent as it sends them."""
    values, _ = expected("waves", FRAME)

    def invoke(body, content_type="application/json"):
        headers = {"Content-Type": content_type}
        response = requests.post(f"{BASE}/invocations", data=body, headers=headers, timeout=60)
        response.raise_for_status()
        return response.json()["predictions"]

    same(invoke(json.dumps({"dataframe_split": FRAME.to_dict(orient="split")})), values, "dataframe_split")
    same(invoke(json.dumps({"dataframe_split": json.loads(FRAME.to_json(orient="split"))})), values, "to_json split")
    same(invoke(json.dumps({"dataframe_records": FRAME.to_dict(orient="records")})), values, "dataframe_records")
    same(invoke(json.dumps({"instances": FRAME.to_dict(orient="records")})), values, "instances")
    same(invoke(json.dumps({"inputs": FRAME.to_dict(orient="list")})), values, "inputs")
    same(invoke(FRAME.to_csv(index=False), "text/csv"), values, "CSV")
    same(invoke(FRAME.to_csv(), "text/csv"), values, "CSV with its index")

    # TensorFlow's documentation sends the text of a body without a content type; `curl -d` sends that of a form.
    url = f"{BASE}/v1/models/waves:predict"
    body = json.dumps({"signature_name": "serving_default", "instances": FRAME.to_dict(orient="records")})
    for headers in ({}, {"Content-Type": "application/x-www-form-urlencoded"}):
        same(requests.post(url, data=body, headers=headers, timeout=60).json()["predictions"], values, "instances")
    columns = {name: FRAME[[name]].values.tolist() for name in FRAME}
    same(requests.post(url, json={"inputs": columns}, timeout=60).json()["outputs"], values, "columns of [n, 1]")
    status = requests.get(f"{BASE}/v1/models/waves", timeout=60).json()
    assert status["model_version_status"][0]["state"] == "AVAILABLE", status


def with_tritonclient():
    import tritonclient.http as triton

    values, lower = expected("waves", FRAME)
    client = triton.InferenceServerClient(f"{HOST}:{PORT}")
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("waves") and client.is_model_ready("waves", "1") and not client.is_model_ready("none")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("waves")
    assert [i["datatype"] for i in metadata["inputs"]] == ["FP64", "FP64", "BYTES"], metadata
    assert {"name": "waves", "version": "1", "state": "READY", "reason": ""} in client.get_model_repository_index()
    client.load_model("waves")
    client.unload_model("waves")

    def tensors(frame, as_bytes, columns):
        for name, dtype, kind in columns:
            array = frame[name].to_numpy().astype(dtype).reshape(-1, 1)
            tensor = triton.InferInput(name, list(array.shape), kind)
            tensor.set_data_from_numpy(array, binary_data=as_bytes)
            yield tensor

    plain = [("x", np.float64, "FP64"), ("z", np.int32, "INT32"), ("kind", np.object_, "BYTES")]
    halves = [("x", np.float32, "FP32"), ("z", np.float16, "FP16"), ("kind", np.object_, "BYTES")]
    for as_bytes in (False, True):
        for columns in (plain, halves):
            inputs = list(tensors(FRAME, as_bytes, columns))
            wanted = [triton.InferRequestedOutput(name, binary_data=as_bytes) for name in ("y", "y_lower", "in_domain")]
            result = client.infer("waves", inputs, outputs=wanted, request_id="42")
            assert result.get_response()["id"] == "42" and result.as_numpy("y").shape == (3, 1)
            same(result.as_numpy("y"), values, f"y, bytes: {as_bytes}")
            same(result.as_numpy("y_lower"), lower, "y_lower")
            assert result.as_numpy("in_domain").dtype == bool
    # Without outputs the client asks for all of them as bytes, the texts of the warnings among them.
    result = client.infer("waves", list(tensors(FRAME, True, plain)), model_version="1")
    same(result.as_numpy("y"), values, "all outputs")
    assert [text.decode() for text in result.as_numpy("warnings").ravel()] == ["", "", ""]
    # A missing value is NaN to numpy.
    gaps, _ = expected("gaps", GAPS)
    for as_bytes in (False, True):
        result = client.infer("gaps", list(tensors(GAPS, as_bytes, plain)))
        same(result.as_numpy("y"), gaps, "a missing value")
    try:
        client.infer("waves", list(tensors(FRAME[["x"]], True, plain[:1])))
    except triton.InferenceServerException as error:
        assert "the field \"z\" is missing" in error.message(), error
    else:
        raise AssertionError("a missing field was not refused")


def with_kserve():
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

    values, _ = expected("waves", FRAME)

    async def ask():
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        assert await client.is_server_live(BASE) and await client.is_server_ready(BASE)
        assert await client.is_model_ready(BASE, "waves") and not await client.is_model_ready(BASE, "none")
        for as_bytes in (False, True):
            inputs = []
            for name, dtype, kind in (("x", np.float64, "FP64"), ("z", np.int64, "INT64"), ("kind", np.object_, "BYTES")):
                array = FRAME[name].to_numpy().astype(dtype)
                inputs.append(InferInput(name, list(array.shape), kind))
                inputs[-1].set_data_from_numpy(array, binary_data=as_bytes)
            response = await client.infer(BASE, InferRequest("waves", inputs), model_name="waves")
            same(next(o for o in response.outputs if o.name == "y").as_numpy(), values, f"v2, bytes: {as_bytes}")
        client = InferenceRESTClient(RESTConfig(protocol="v1"))
        assert await client.is_server_live(BASE) and await client.is_model_ready(BASE, "waves")
        answer = await client.infer(BASE, {"instances": FRAME.to_dict(orient="records")}, model_name="waves")
        same(answer["predictions"], values, "v1")

    asyncio.run(ask())


def with_mlflow():
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    values, _ = expected("waves", FRAME)
    client = ScoringServerClient(HOST, PORT)
    client.ping()
    assert client.get_version()
    answer = client.invoke(FRAME, params={"confidence": 0.8})
    same(answer.get_predictions().to_numpy(), values, "a data frame")
    same(client.invoke(FRAME.to_dict(orient="records")).get_predictions().to_numpy(), values, "a list")


def run(name, function, needs):
    try:
        for module in needs:
            __import__(module)
    except ImportError:
        print(f"{name}: not installed")
        return
    function()
    print(f"{name}: passed")


with_requests()
print("requests: passed")
with_tritonclient()
print("tritonclient: passed")
run("kserve", with_kserve, ["kserve"])
run("mlflow", with_mlflow, ["mlflow.pyfunc.scoring_server.client", "scipy"])
