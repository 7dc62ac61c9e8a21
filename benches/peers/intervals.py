"""Intervals of MAPIE's CV+ around LightGBM, beside those that taqicfd's accuracy bench measured.

    intervals.py PEERS_PY OURS.jsonl [SET ...]

PEERS_PY is the benchmark's own harness, which loads the sets and their splits; OURS.jsonl is what
`cargo bench --bench accuracy -- --out OURS.jsonl` wrote. Split 0, confidence 0.9, five folds on both
sides; default settings of LightGBM, with categories as they are. Prints one row per target.
"""

import importlib.util
import json
import sys
import warnings

import lightgbm
import numpy as np
from mapie.regression import CrossConformalRegressor

warnings.filterwarnings("ignore")


def encoded(train, test):
    """Categories as numbers, which is what MAPIE hands on, and where they are."""
    both = [frame.copy() for frame in (train, test)]
    names = [name for name in train.columns if str(train[name].dtype) == "category"]
    for name in names:
        levels = train[name].cat.categories
        for frame in both:
            frame[name] = frame[name].cat.set_categories(levels).cat.codes.astype(float)
    return [frame.to_numpy(float) for frame in both], [train.columns.get_loc(name) for name in names]


def main():
    spec = importlib.util.spec_from_file_location("peers", sys.argv[1])
    peers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peers)
    ours = {}
    for line in open(sys.argv[2]):
        run = json.loads(line)
        if run["peer"] == "balanced" and run["split"] == 0 and run["task"] == "regression":
            ours[run["dataset"]] = run["coverage"]["per_target"]
    wanted = sys.argv[3:] or sorted(ours)
    print("| set | target | taqicfd: coverage, width | MAPIE: coverage, width | width over MAPIE's |")
    print("|---|---|---:|---:|---:|")
    ratios = []
    for name in wanted:
        X, Y, X_test, Y_test, _, _ = peers.get_split(name, 0)
        (train, test), categories = encoded(X, X_test)
        for target in Y.columns:
            found = ours.get(name, {}).get(target)
            if found is None:
                continue
            given = {"categorical_feature": categories} if categories else {}
            model = lightgbm.LGBMRegressor(n_jobs=1, verbose=-1, **given)
            conformal = CrossConformalRegressor(model, confidence_level=0.9, method="plus", cv=5, random_state=0)
            conformal.fit_conformalize(train, Y[target].to_numpy())
            _, bounds = conformal.predict_interval(test)
            low, high = bounds[:, 0, 0], bounds[:, 1, 0]
            true = Y_test[target].to_numpy()
            coverage = float(np.mean((low <= true) & (true <= high)))
            width = float(np.mean(high - low))
            ratio = found["mean_width"] / width
            ratios.append(ratio)
            print(
                f"| {name} | {target} | {found['measured']:.3f}, {found['mean_width']:.4g} "
                f"| {coverage:.3f}, {width:.4g} | {ratio:.2f} |",
                flush=True,
            )
    n = sum(ratio <= 1 for ratio in ratios)
    print(f"\nno wider on {n} of {len(ratios)} targets; geometric mean of the widths' ratio {np.exp(np.mean(np.log(ratios))):.2f}")


if __name__ == "__main__":
    main()
