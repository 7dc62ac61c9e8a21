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
    def __init__(self):
        super().__init__()
        n = len(manifest["shape"]["hidden"]) + 1
        self.scale = torch.nn.Parameter(array("network.0.scale"))
        self.layers = torch.nn.ModuleList()
        for i in range(n):
            weight, bias = array(f"network.0.layer.{i}.weight"), array(f"network.0.layer.{i}.bias")
            layer = torch.nn.Linear(*weight.shape)
            layer.weight.data, layer.bias.data = (weight / weight.shape[0] ** 0.5).T.contiguous(), bias
            self.layers.append(layer)

    def forward(self, x):
        x = x * self.scale
        for layer in self.layers[:-1]:
            x = torch.nn.functional.mish(layer(x))
        return self.layers[-1](x)


net = Net().eval()
scalings = np.array([[s["center"], s["factor"]] for s in manifest["members"][0]["encoder"]["scalings"]])
scales = np.array(manifest["members"][0]["target_scales"])
app = FastAPI()


class Request(BaseModel):
    data: list[dict[str, float]]


@app.post("/predict")
def predict(request: Request):
    x = np.array([[row[name] for name in inputs] for row in request.data])
    x = (x - scalings[:, 0]) * scalings[:, 1]
    x = x / np.sqrt(1 + (x / 3) ** 2)
    with torch.inference_mode():
        y = net(torch.from_numpy(x.astype(np.float32))).numpy()
    return {"predictions": [dict(zip(targets, map(float, row))) for row in y * scales[:, 1] + scales[:, 0]]}


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", access_log=False)
