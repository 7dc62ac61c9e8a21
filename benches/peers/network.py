"""Our networks in PyTorch, read from a model file: what the servers of this folder answer with.

`load(path)` gives the names of the inputs and of the targets, and a function from numbers [n, inputs] in units to
predictions [n, targets].
"""
import json
import struct

import numpy as np
import torch


class Net(torch.nn.Module):
    """One network, from encoded features to scaled outputs."""

    def __init__(self, manifest, arrays, index):
        super().__init__()
        own = lambda name: arrays.get(f"network.{index}.{name}")
        self.embedded, n = manifest["shape"]["embedded"], len(manifest["shape"]["hidden"]) + 1
        stepped = manifest["members"][index].get("stepped", manifest["shape"].get("stepped", []))
        # Each step: its feature and its two edges, which stand in the file feature by feature.
        self.steps, first = [], 0
        for of in stepped:
            edges = own("embedding.edges")[first:first + of["count"] + 1].tolist()
            self.steps += [(of["feature"], *edge) for edge in zip(edges, edges[1:])]
            first += of["count"] + 1
        self.waves = [own(f"embedding.{name}") for name in ("frequency", "phase", "weight", "bias")]
        if self.steps:
            features, low, high = zip(*self.steps)
            self.stepped, self.low = list(features), torch.tensor(low)
            self.width = (torch.tensor(high) - self.low).clamp_min(1e-12)
        self.scale, self.layers = own("scale"), torch.nn.ModuleList()
        self.slopes = [own(f"layer.{i}.slope") for i in range(n - 1)]
        for i in range(n):
            weight, bias = own(f"layer.{i}.weight"), own(f"layer.{i}.bias")
            layer = torch.nn.Linear(*weight.shape)
            layer.weight.data, layer.bias.data = (weight / weight.shape[0] ** 0.5).T.contiguous(), bias
            self.layers.append(layer)

    def forward(self, x):
        parts = [x]
        if self.embedded:
            frequency, phase, weight, bias = self.waves
            waves = torch.cos(2 * torch.pi * x[:, self.embedded, None] * frequency + phase)
            parts.append((torch.einsum("nfw,fow->nfo", waves, weight) + bias).flatten(1))
        if self.steps:
            parts.append(((x[:, self.stepped] - self.low) / self.width).clamp(0, 1))
        x = torch.cat(parts, 1) * self.scale
        for layer, slope in zip(self.layers[:-1], self.slopes):
            x = layer(x)
            x = x + slope * (torch.nn.functional.mish(x) - x)
        return self.layers[-1](x)


class Member:
    """A network with the scalings of its own training part."""

    def __init__(self, net, fitted):
        self.net = net.eval()
        self.scalings = np.array([[s["center"], s["factor"]] for s in fitted["encoder"]["scalings"]])
        self.scales = np.array(fitted["target_scales"])

    def __call__(self, x):
        x = (x - self.scalings[:, 0]) * self.scalings[:, 1]
        x = x / np.sqrt(1 + (x / 3) ** 2)
        with torch.inference_mode():
            y = self.net(torch.from_numpy(x.astype(np.float32))).numpy()
        return y * self.scales[:, 1] + self.scales[:, 0]


def load(path):
    torch.set_num_threads(1)
    raw = open(path, "rb").read()
    size = 8 + struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:size])
    manifest = json.loads(header.pop("__metadata__")["taqicfd"])

    def array(entry):
        begin, end = entry["data_offsets"]
        flat = np.frombuffer(raw[size + begin:size + end], "<f4")
        return torch.from_numpy(flat.reshape(entry["shape"]).copy())

    arrays = {name: array(entry) for name, entry in header.items() if name.startswith("network.")}
    members = [Member(Net(manifest, arrays, i), fitted) for i, fitted in enumerate(manifest["members"])]
    low, high = np.array([[t["min"], t["max"]] for t in manifest["targets"]]).T

    weights = [fitted["weight"] for fitted in manifest["members"]]

    def predict(x):
        return np.clip(np.average([member(x) for member in members], axis=0, weights=weights), low, high)

    return [i["name"] for i in manifest["inputs"]], [t["name"] for t in manifest["targets"]], predict
