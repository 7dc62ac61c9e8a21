"""A client that openapi-python-client has made of /openapi.json, from the upload to the download of the model.

usage: generated.py URL airfoil_noise.csv     (PYTHONPATH holds the folder of taqicfd_client)
"""
import hashlib
import sys
from io import BytesIO

from taqicfd_client import Client
from taqicfd_client.api.datasets import create_dataset
from taqicfd_client.api.models import download_model, list_models, show_model
from taqicfd_client.api.predictions import create_prediction, download_prediction, show_prediction
from taqicfd_client.api.trainings import create_training
from taqicfd_client.models import PredictForm, PredictRequest, Prediction, Problem, TrainRequest, Training, UploadForm
from taqicfd_client.types import File

url, path = sys.argv[1:]
client = Client(base_url=url, timeout=120)
content = open(path, "rb").read()


def as_file():
    return File(payload=BytesIO(content), file_name="airfoil.csv", mime_type="text/csv")


dataset = create_dataset.sync(client=client, body=UploadForm(file=as_file(), name="airfoil"))
assert dataset.rows == 1503 and dataset.columns[0].name == "frequency_hz", dataset

request = {"dataset_id": str(dataset.dataset_id), "target": "sound_pressure_db", "model_name": "airfoil", "preset": "fast",
           "epochs": 2}
training = create_training.sync(client=client, body=TrainRequest.from_dict(request), prefer="wait=60")
assert isinstance(training, Training) and training.status == "succeeded", training

model = show_model.sync(str(training.model_id), client=client)
listed = list_models.sync(client=client, name="airfoil")
assert [one.model_id for one in listed.models] == [training.model_id] and model.version == 1

row = {"frequency_hz": 1000, "angle_of_attack_deg": 2, "chord_m": 0.3048, "free_stream_velocity_ms": 71.3,
       "displacement_thickness_m": 0.0027}
answer = create_prediction.sync(client=client, body=PredictRequest.from_dict({"model": "airfoil", "data": [row]}))
value = answer.predictions[0].to_dict()["sound_pressure_db"]
assert 90 < value < 150 and answer.in_domain == [True], answer
refused = create_prediction.sync(client=client, body=PredictRequest.from_dict({"model": "none", "data": [row]}))
assert isinstance(refused, Problem) and refused.type_ == "/problems/model-not-found", refused

form = PredictForm(file=as_file(), model="airfoil")
job = create_prediction.sync(client=client, body=form, prefer="respond-async")
assert isinstance(job, Prediction), job
while job.status in ("queued", "running"):
    job = show_prediction.sync(str(job.prediction_id), client=client, wait=30)
assert job.status == "succeeded" and job.rows_done == 1503, job
answers = download_prediction.sync(str(job.prediction_id), client=client)
assert hashlib.sha256(answers).hexdigest() == job.sha256 and answers.count(b"\n") == 1504

file = download_model.sync(str(training.model_id), client=client).payload.read()
assert hashlib.sha256(file).hexdigest() == model.sha256 and len(file) == model.size_bytes
print("all done")
