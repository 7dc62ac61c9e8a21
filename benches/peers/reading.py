"""Times how long pandas takes to read a file, best of three: `reading.py KIND PATH`."""

import sys
import time

import pandas as pd

READERS = {
    "csv": pd.read_csv,
    "csv-comma": lambda path: pd.read_csv(path, sep=";", decimal=","),
    "xlsx": pd.read_excel,
}

kind, path = sys.argv[1:3]
best = float("inf")
for _ in range(1 if kind == "xlsx" else 3):
    start = time.perf_counter()
    frame = READERS[kind](path)
    best = min(best, time.perf_counter() - start)
print(best, *frame.shape)
