"""A CSV file with predictions as pandas and PyTorch make it: reads, encodes, runs the network, writes.

usage: file_predict.py MODEL.pt taqicfd_model.py IN.csv OUT.csv values|all REPEATS

MODEL.pt and taqicfd_model.py are exports of the model. The network is that module's; everything around it works on
whole columns here, which is faster than the module's rows. `values` writes the predictions alone; `all` writes
bounds, in_domain and so what taqicfd writes, but for the texts of the warnings. Numeric inputs and targets only.
Prints the seconds that importing took, then those of each repeat, as JSON.
"""
import json, sys, time

begun = time.perf_counter()
import importlib.util
import numpy as np, pandas as pd, torch

model_path, module_path, in_path, out_path, what, repeats = sys.argv[1:]
spec = importlib.util.spec_from_file_location("taqicfd_model", module_path)
taqicfd_model = importlib.util.module_from_spec(spec)
spec.loader.exec_module(taqicfd_model)
imported = time.perf_counter() - begun
BATCH = 4096


def encode(x, member):
    """[n, inputs] in units -> [n, features], all inputs numbers without missing values."""
    scalings = np.array([[s["center"], s["factor"]] for s in member["encoder"]["scalings"]])
    x = np.clip((x - scalings[:, 0]) * scalings[:, 1], -1e9, 1e9)
    return torch.from_numpy((x / np.sqrt(1 + (x / 3) ** 2)).astype(np.float32))


def outputs(model, x):
    """The mean of the networks in units, [n, targets]."""
    weights = np.array([m["weight"] for m in model.members], dtype=float)
    together = 0
    for network, member, weight in zip(model.networks, model.members, weights / weights.sum()):
        mean, std = np.array(member["target_scales"]).T
        features = encode(x, member)
        y = torch.cat([network(part) for part in features.split(BATCH)]).numpy().astype(float)
        together = together + weight * (y * std + mean)
    low, high = np.array([[t["min"], t["max"]] for t in model.targets]).T
    return np.clip(together, low, high)


def judge(model, x):
    """in_domain and how much wider intervals are, [n] each."""
    domain = model.manifest["domain"]
    low, high = np.array(domain["ranges"], dtype=float).T
    width = np.where(high > low, high - low, np.maximum(np.abs(high), 1))
    excess = np.maximum(np.maximum(low - x, x - high), 0) / width
    known = torch.tensor(domain["joint"]["distances"])
    scaled = encode(x, model.members[0]) * torch.tensor(domain["joint"]["scales"])
    third = torch.cat([torch.cdist(part, model.domain_rows).topk(3, largest=False).values[:, -1]
                       for part in scaled.split(BATCH)])
    nearer = torch.searchsorted(known, third * (1 - 1e-5)).numpy()
    share = (len(known) - nearer + 1) / (len(known) + 1)
    inside = float(known[int(0.98 * (len(known) - 1))])
    farther = np.maximum(third.numpy() / inside, 1) if inside > 0 else 1
    in_domain = (excess.max(1) <= 0.05) & (share >= 0.02)
    return in_domain, np.where(in_domain, 1.0, farther * (1 + excess.sum(1)))


def width_of(model, k, values, stretch):
    """Half the width of the interval of each value."""
    calibration = model.manifest["calibration"]
    limit = taqicfd_model.quantile(calibration["residuals"][k], model.manifest["confidence"])
    usual = (calibration.get("usual") or [None] * len(model.targets))[k]
    scale = 1.0 if usual is None else np.interp(values, usual["answers"], usual["errors"])
    return limit * scale * stretch


def run():
    model = taqicfd_model.load(model_path)
    frame = pd.read_csv(in_path)
    x = frame[[column["name"] for column in model.inputs]].to_numpy(dtype=float)
    with torch.inference_mode():
        y = outputs(model, x)
        in_domain, stretch = judge(model, x) if what == "all" else (None, None)
    for k, target in enumerate(model.targets):
        name = target["name"]
        frame[f"{name}_predicted"] = y[:, k]
        if what == "all":
            width = width_of(model, k, y[:, k], stretch)
            frame[f"{name}_lower"], frame[f"{name}_upper"] = y[:, k] - width, y[:, k] + width
    if what == "all":
        frame["in_domain"] = in_domain
    frame.to_csv(out_path, index=False)


times = []
for _ in range(int(repeats)):
    begun = time.perf_counter()
    run()
    times.append(time.perf_counter() - begun)
print(json.dumps({"import_s": imported, "run_s": times}))
