"""A model of taqicfd in PyTorch: answers as POST /predict does, and can be trained further.

    import taqicfd_model                            # this file; it needs torch alone
    model = taqicfd_model.load("polar-v1.pt")       # GET /model/{model_id}?format=pt
    model.predict([{"Re": 100000, "alpha": 4.5}])

A row is a dictionary from column to value: a number, a text for a category, True or False, a
datetime or an ISO 8601 text for a date; None or NaN where a value is missing. Times without a zone
are UTC. model.networks are torch modules; `model.encode(rows, 0)` is what the first of them sees.
"""

import bisect
import json
import math
import numbers
import re
from datetime import date, datetime, timezone

import torch
from torch import nn

DAY_MS, YEAR_DAYS = 86_400_000.0, 365.2425
MIN_WIDTH, MARGIN, LEAST_SHARE, NEIGHBOURS, ROUNDING, MAX_LOG_RATIO = 1e-12, 0.05, 0.02, 3, 1e-5, 300.0
PLAIN_NUMBER = re.compile(r"-?[0-9][0-9]*(\.[0-9]*)?")
UNKNOWN = object()  # a category that training never saw

ACTIVATIONS = {
    "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU, "selu": nn.SELU, "silu": nn.SiLU, "mish": nn.Mish,
    "gelu": lambda: nn.GELU(approximate="tanh"), "tanh": nn.Tanh, "sigmoid": nn.Sigmoid,
}


class Embedding(nn.Module):
    """What a network sees of its features [n, inputs]: those that are not levels of an embedded category, then waves of
    quantities, steps of features that are mostly one value, and a vector for the level of each embedded category."""

    def __init__(self, shape):
        super().__init__()
        self.columns, self.stepped, self.categories = (shape.get(k, []) for k in ("embedded", "stepped", "categories"))
        levels = {c["first"] + i for c in self.categories for i in range(c["count"])}
        self.others = [i for i in range(shape["inputs"]) if i not in levels]
        n_steps, n = sum(s["count"] for s in self.stepped), len(self.columns)
        self.width = len(self.others) + 3 * n + n_steps + 8 * len(self.categories)
        if self.stepped:
            self.register_buffer("edges", torch.zeros(n_steps + len(self.stepped)))
        if self.categories:
            self.vectors = nn.Parameter(torch.zeros(len(levels), 8))
        if not n:  # no quantities
            return
        self.frequency, self.phase = nn.Parameter(torch.zeros(n, 16)), nn.Parameter(torch.zeros(n, 16))
        self.weight, self.bias = nn.Parameter(torch.zeros(n, 3, 16)), nn.Parameter(torch.zeros(n, 3))

    def forward(self, x):
        parts = [x[:, self.others]]
        if self.columns:
            waves = torch.cos(2 * math.pi * x[:, self.columns, None] * self.frequency + self.phase)
            parts.append((torch.einsum("nfw,fow->nfo", waves, self.weight) + self.bias).flatten(1))
        first = 0
        for of in self.stepped:
            edges = self.edges[first:first + of["count"] + 1]
            first += len(edges)
            width = (edges[1:] - edges[:-1]).clamp_min(MIN_WIDTH)
            parts.append(((x[:, of["feature"], None] - edges[:-1]) / width).clamp(0, 1))
        first = 0
        for of in self.categories:
            own = x[:, of["first"]:of["first"] + of["count"]]
            parts.append(own @ self.vectors[first:first + of["count"]])
            first += of["count"]
        return torch.cat(parts, 1)


class Activation(nn.Module):
    """The activation, or `x + slope (f(x) - x)` with a slope for each unit."""

    def __init__(self, name, width, parametric):
        super().__init__()
        self.function = ACTIVATIONS[name]()
        self.slope = nn.Parameter(torch.ones(width)) if parametric else None

    def forward(self, x):
        y = self.function(x)
        return y if self.slope is None else x + self.slope * (y - x)


class Network(nn.Module):
    """One network, from encoded features to outputs."""

    def __init__(self, shape):
        super().__init__()
        self.embedding = Embedding(shape)
        width = self.embedding.width
        sizes = [width, *shape["hidden"], shape["outputs"]]
        self.scale = nn.Parameter(torch.ones(width)) if shape["scaling_layer"] else None
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.activations = nn.ModuleList(
            Activation(shape["activation"], n, shape["parametric"]) for n in shape["hidden"])

    def forward(self, x):
        x = self.embedding(x)
        if self.scale is not None:
            x = x * self.scale
        for layer, activation in zip(self.layers, self.activations):
            x = activation(layer(x))
        return self.layers[-1](x)


class Model(nn.Module):
    """The networks together, with everything around them."""

    def __init__(self, manifest):
        super().__init__()
        self.manifest = manifest
        self.inputs, self.targets, self.members = manifest["inputs"], manifest["targets"], manifest["members"]
        steps = manifest["shape"].get("stepped", [])
        self.networks = nn.ModuleList(
            Network({**manifest["shape"], "stepped": m.get("stepped", steps)}) for m in self.members)
        self.domain_rows = self.domain_pairs = None

    def predict(self, rows, unknown_category="error"):
        """What POST /predict answers to `rows` at the model's own confidence. A category never seen is an error, or
        missing with `unknown_category="missing"`."""
        values = [[read(column, row, unknown_category) for column in self.inputs] for row in rows]
        with torch.no_grad():
            outputs = self.outputs(values)
            in_domain, score, stretch = self.judge(values)
        answer = {"confidence": self.manifest["confidence"], "in_domain": in_domain.tolist(), "domain_score": score.tolist()}
        of_rows = self.classes(outputs) if self.manifest["task"] == "classification" else self.numbers(outputs, stretch)
        return {**of_rows, **answer}

    def encode(self, values, member):
        """The features [n, width] that a network sees of rows of values."""
        encoder = self.members[member]["encoder"]
        raw = [sum((spread_of(s, v) for s, v in zip(encoder["spreads"], row)), []) for row in values]
        center, factor = (torch.tensor([s[k] for s in encoder["scalings"]], dtype=torch.float64) for k in ("center", "factor"))
        x = (torch.tensor(raw, dtype=torch.float64).reshape(len(values), len(center)) - center) * factor
        x = x.clamp(-1e9, 1e9)
        return (x / torch.sqrt(1 + (x / 3) ** 2)).float()

    def outputs(self, values):
        """Numbers in their units, or logits: [n, outputs]."""
        weights = [m["weight"] for m in self.members]
        each = []
        for index, (network, member) in enumerate(zip(self.networks, self.members)):
            y = network(self.encode(values, index)).double()
            if member["target_scales"]:
                mean, std = torch.tensor(member["target_scales"], dtype=torch.float64).T
                y = y * std + mean
                if any(member.get("logarithmic", [])):
                    y = torch.where(torch.tensor(member["logarithmic"]), y.exp(), y)
            each.append(y)
        if len(each) == 1:
            return each[0]
        if self.manifest["task"] == "classification":
            each = [y.softmax(1) for y in each]
        together = sum(y * (w / sum(weights)) for y, w in zip(each, weights))
        return together.clamp_min(1e-30).log() if self.manifest["task"] == "classification" else together

    def numbers(self, outputs, stretch):
        calibration = self.manifest["calibration"]
        n = len(outputs)
        predictions, intervals = [{} for _ in range(n)], [{} for _ in range(n)]
        logarithmic = self.members[0].get("logarithmic", [])
        usual_of_targets = calibration.get("usual") or [None] * len(self.targets)
        for k, target in enumerate(self.targets):
            limit = quantile(calibration["residuals"][k], self.manifest["confidence"])
            for row, value in enumerate(outputs[:, k].clamp(target["min"], target["max"]).tolist()):
                predictions[row][target["name"]] = value
                low = high = None
                if limit is not None:
                    width = limit * usual_error(usual_of_targets[k], value) * float(stretch[row])
                    low, high = value - width, value + width
                    if k < len(logarithmic) and logarithmic[k]:
                        ratio = math.exp(min(width, MAX_LOG_RATIO))
                        low, high = value / ratio, value * ratio
                intervals[row][target["name"]] = {"lower_bound": low, "upper_bound": high}
        return {"predictions": predictions, "intervals": intervals}

    def classes(self, outputs):
        calibration, target = self.manifest["calibration"], self.targets[0]
        name, classes = target["name"], target["classes"]
        limit = quantile(calibration["scores"], self.manifest["confidence"])
        answer = {"predictions": [], "probabilities": [], "prediction_sets": []}
        doubt = calibration.get("doubt", 0.0)
        sure = (outputs / calibration["temperature"]).softmax(1)
        for p in ((1 - doubt) * sure + doubt / len(classes)).tolist():
            order = sorted(range(len(classes)), key=lambda i: -p[i])
            possible = [i for i in order if limit is None or 1 - p[i] <= limit or i == order[0]]
            answer["predictions"].append({name: classes[order[0]]})
            answer["probabilities"].append({name: dict(zip(classes, p))})
            answer["prediction_sets"].append({name: [classes[i] for i in possible]})
        return answer

    def judge(self, values):
        """Whether rows are like those of the training, their score, and how much wider their intervals are."""
        domain, n = self.manifest["domain"], len(values)
        excess = torch.zeros(n, len(self.inputs), dtype=torch.float64)
        for row, of_row in enumerate(values):
            for i, (value, limits) in enumerate(zip(of_row, domain["ranges"])):
                if value is UNKNOWN:
                    excess[row, i] = 1
                elif limits and isinstance(value, float):
                    low, high = limits
                    width = high - low if high > low else max(abs(high), 1)
                    excess[row, i] = max(low - value, value - high, 0) / width
        outside, worst = excess.sum(1), excess.amax(1)
        looks, farther = [], torch.ones(n, dtype=torch.float64)
        if domain["joint"]:
            # These were float32: the shortest decimals for them are other numbers, and would break ties.
            known = torch.tensor(domain["joint"]["distances"], dtype=torch.float32).double()
            scaled = self.encode(values, 0) * torch.tensor(domain["joint"]["scales"])
            gaps = torch.cdist(scaled.double(), self.domain_rows.double(), compute_mode="donot_use_mm_for_euclid_dist")
            distance = gaps.topk(NEIGHBOURS, largest=False).values[:, -1]
            looks.append(share_as_large(known, distance * (1 - ROUNDING)))
            farther = torch.maximum(farther, times(known, distance))
        if domain.get("pairs"):
            known = torch.tensor(domain["pairs"]["surprises"], dtype=torch.float32).double()
            surprise = self.surprise(values)
            looks.append(share_as_large(known, surprise))
            farther = torch.maximum(farther, 1 + times(known, surprise).log())
        # Of two looks at ordinary rows, the smaller share is this small in so many.
        share = 1 - (1 - torch.stack(looks).amin(0)) ** len(looks) if looks else torch.ones(n, dtype=torch.float64)
        in_domain = (worst <= domain.get("margin", MARGIN)) & (share >= LEAST_SHARE)
        return in_domain, share / (1 + outside), torch.where(in_domain, 1.0, farther * (1 + outside))

    def surprise(self, values):
        """How strange the most surprising pair of values of each row is."""
        pairs = self.manifest["domain"]["pairs"]
        sizes = [len(bins["edges"]) + 2 if "edges" in bins else bins["levels"] + 1 for bins in pairs["bins"]]
        of_inputs = [[bin_of(bins, v) for bins, v in zip(pairs["bins"], row)] for row in values]
        of_inputs = torch.tensor(of_inputs, dtype=torch.long).reshape(len(values), len(sizes))
        most, begin = torch.zeros(len(values), dtype=torch.float64), 0
        for a, b in pairs["pairs"]:
            places = begin + of_inputs[:, a] * sizes[b] + of_inputs[:, b]
            most = torch.maximum(most, self.domain_pairs[places].double())
            begin += sizes[a] * sizes[b]
        return most


def load(path):
    """The model in a file of `GET /model/{model_id}?format=pt`."""
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    model = Model(json.loads(tensors.pop("manifest")))
    model.domain_rows, model.domain_pairs = (tensors.pop(name, None) for name in ("domain.rows", "domain.pairs"))
    model.load_state_dict(tensors)
    return model.eval()


def is_sentinel(column, value):
    """Whether a number stood for "no value" in the training file, as -9999 may; among the values it is one of them."""
    if column["kind"] != "number" or isinstance(value, (str, bool)) or value is None:
        return False
    low, high = column["range"] or (math.inf, -math.inf)
    for token in [] if low <= value <= high else column["missing_tokens"]:
        try:
            if float(token.replace(",", ".")) == value:
                return True
        except ValueError:
            pass
    return False


def read(column, row, unknown_category):
    """A cell as None, a float (a number, or the milliseconds of a date), a bool, the index of a level, or UNKNOWN."""
    name, kind = column["name"], column["kind"]
    if name not in row:
        raise ValueError(f"the field {name!r} is missing")
    value = row[name]
    if isinstance(value, numbers.Real) and not isinstance(value, (int, float)):
        value = float(value)  # one of numpy's, or of an array
    is_missing = value is None or value != value or value in (math.inf, -math.inf) or is_sentinel(column, value)
    if is_missing or (isinstance(value, str) and value.strip() in ["", *column["missing_tokens"]]):
        if column["missing_share"] <= 0:
            raise ValueError(f"{name!r} has no value, and training never saw it missing")
        return None
    if kind == "category":
        text = str(value).strip() if not isinstance(value, bool) else str(value).lower()
        level = level_of(column["levels"], text, isinstance(value, (int, float)) and not isinstance(value, bool))
        if level is not None:
            return level
        if unknown_category != "missing":
            raise ValueError(f"{name!r} = {text!r} was never seen in training; known are {column['levels']}")
        return UNKNOWN
    if kind == "boolean":
        if value not in (0, 1):
            raise ValueError(f"{name!r} cannot be {value!r}; give True or False")
        return bool(value)
    if kind == "date" and isinstance(value, str):
        value = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
    if kind == "date" and isinstance(value, date):
        value = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        value = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return float(round(value.timestamp() * 1000))
    return float(value)


def level_of(levels, text, is_number):
    """The index of a category, also in the spellings in which programs send it back: 1.0 for 1 and 1 for 1.0, a number
    for the level that it is, and an apostrophe before what looks like a formula. None for one never seen."""
    if text in levels:
        return levels.index(text)
    if re.match(r"'[=+\-@]", text):
        return levels.index(text[1:]) if text[1:] in levels else None
    if PLAIN_NUMBER.fullmatch(text) and (is_number or "." not in text or re.fullmatch(r"[^.]*\.0", text)):
        equal = [i for i, level in enumerate(levels) if PLAIN_NUMBER.fullmatch(level) and float(level) == float(text)]
        if len(equal) == 1 and (is_number or levels[equal[0]] == (text[:-2] if text.endswith(".0") else text + ".0")):
            return equal[0]
    return None


def spread_of(spread, value):
    """The raw features of one value."""
    kind = spread["kind"]
    missing = value is None or value is UNKNOWN
    flag = [1.0 if missing else -1.0] if spread.get("indicator") else []
    if kind == "number":
        return [spread["mean"] if missing else value, *flag]
    if kind == "binary":
        return [0.0 if missing else 1.0 if value == 1 else -1.0]
    if kind == "one_hot":
        return [1.0 if not missing and value == level else 0.0 for level in range(spread["levels"])]
    features = [0.0 if missing else (value - spread["mean_ms"]) / DAY_MS]
    for on, period in (("daily", DAY_MS), ("weekly", 7 * DAY_MS), ("yearly", YEAR_DAYS * DAY_MS)):
        if spread[on]:
            angle = None if missing else 2 * math.pi * value / period
            features += [0.0, 0.0] if missing else [math.sin(angle), math.cos(angle)]
    return features + flag


def bin_of(bins, value):
    """Where a value stands in the tables of its input: the last bin is that of what is missing."""
    missing = value is None or value is UNKNOWN
    if "edges" in bins:
        return len(bins["edges"]) + 1 if missing else bisect.bisect_right(bins["edges"], value)
    return bins["levels"] if missing else int(value)


def share_as_large(known, values):
    """The share of known values that are at least as large as each of these, itself counted."""
    return (len(known) - (known < values[:, None]).sum(1) + 1) / (len(known) + 1)


def times(known, values):
    """Values in units of the largest known that counts as inside, at least 1."""
    inside = float(known[int((1 - LEAST_SHARE) * (len(known) - 1))])
    return (values / inside).clamp_min(1) if inside > 0 else torch.ones_like(values)


def quantile(scores, confidence):
    """The score that a new row stays below with this probability; None where there are too few to say."""
    n, known = scores["n"], scores["sorted"]
    rank = math.ceil((n + 1) * confidence - 1e-9)
    if not 1 <= rank <= n:
        return None
    return known[rank - 1] if n == len(known) else known[math.ceil((rank - 1) / (n - 1) * (len(known) - 1))]


def usual_error(usual, answer):
    """The usual error at the level of the answer: straight lines between points, level outside; 1 without points."""
    if usual is None:
        return 1.0
    x, y = usual["answers"], usual["errors"]
    after = sum(known < answer for known in x)
    if after in (0, len(x)):
        return y[min(after, len(y) - 1)]
    t = (answer - x[after - 1]) / (x[after] - x[after - 1])
    return y[after - 1] * (1 - t) + y[after] * t
