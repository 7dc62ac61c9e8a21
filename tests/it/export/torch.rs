//! Files of PyTorch, opened and asked where PyTorch is.

use super::{download, mixed};
use crate::api::{Api, id, sample};
use crate::python::python;
use serde_json::{Value, json};
use std::process::Command;

/// Loads the file twice: as anyone would, and with our module, which must answer as `POST /predict` did.
const CHECK: &str = r#"
import json, math, numbers
import torch, taqicfd_model

tensors = torch.load("m.pt", weights_only=True)
manifest = json.loads(tensors["manifest"])
hidden = manifest["shape"]["hidden"]
assert tensors["networks.0.layers.0.weight"].shape[0] == hidden[0], tensors.keys()
assert all(torch.isfinite(v).all() for k, v in tensors.items() if k != "manifest")

model = taqicfd_model.load("m.pt")
asked = json.load(open("asked.json", encoding="utf-8"))
answer, got = asked["answer"], model.predict(asked["rows"], unknown_category="missing")

# Numbers are compared by the size that they have in their column.
sizes = {}
for row in answer["predictions"]:
    for name, value in row.items():
        if isinstance(value, float):
            sizes[name] = max(sizes.get(name, 0.0), abs(value))

def differ(a, b, path="", size=1.0):
    if isinstance(a, dict):
        assert a.keys() == b.keys(), (path, a, b)
        if a.keys() == {"lower_bound", "upper_bound"} and None not in a.values():
            size = max(size, *(abs(v) for v in a.values()))
        return max((differ(a[k], b[k], f"{path}/{k}", sizes.get(k, size)) for k in a), default=(0, path))
    if isinstance(a, list):
        assert len(a) == len(b), (path, a, b)
        return max((differ(x, y, f"{path}/{i}") for i, (x, y) in enumerate(zip(a, b))), default=(0, path))
    if isinstance(a, float) and not isinstance(b, bool):
        return abs(a - b) / size, f"{path}: {a} {b}"
    assert a == b, (path, a, b)
    return 0, path

parts = ("predictions", "intervals", "probabilities", "prediction_sets", "in_domain", "domain_score", "confidence")
assert set(got) == {part for part in parts if part in answer}, got.keys()
print(json.dumps(max(differ(answer[part], got[part], part) for part in got)))

# It can be trained further.
loss = model.networks[0](model.encode([[None if c["missing_share"] else taqicfd_model.read(c, asked["rows"][9], "missing")
                                        for c in model.inputs]], 0)).sum()
loss.backward()
assert model.networks[0].layers[0].weight.grad.abs().sum() > 0

needed = next((c["name"] for c in model.inputs if not c["missing_share"]), None)
if needed:
    try:
        model.predict([{**asked["rows"][9], needed: None}], unknown_category="missing")
        raise SystemExit("a missing value was answered")
    except ValueError as error:
        assert needed in str(error)

# As arrays write what is missing, and as tables with gaps write whole numbers.
class Lone:
    """A number that is not one of Python's own, as numpy.float32."""
    def __init__(self, value): self.value = value
    def __float__(self): return self.value
numbers.Real.register(Lone)
row = asked["rows"][9]
for c in model.inputs:
    if c["kind"] == "number" and c["missing_share"]:
        without = {**row, c["name"]: None}
        assert model.predict([{**row, c["name"]: Lone(math.nan)}], "missing") == model.predict([without], "missing")
empty = model.predict([])
assert empty["predictions"] == [] and empty["in_domain"] == []
level_of = taqicfd_model.level_of
assert [level_of(["1", "2"], t, False) for t in ("2", "2.0", "02", "2.00")] == [1, 1, None, None]
assert [level_of(["1.0", "2.0"], t, False) for t in ("2", "2.0", "2.")] == [1, 1, None]
assert level_of(["2.50"], "2.5", True) == 0 and level_of(["2.50"], "2.5", False) is None
assert level_of(["-ve", "+ve"], "'+ve", False) == 1 and level_of(["ve"], "'ve", False) is None
"#;

#[tokio::test]
async fn pytorch_opens_the_file_and_answers_as_predict_does() {
    let api = Api::start(&[]).await;
    let trainings = [
        ("penguins.csv", sample("penguins.csv"), json!({"target": "species"})),
        ("perfil_ensaio.csv", sample("perfil_ensaio.csv"), json!({"targets": ["Cl", "Cd"]})),
        ("perfil_ensaio.csv", sample("perfil_ensaio.csv"), json!({"target": "Cd", "target_scale": "log"})),
        (
            "mixed.csv",
            mixed(400).into_bytes(),
            json!({"target": "class", "exclude": ["y"], "preset": "fast"}),
        ),
        ("mixed.csv", mixed(400).into_bytes(), json!({"target": "y", "exclude": ["class"]})),
        (
            "mixed.csv",
            mixed(400).into_bytes(),
            json!({"target": "y", "exclude": ["class"], "architecture": "mlp", "activation": "gelu", "preset": "fast"}),
        ),
    ];
    for (filename, bytes, mut request) in trainings {
        let dataset = id(&api.upload(filename, bytes).await.body, "dataset_id");
        request["dataset_id"] = json!(dataset);
        request["epochs"] = json!(5);
        request["hidden_layers"] = json!([16, 16]);
        let model = id(&api.train(&request).await, "model_id");
        let mut rows =
            api.get(&format!("/datasets/{dataset}/rows?limit=300")).await.expect(200)["rows"].take();
        let card = api.get(&format!("/models/{model}")).await.expect(200);
        for (index, input) in card["inputs"].as_array().unwrap().iter().enumerate() {
            if input["kind"] == "category" {
                rows[index][input["name"].as_str().unwrap()] = json!("never seen");
            }
        }
        let question = json!({"model_id": model, "data": rows, "unknown_category": "missing"});
        let answer = api.post("/predict", &question).await.expect(200);

        let folder = tempfile::tempdir().unwrap();
        for (format, name) in [("pt", "m.pt"), ("py", "taqicfd_model.py")] {
            let file = download(&api, &format!("/model/{model}?format={format}"), None).await;
            let disposition = file.headers()["content-disposition"].to_str().unwrap().to_owned();
            assert!(disposition.contains(&format!(".{format}\"")), "{disposition}");
            std::fs::write(folder.path().join(name), file.bytes().await.unwrap()).unwrap();
        }
        let file = std::fs::read(folder.path().join("m.pt")).unwrap();
        assert_eq!(&file[..4], b"PK\x03\x04", "a zip archive");
        if filename == "mixed.csv" && request.get("architecture").is_none() {
            for name in ["networks.0.embedding.edges", "networks.0.embedding.vectors"] {
                assert!(file.windows(name.len()).any(|bytes| bytes == name.as_bytes()), "{name}");
            }
        }
        let Some(python) = python("torch", false) else { continue };
        std::fs::write(folder.path().join("asked.json"), json!({"rows": rows, "answer": answer}).to_string())
            .unwrap();
        std::fs::write(folder.path().join("check.py"), CHECK).unwrap();
        let output = Command::new(python).arg("check.py").current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{filename}: {}", String::from_utf8_lossy(&output.stderr));
        let difference: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(difference[0].as_f64().unwrap() < 1e-6, "{filename}: {difference}");
    }
}
