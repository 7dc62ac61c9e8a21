"""The usual way to serve a network: FastAPI, uvicorn, PyTorch. Reads our model file, answers POST /predict.

usage: predict_server.py MODEL.safetensors PORT
"""
import json, struct, sys
import numpy as np, torch, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

torch.set_num_threads(1)
raw = open(sys.argv[1], "rb").read()
header_size = struct.unpack("<Q", raw[:8])[0]
header = json.loads(raw[8:8 + header_size])
manifest = json.loads(header["__metadata__"]["taqicfd"])
inputs = [i["name"] for i in manifest["inputs"]]
targets = [t["name"] for t in manifest["targets"]]


def array(name):
    begin, end = header[name]["data_offsets"]
    flat = np.frombuffer(raw[8 + header_size + begin:8 + header_size + end], "<f4")
    return torch.from_numpy(flat.reshape(header[name]["shape"]).copy())


class Net(torch.nn.Module):
    def __init__(self, index):
        super().__init__()
        own = lambda name: array(f"network.{index}.{name}") if f"network.{index}.{name}" in header else None
        self.embedded, n = manifest["shape"]["embedded"], len(manifest["shape"]["hidden"]) + 1
        self.waves = [own(f"embedding.{name}") for name in ("frequency", "phase", "weight", "bias")]
        self.scale, self.layers = own("scale"), torch.nn.ModuleList()
        self.slopes = [own(f"layer.{i}.slope") for i in range(n - 1)]
        for i in range(n):
            weight, bias = own(f"layer.{i}.weight"), own(f"layer.{i}.bias")
            layer = torch.nn.Linear(*weight.shape)
            layer.weight.data, layer.bias.data = (weight / weight.shape[0] ** 0.5).T.contiguous(), bias
            self.layers.append(layer)

    def forward(self, x):
        if self.embedded:
            frequency, phase, weight, bias = self.waves
            waves = torch.cos(2 * torch.pi * x[:, self.embedded, None] * frequency + phase)
            x = torch.cat([x, (torch.einsum("nfw,fow->nfo", waves, weight) + bias).flatten(1)], 1)
        x = x * self.scale
        for layer, slope in zip(self.layers[:-1], self.slopes):
            x = layer(x)
            x = x + slope * (torch.nn.functional.mish(x) - x)
        return self.layers[-1](x)


class Member:
    """A network with the scalings of its own training part."""
    def __init__(self, index, fitted):
        self.net = Net(index).eval()
        self.scalings = np.array([[s["center"], s["factor"]] for s in fitted["encoder"]["scalings"]])
        self.scales = np.array(fitted["target_scales"])

    def __call__(self, x):
        x = (x - self.scalings[:, 0]) * self.scalings[:, 1]
        x = x / np.sqrt(1 + (x / 3) ** 2)
        with torch.inference_mode():
            y = self.net(torch.from_numpy(x.astype(np.float32))).numpy()
        return y * self.scales[:, 1] + self.scales[:, 0]


members = [Member(index, fitted) for index, fitted in enumerate(manifest["members"])]
low, high = np.array([[t["min"], t["max"]] for t in manifest["targets"]]).T
app = FastAPI()


class Request(BaseModel):
    data: list[dict[str, float]]


@app.post("/predict")
async def predict(request: Request):  # faster here than in the thread pool that `def` would use
    x = np.array([[row[name] for name in inputs] for row in request.data])
    y = np.clip(np.mean([member(x) for member in members], axis=0), low, high)
    return {"predictions": [dict(zip(targets, map(float, row))) for row in y]}


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", access_log=False)
