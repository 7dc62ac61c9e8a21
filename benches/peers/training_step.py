"""Microseconds per training step of PyTorch (1 thread and all) and scikit-learn's MLPRegressor.

usage: training_step.py INPUTS HIDDEN,HIDDEN BATCH SECONDS
"""
import os, sys, time, warnings
warnings.filterwarnings("ignore")
import numpy as np, torch
from sklearn.neural_network import MLPRegressor

inputs, hidden, batch, seconds = int(sys.argv[1]), [int(h) for h in sys.argv[2].split(",")], int(sys.argv[3]), float(sys.argv[4])
rng = np.random.default_rng(0)
x = rng.standard_normal((8 * batch, inputs)).astype(np.float32)
y = rng.standard_normal((8 * batch, 1)).astype(np.float32)


def torch_step(threads):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    sizes = [inputs, *hidden]
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 1))
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    loss = torch.nn.MSELoss()
    batches = [(torch.from_numpy(x[i * batch:(i + 1) * batch]), torch.from_numpy(y[i * batch:(i + 1) * batch])) for i in range(8)]
    times, started = [], time.perf_counter()
    while time.perf_counter() - started < seconds:
        begun = time.perf_counter()
        for a, b in batches:
            adam.zero_grad()
            loss(net(a), b).backward()
            adam.step()
        times.append((time.perf_counter() - begun) / 8)
    return np.median(times) * 1e6


def sklearn_step():
    # Whole fits, so that the checks before the first step weigh little.
    rows = 64 * batch if batch < 256 else 16 * batch
    xs, ys = np.resize(x, (rows, inputs)), np.resize(y, rows)
    times, started = [], time.perf_counter()
    while not times or time.perf_counter() - started < seconds:
        net = MLPRegressor(hidden_layer_sizes=hidden, batch_size=batch, max_iter=4, tol=0, n_iter_no_change=10**9)
        begun = time.perf_counter()
        net.fit(xs, ys)
        times.append((time.perf_counter() - begun) / (4 * rows / batch))
    return np.median(times) * 1e6


for threads in sorted({1, os.cpu_count()}):
    print(f"pytorch-{threads}-threads", torch_step(threads))
print("scikit-learn", sklearn_step())
