"""The other usual way to serve a network: FastAPI, uvicorn, onnxruntime. Answers POST /predict from an exported model.

usage: onnx_server.py MODEL.onnx PORT
"""
import sys

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
inputs = [column.name for column in session.get_inputs()]
# Values alone: what is not asked for, bounds and the domain, is not computed.
targets = [output.name for output in session.get_outputs() if output.name + "_lower" in {o.name for o in session.get_outputs()}]
app = FastAPI()


class Request(BaseModel):
    data: list[dict[str, float]]


@app.post("/predict")
async def predict(request: Request):
    columns = {name: np.array([[row[name]] for row in request.data]) for name in inputs}
    values = session.run(targets, columns)
    return {"predictions": [dict(zip(targets, map(float, row))) for row in np.hstack(values)]}


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", access_log=False)
