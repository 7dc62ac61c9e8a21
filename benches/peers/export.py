"""Runs exported models in onnxruntime and compares them with what taqicfd answered. One line of JSON for each.

usage: export.py MODEL.onnx EXPECTED.json [MODEL.onnx EXPECTED.json ...]

EXPECTED.json: {"columns": {column: [value, ...]}, "answer": as of POST /predict, "ranges": {target: max - min},
"n_refused": the last rows, which taqicfd refuses}; null for NaN.
"""
import json, sys
import numpy as np, onnx, onnxruntime


def runner(path):
    """The properties of the file, and a function from columns to outputs."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    strings = {i.name for i in session.get_inputs() if i.type == "tensor(string)"}

    def tensor(name, values):
        if name in strings:
            return np.array(values, dtype=object).reshape(-1, 1)
        return np.array([np.nan if v is None else v for v in values], dtype=np.float64).reshape(-1, 1)

    def run(columns):
        found = session.run(None, {name: tensor(name, values) for name, values in columns.items()})
        return {o.name: value for o, value in zip(session.get_outputs(), found)}

    return session.get_modelmeta().custom_metadata_map, run


def largest(difference):
    return float(np.max(difference, initial=0.0))


def compare(path, expected):
    onnx.checker.check_model(onnx.load(path), full_check=True)
    properties, run = runner(path)
    names = {i["column"]: i["name"] for i in json.loads(properties["taqicfd.inputs"])}
    found = run({names[column]: values for column, values in expected["columns"].items()})
    answer, n_refused = expected["answer"], expected["n_refused"]
    n = len(answer["predictions"])
    report = {"note": None}
    for output in json.loads(properties["taqicfd.outputs"]):
        role, target, all_rows = output["role"], output["target"], found[output["name"]]
        value, rest = all_rows[:n], all_rows[n:]
        assert all_rows.shape == (n + n_refused, output["width"]), (output, all_rows.shape)
        # What taqicfd refuses comes out empty.
        if value.dtype == np.float64:
            assert np.isfinite(value).all() and np.isnan(rest).all(), (output["name"], rest)
        elif value.dtype == bool:
            assert not rest.any(), (output["name"], rest)
        else:
            assert (rest == "").all(), (output["name"], rest)
        if role in ("value", "lower_bound", "upper_bound"):
            rows = answer["predictions" if role == "value" else "intervals"]
            truth = np.array([r[target] if role == "value" else r[target][role] for r in rows])
            # Near zero nothing is left of a number but the rounding of those it was made of: of a prediction the
            # range of the target, of a bound the width of its interval.
            if role == "value":
                scale = np.maximum(np.abs(truth), 1e-2 * expected["ranges"][target])
            else:
                width = np.array([r[target]["upper_bound"] - r[target]["lower_bound"] for r in rows])
                scale = np.maximum(np.abs(truth), width)
            key = "value" if role == "value" else "bound"
            report[key] = max(report.get(key, 0.0), largest(np.abs(value[:, 0] - truth) / scale))
        elif role == "label":
            truth = np.array([r[target] for r in answer["predictions"]], dtype=object)
            report["labels"] = int(np.sum(value[:, 0] != truth))
        elif role == "probabilities":
            truth = np.array([list(r[target].values()) for r in answer["probabilities"]])
            report["probability"] = largest(np.abs(value - truth))
        elif role == "prediction_set":
            classes = list(answer["probabilities"][0][target])
            truth = np.array([[c in r[target] for c in classes] for r in answer["prediction_sets"]])
            report["sets"] = int(np.sum((value != truth).any(axis=1)))
        elif role == "in_domain":
            report["domain"] = int(np.sum(value[:, 0] != np.array(answer["in_domain"])))
        elif role == "domain_score":
            report["score"] = int(np.sum(np.abs(value[:, 0] - np.array(answer["domain_score"])) > 1e-5))
    example = json.loads(properties["taqicfd.example"])
    for name, value in run(example["inputs"]).items():
        truth = np.array(example["outputs"][name], dtype=value.dtype)
        is_number = value.dtype == np.float64
        same = np.allclose(value, truth, rtol=1e-4, atol=1e-6) if is_number else (value == truth).all()
        if not same:
            report["note"] = f"the example differs in {name}: {value.tolist()} for {truth.tolist()}"
    return report


for path, expected in zip(sys.argv[1::2], sys.argv[2::2]):
    print(json.dumps(compare(path, json.load(open(expected, encoding="utf-8")))), flush=True)
