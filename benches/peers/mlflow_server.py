"""`mlflow models serve` of a model that answers with our networks in PyTorch.

usage: mlflow_server.py MODEL.safetensors PORT

This file is also the model, as MLflow's "models from code" have it.
"""
import os
import sys
import tempfile

import mlflow

sys.path.insert(0, os.environ.get("TAQICFD_PEERS", os.path.dirname(os.path.abspath(__file__))))
import network


class Model(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.inputs, self.targets, self.answer = network.load(context.artifacts["model"])

    def predict(self, context, model_input, params=None):
        y = self.answer(model_input[self.inputs].to_numpy(dtype=float))
        return [dict(zip(self.targets, map(float, row))) for row in y]


if __name__ == "__main__":
    model, port = sys.argv[1:]
    folder = os.path.join(tempfile.mkdtemp(), "model")
    mlflow.pyfunc.save_model(folder, python_model=os.path.abspath(__file__), artifacts={"model": os.path.abspath(model)})
    os.environ["TAQICFD_PEERS"] = os.path.dirname(os.path.abspath(__file__))
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "models", "serve", "-m", folder, "--env-manager", "local",
                              "--host", "127.0.0.1", "--port", port, "--workers", "1"])
else:
    mlflow.models.set_model(Model())
