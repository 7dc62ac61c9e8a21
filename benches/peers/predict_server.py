"""The usual way to serve a network: FastAPI, uvicorn, PyTorch. Reads our model file, answers POST /predict.

usage: predict_server.py MODEL.safetensors PORT
"""
import sys

import network
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

inputs, targets, answer = network.load(sys.argv[1])
app = FastAPI()


class Request(BaseModel):
    data: list[dict[str, float]]


@app.post("/predict")
async def predict(request: Request):  # faster here than in the thread pool that `def` would use
    y = answer(np.array([[row[name] for name in inputs] for row in request.data]))
    return {"predictions": [dict(zip(targets, map(float, row))) for row in y]}


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", access_log=False)
