"""MLServer with a runtime of its own, which answers with our networks in PyTorch.

usage: mlserver_server.py MODEL.safetensors PORT

`parallel_workers` is 0: with one model, another process for it only costs (measured). The runtime is this file.
"""
import json
import os
import sys
import tempfile

import network
import numpy as np
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Runtime(MLModel):
    async def load(self):
        self.columns, self.names, self.answer = network.load(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        data = {one.name: one.data.root for one in payload.inputs}
        y = self.answer(np.array([data[name] for name in self.columns], dtype=float).T)
        outputs = [
            ResponseOutput(name=name, shape=[len(y), 1], datatype="FP64", data=y[:, k].tolist())
            for k, name in enumerate(self.names)
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)


if __name__ == "__main__":
    model, port = sys.argv[1:]
    folder = tempfile.mkdtemp()
    settings = {"host": "127.0.0.1", "http_port": int(port), "grpc_port": int(port) + 1, "metrics_port": int(port) + 2,
                "parallel_workers": 0, "debug": False, "metrics_endpoint": None}
    own = {"name": "airfoil", "implementation": "mlserver_server.Runtime", "parameters": {"uri": os.path.abspath(model)}}
    for name, content in (("settings.json", settings), ("model-settings.json", own)):
        with open(os.path.join(folder, name), "w") as file:
            json.dump(content, file)
    here = os.path.dirname(os.path.abspath(__file__))
    os.environ["PYTHONPATH"] = here + os.pathsep + os.environ.get("PYTHONPATH", "")
    os.execv(sys.executable, [sys.executable, "-c", "from mlserver.cli import main; main()", "start", folder])
