//! The protocols of other model servers: the bodies of their documentation, their errors, their own clients.

use crate::api::{Answer, Api, sample, waves};
use crate::python::python;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A table with two targets.
fn polar() -> String {
    let mut text = String::from("re,alpha,airfoil,cl,cd\n");
    for i in 0..120 {
        let (re, alpha, airfoil) = (1e5 + 1e3 * (i % 10) as f64, (i % 12) as f64, ["0012", "2412"][i % 2]);
        let (cl, cd) = (0.1 * alpha + 0.05 * (i % 2) as f64, 0.01 + 1e-4 * alpha * alpha);
        text.push_str(&format!("{re},{alpha},{airfoil},{cl:.4},{cd:.5}\n"));
    }
    text
}

async fn post_csv(api: &Api, text: &str) -> Answer {
    api.send(
        api.request(Method::POST, "/invocations").header("Content-Type", "text/csv").body(text.to_owned()),
    )
    .await
}

/// The elements of the output called `name`.
fn output<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let outputs = answer["outputs"].as_array().unwrap_or_else(|| panic!("no outputs in {answer}"));
    &outputs.iter().find(|output| output["name"] == name).unwrap_or_else(|| panic!("no {name} in {answer}"))["data"]
}

#[tokio::test]
async fn the_same_rows_mean_the_same_in_every_protocol() {
    let api = Api::start(&[]).await;
    api.model().await;
    let rows = json!([{"x": 1.0, "z": 3, "kind": "a"}, {"x": 4.5, "z": 2, "kind": "b"}]);
    let matrix = json!([[1.0, 3, "a"], [4.5, 2, "b"]]);
    let own =
        api.post("/predict", &json!({"model": "waves", "data": rows, "confidence": 0.8})).await.expect(200);
    let of = |part: &str, field: &str| -> Value {
        own[part].as_array().unwrap().iter().map(|row| row["y"].pointer(field).unwrap().clone()).collect()
    };
    let (values, lower, upper) =
        (of("predictions", ""), of("intervals", "/lower_bound"), of("intervals", "/upper_bound"));

    // MLflow: the four fields, a list alone, and CSV.
    let params = json!({"confidence": 0.8});
    for mut body in [
        json!({"dataframe_split": {"columns": ["kind", "x", "z"], "index": [5, 6], "data": [["a", 1.0, 3], ["b", 4.5, 2]]}}),
        json!({"dataframe_records": rows}),
        json!({"instances": rows}),
        json!({"inputs": {"x": [1.0, 4.5], "z": [3, 2], "kind": ["a", "b"]}}),
        json!({"inputs": matrix}),
    ] {
        body["params"] = params.clone();
        let answer = api.post("/invocations", &body).await.expect(200);
        assert_eq!(answer["predictions"], values, "{body}");
        for part in ["intervals", "in_domain", "domain_score", "warnings", "confidence"] {
            assert_eq!(answer[part], own[part], "{part} of {body}");
        }
        assert_eq!((&answer["model_name"], &answer["model_version"]), (&json!("waves"), &json!("1")));
    }
    assert_eq!(api.post("/invocations", &rows).await.expect(200)["predictions"], values);
    let csv = post_csv(&api, "z,kind,x\n3,a,1.0\n2,\"b\",4.5\n").await.expect(200);
    assert_eq!(csv["predictions"], values);

    // TensorFlow: rows and columns, the newest version and a named one.
    for path in ["/v1/models/waves:predict", "/v1/models/WAVES/versions/1:predict"] {
        for instances in [&rows, &matrix] {
            let body =
                json!({"signature_name": "serving_default", "instances": instances, "parameters": params});
            let answer = api.post(path, &body).await.expect(200);
            assert_eq!((&answer["predictions"], &answer["intervals"]), (&values, &own["intervals"]));
            assert!(answer.get("outputs").is_none(), "never both: {answer}");
        }
        let body = json!({"inputs": {"x": [[1.0], [4.5]], "z": [3, 2], "kind": ["a", "b"]}});
        let answer = api.post(path, &body).await.expect(200);
        assert_eq!(answer["outputs"], values);
        assert!(answer.get("predictions").is_none(), "never both: {answer}");
    }

    // Open Inference: [n], [n, 1], nested, and one tensor for all.
    let tensor = |name: &str, datatype: &str, shape: Value, data: Value| json!({"name": name, "datatype": datatype, "shape": shape, "data": data});
    let kind = tensor("kind", "BYTES", json!([2]), json!(["a", "b"]));
    for inputs in [
        json!([
            tensor("x", "FP64", json!([2]), json!([1.0, 4.5])),
            tensor("z", "INT32", json!([2]), json!([3, 2])),
            kind
        ]),
        json!([
            kind,
            tensor("z", "FP32", json!([2, 1]), json!([[3], [2]])),
            tensor("x", "FP64", json!([2, 1]), json!([1.0, 4.5]))
        ]),
        json!([tensor("input-0", "BYTES", json!([2, 3]), json!([["1.0", "3", "a"], ["4.5", "2", "b"]]))]),
    ] {
        let body =
            json!({"id": "42", "parameters": {"content_type": "pd", "confidence": 0.8}, "inputs": inputs});
        let answer = api.post("/v2/models/waves/infer", &body).await.expect(200);
        assert_eq!((output(&answer, "y"), output(&answer, "y_lower")), (&values, &lower), "{body}");
        assert_eq!((output(&answer, "y_upper"), output(&answer, "in_domain")), (&upper, &own["in_domain"]));
        assert_eq!(output(&answer, "domain_score"), &own["domain_score"]);
        assert_eq!(answer["outputs"][0]["shape"], json!([2, 1]));
        assert_eq!((&answer["id"], &answer["model_version"]), (&json!("42"), &json!("1")));
        assert_eq!(answer["parameters"], json!({"confidence": 0.8}));
    }
}

#[tokio::test]
async fn several_targets_and_classes_have_the_shapes_of_the_documentation() {
    let api = Api::start(&[("TAQICFD_SERVED_MODEL", "polar")]).await;
    api.model_of("polar", polar(), &["cl", "cd"]).await;
    api.model_of("kinds", waves(200), &["kind"]).await;
    let rows = json!([{"re": 1e5, "alpha": 2.0, "airfoil": "0012"}, {"re": 1.02e5, "alpha": 4.0, "airfoil": "2412"}]);
    let own = api.post("/predict", &json!({"model": "polar", "data": rows})).await.expect(200);
    let column = |name: &str| -> Value {
        own["predictions"].as_array().unwrap().iter().map(|row| row[name].clone()).collect()
    };
    let answer = api.post("/invocations", &json!({"instances": rows})).await.expect(200);
    assert_eq!(answer["predictions"], own["predictions"]);
    let answer = api.post("/v1/models/polar:predict", &json!({"instances": rows})).await.expect(200);
    assert_eq!(answer["predictions"], own["predictions"]);
    let inputs = json!({"re": [1e5, 1.02e5], "alpha": [2.0, 4.0], "airfoil": ["0012", "2412"]});
    let answer = api.post("/v1/models/polar:predict", &json!({"inputs": inputs})).await.expect(200);
    assert_eq!(answer["outputs"], json!({"cl": column("cl"), "cd": column("cd")}));

    // The body of the protocol's documentation, with one of two targets.
    let body = json!({
        "id": "42", "parameters": {"content_type": "pd"},
        "inputs": [
            {"name": "re", "shape": [2], "datatype": "FP64", "data": [1e5, 1.02e5]},
            {"name": "alpha", "shape": [2], "datatype": "FP64", "data": [2.0, 4.0]},
            {"name": "airfoil", "shape": [2], "datatype": "BYTES", "parameters": {"content_type": "str"}, "data": ["0012", "2412"]}],
        "outputs": [{"name": "cl"}]});
    let answer = api.post("/v2/models/polar/versions/1/infer", &body).await.expect(200);
    let expected = json!([{"name": "cl", "shape": [2, 1], "datatype": "FP64", "data": column("cl")}]);
    assert_eq!(answer["outputs"], expected);

    let class = json!({"instances": [{"x": 1.0, "z": 3, "y": 0.5}], "parameters": {"explain": true}});
    let answer = api.post("/v1/models/kinds:predict", &class).await.expect(200);
    let label = answer["predictions"][0].as_str().unwrap().to_owned();
    assert!(
        answer["probabilities"][0]["kind"][&label].is_number() && answer["sensitivities"][0].is_object(),
        "{answer}"
    );
    let number =
        |name: &str, value: f64| json!({"name": name, "shape": [1], "datatype": "FP64", "data": [value]});
    let body = json!({"inputs": [number("x", 1.0), number("z", 3.0), number("y", 0.5)], "parameters": {"explain": true}});
    let answer = api.post("/v2/models/kinds/infer", &body).await.expect(200);
    assert_eq!(output(&answer, "kind"), &json!([label]));
    for (name, n) in
        [("kind_probabilities", 3), ("kind_in_set", 3), ("kind_sensitivities", 3), ("warnings", 1)]
    {
        assert_eq!(output(&answer, name).as_array().unwrap().len(), n, "{name} of {answer}");
    }
}

#[tokio::test]
async fn texts_and_missing_values_are_read_as_in_the_training_file() {
    let api = Api::start(&[("TAQICFD_SERVED_MODEL", "perfil")]).await;
    let file = sample("perfil_ensaio.csv");
    api.model_of("perfil", file, &["Cl", "Cd"]).await;
    let row = |pressure: Value, angle: Value| json!({"Data": "15/03/2024", "Configuração": "liso", "Pressão": pressure, "Reynolds": 300_000, "Ângulo de ataque": angle, "Turbulência": 0.3});
    let ask = |row: Value| {
        let (api, body) = (&api, json!({"instances": [row]}));
        async move { api.post("/invocations", &body).await.expect(200)["predictions"].clone() }
    };
    let own = json!({"model": "perfil", "data": [row(json!(1012.5), json!(4.5))]});
    let expected = api.post("/predict", &own).await.expect(200)["predictions"].clone();
    assert_eq!(ask(row(json!("1012,5"), json!("4,5"))).await, expected, "a decimal comma, as in the file");
    let csv = "Data,Configuração,Pressão,Reynolds,Ângulo de ataque,Turbulência\n15/03/2024,liso,1012.5,300000,4.5,0.3\n";
    let answer = post_csv(&api, csv).await.expect(200);
    assert_eq!(answer["predictions"], expected, "CSV of programs has a decimal point");
    let commas = csv.replace("1012.5", "\"1012,5\"").replace("4.5", "\"4,5\"");
    assert_eq!(post_csv(&api, &commas).await.expect(200)["predictions"], expected);

    // `Pressão` was missing in the training; Python writes such a value as NaN, pandas as an empty cell.
    let missing = ask(row(Value::Null, json!(4.5))).await;
    assert_ne!(missing, expected);
    let nan = json!({"instances": [row(Value::Null, json!(4.5))]}).to_string().replace("null", "NaN");
    assert_eq!(api.post_text("/invocations", &nan).await.expect(200)["predictions"], missing);
    assert_eq!(api.post_text("/v1/models/perfil:predict", &nan).await.expect(200)["predictions"], missing);
    for text in ["", "NaN", "NA", "***"] {
        let csv = csv.replace("1012.5", text);
        assert_eq!(post_csv(&api, &csv).await.expect(200)["predictions"], missing, "{text:?}");
    }
    // Integers with a missing value: the classic failure of this protocol.
    let mut integers = json!({"dataframe_split": {"columns": [], "data": [[], []]}});
    for (name, value) in row(json!(1012), json!(4)).as_object().unwrap() {
        integers["dataframe_split"]["columns"].as_array_mut().unwrap().push(json!(name));
        let gap = if name == "Pressão" { Value::Null } else { value.clone() };
        integers["dataframe_split"]["data"][0].as_array_mut().unwrap().push(value.clone());
        integers["dataframe_split"]["data"][1].as_array_mut().unwrap().push(gap);
    }
    assert_eq!(
        api.post("/invocations", &integers).await.expect(200)["predictions"].as_array().unwrap().len(),
        2
    );
}

/// What is wrong, in the shape that the path's protocol gives it.
fn refused(path: &str, answer: Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{path}: {}", answer.body);
    assert_eq!(answer.header("content-type"), "application/json", "{path}: {answer:?}");
    assert!(!answer.header("x-request-id").is_empty());
    let body = answer.body.as_object().unwrap();
    let (field, n_fields) = if path.starts_with("/v") { ("error", 1) } else { ("message", 2) };
    assert_eq!(body.len(), n_fields, "{path}: {body:?}");
    if n_fields == 2 {
        let expected = match status {
            404 => "RESOURCE_DOES_NOT_EXIST",
            503 => "TEMPORARILY_UNAVAILABLE",
            500 => "INTERNAL_ERROR",
            _ => "BAD_REQUEST",
        };
        assert_eq!(body["error_code"], expected);
    }
    body[field].as_str().unwrap().to_owned()
}

/// The rows as each protocol has them: x, z and kind, as JSON texts.
fn bodies(rows: &[(&str, &str, &str)]) -> [(&'static str, String); 3] {
    let column = |of: fn(&(&str, &str, &str)) -> String| rows.iter().map(of).collect::<Vec<_>>().join(", ");
    let n = rows.len();
    let datatype = |text: &str| if text.starts_with('"') { "BYTES" } else { "FP64" };
    let first = rows.first().copied().unwrap_or(("1", "1", "\"a\""));
    let objects = column(|(x, z, kind)| format!("{{\"x\": {x}, \"z\": {z}, \"kind\": {kind}}}"));
    [
        ("/invocations", format!("{{\"dataframe_records\": [{objects}]}}")),
        ("/v1/models/waves:predict", format!("{{\"instances\": [{objects}]}}")),
        (
            "/v2/models/waves/infer",
            format!(
                "{{\"inputs\": [{{\"name\": \"x\", \"shape\": [{n}], \"datatype\": \"{}\", \"data\": [{}]}}, \
                     {{\"name\": \"z\", \"shape\": [{n}], \"datatype\": \"FP64\", \"data\": [{}]}}, \
                     {{\"name\": \"kind\", \"shape\": [{n}], \"datatype\": \"BYTES\", \"data\": [{}]}}]}}",
                datatype(first.0),
                column(|row| row.0.to_owned()),
                column(|row| row.1.to_owned()),
                column(|row| row.2.to_owned())
            ),
        ),
    ]
}

#[tokio::test]
async fn refusals_are_those_of_predict_in_the_words_of_the_protocol() {
    let api = Api::start(&[
        ("TAQICFD_MAX_BATCH_ROWS", "10"),
        ("TAQICFD_MAX_JSON", "64KiB"),
        ("TAQICFD_BODY_TIMEOUT_S", "0.5"),
    ])
    .await;
    api.model().await;
    let long = format!("\"{}\"", "y".repeat(70_000));
    for (row, status, part) in [
        (("null", "2", "\"a\""), 400, "row 0 (counted from 0): \"x\" has no value"), // P1
        (("\"abc\"", "2", "\"a\""), 400, "\"x\" cannot be the text \"abc\""),        // P3
        (("\"12,5\"", "2", "\"a\""), 400, "decimal comma is not accepted"),          // P4
        (("1", "2", "\"q\""), 400, "known are \"a\", \"b\", \"c\""),                 // P5
        (("Infinity", "2", "\"a\""), 400, "not valid JSON"),                         // P6
        (("1e999", "2", "\"a\""), 400, "not valid JSON"),
        (("1, \"x\": 1", "2", "\"a\""), 400, "\"x\""), // P10
        ((&long, "2", "\"a\""), 413, "TAQICFD_MAX_JSON"),
    ] {
        for (path, body) in bodies(&[row]) {
            if row.0.contains("\"x\": 1") && path.starts_with("/v2") {
                continue; // its data have no keys
            }
            let message = refused(path, api.post_text(path, &body).await, status);
            assert!(message.contains(part) || part == "\"x\"", "{path}: {message}");
        }
    }
    let fine = ("1", "2", "\"a\"");
    for (path, body) in bodies(&[fine; 11]) {
        let message = refused(path, api.post_text(path, &body).await, 413); // P8
        assert!(message.contains("one request may have 10"), "{message}");
    }
    for (path, body) in bodies(&[]) {
        let answer = api.post_text(path, &body).await.expect(200); // P9
        let values = if path.starts_with("/v2") { output(&answer, "y") } else { &answer["predictions"] };
        assert_eq!(values, &json!([]), "{path}");
    }
    for (path, body) in bodies(&[("1e6", "2", "\"a\"")]) {
        let answer = api.post_text(path, &body).await.expect(200); // P7
        let text = if path.starts_with("/v2") {
            output(&answer, "warnings")[0].to_string()
        } else {
            answer["warnings"].to_string()
        };
        assert!(text.contains("largest value seen in training"), "{path}: {text}");
    }
    for (path, body) in bodies(&[fine]) {
        let deep = format!("{{\"inputs\": {}{}}}", "[".repeat(20_000), "]".repeat(20_000));
        refused(path, api.post_text(path, &deep).await, 400); // P10
        refused(path, api.post_text(path, "").await, 400);
        refused(path, api.post_text(path, "{").await, 400);
        refused(path, api.post_text(path, "[1, 2]").await, 400);
        let request = |name: &'static str, value: &'static str| {
            api.request(Method::POST, path).header(name, value).body(body.clone())
        };
        refused(path, api.send(request("Content-Type", "text/plain")).await, 415);
        let gzip = request("Content-Encoding", "gzip").header("Content-Type", "application/json");
        assert!(refused(path, api.send(gzip).await, 415).contains("send it plain"));
        refused(
            path,
            api.send(request("Accept", "text/csv").header("Content-Type", "application/json")).await,
            406,
        );
        let put = api.send(api.request(Method::PUT, path)).await;
        assert!(put.header("allow").contains("POST"), "{put:?}");
        refused(path, put, 405);
        let drip = futures::stream::iter([Ok::<_, std::io::Error>(body.clone().into_bytes())]);
        let drip = futures::StreamExt::chain(drip, futures::stream::pending());
        let slow = api.request(Method::POST, path).header("Content-Type", "application/json");
        refused(path, api.send(slow.body(reqwest::Body::wrap_stream(drip))).await, 408);
    }
    for (path, body) in [
        ("/v1/models/none:predict", "{\"instances\": []}"),
        ("/v1/models/waves/versions/7:predict", "{\"instances\": []}"),
        ("/v1/models/waves/versions/x:predict", "{\"instances\": []}"),
        ("/v1/models/waves/labels/none:predict", "{\"instances\": []}"),
        ("/v2/models/none/infer", "{\"inputs\": []}"),
        ("/v2/models/waves/versions/7/infer", "{\"inputs\": []}"),
    ] {
        refused(path, api.post_text(path, body).await, 404); // P11
    }
    for path in [
        "/v1/models/none",
        "/v1/models/none/metadata",
        "/v1/nothing",
        "/v2/models/none",
        "/v2/models/none/ready",
        "/v2/nothing",
    ] {
        refused(path, api.get(path).await, 404);
    }
    refused("/v2", api.get("/v2/models/%ff").await, 400);
    refused("/v1", api.get("/v1/models/waves:predict").await, 405);
    refused("/v1", api.post_text("/v1/models/waves", "{}").await, 405);
    let message = refused("/v1", api.post_text("/v1/models/waves:classify", "{}").await, 400);
    assert!(message.contains(":predict"), "{message}");
    for (path, body, part) in [
        ("/v1/models/waves:predict", json!({"instances": [], "inputs": {}}), "either"),
        ("/v1/models/waves:predict", json!({"instances": [], "signature_name": "other"}), "serving_default"),
        ("/v1/models/waves:predict", json!({"instances": [], "parameters": {"colour": 1}}), "not known"),
        (
            "/v1/models/waves:predict",
            json!({"instances": [{"x": 1, "z": 1, "kind": "a", "e": 1}], "parameters": {"strict": true}}),
            "no input `e`",
        ),
        ("/invocations", json!({"data": []}), "data"),
        ("/invocations", json!({}), "exactly one of the input fields"),
        ("/invocations", json!({"instances": [], "inputs": {}}), "it holds 2"),
        ("/v2/models/waves/infer", json!({}), "inputs"),
        (
            "/v2/models/waves/infer",
            json!({"inputs": [], "outputs": [{"name": "u"}]}),
            "it has y, y_lower, y_upper",
        ),
        (
            "/v2/models/waves/infer",
            json!({"inputs": [{"name": "x", "shape": [2], "datatype": "FP64", "data": [1]}]}),
            "makes 2",
        ),
        (
            "/v2/models/waves/infer",
            json!({"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}, {"name": "z", "shape": [2], "datatype": "FP64", "data": [1, 2]}]}),
            "`x` has 1 values",
        ),
    ] {
        let message = refused(path, api.post(path, &body).await, 400);
        assert!(message.contains(part), "{path} {body}: {message}");
    }
    let ragged = post_csv(&api, "x,z,kind\n1,2\n").await;
    assert!(refused("/invocations", ragged, 400).contains("line 2 has 2 cells"));
    let headless = post_csv(&api, "1,2,a\n").await;
    assert!(refused("/invocations", headless, 400).contains("lacks x, z, kind"));
    for (path, allow) in [("/v1/models/waves", "GET, HEAD"), ("/v1/models/waves:predict", "POST")] {
        assert_eq!(api.delete(path).await.header("allow"), allow, "{path}");
    }
}

#[tokio::test]
async fn the_served_model_is_a_setting_or_the_only_one() {
    let api = Api::start(&[]).await;
    refused("/ping", api.get("/ping").await, 404);
    let body = json!({"instances": [{"x": 1, "z": 2, "kind": "a"}]});
    assert!(refused("/invocations", api.post("/invocations", &body).await, 404).contains("POST /train"));
    api.model().await;
    for path in ["/ping", "/health"] {
        let answer = api.request(Method::GET, path).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "\n"), "{path}");
    }
    let plain = api.request(Method::GET, "/version").header("Accept", "text/plain").send().await.unwrap();
    assert_eq!(plain.text().await.unwrap(), env!("CARGO_PKG_VERSION"));
    assert_eq!(api.get("/version").await.expect(200)["name"], "taqicfd");
    api.model_of("other", waves(150), &["y"]).await;
    for (path, answer) in
        [("/ping", api.get("/ping").await), ("/invocations", api.post("/invocations", &body).await)]
    {
        let message = refused(path, answer, 404);
        assert!(
            message.contains("\"other\", \"waves\"") && message.contains("TAQICFD_SERVED_MODEL"),
            "{message}"
        );
    }
    let named = Api::start(&[("TAQICFD_SERVED_MODEL", "waves/1")]).await;
    named.model().await;
    named.model_of("other", waves(150), &["y"]).await;
    named.model_of("waves", waves(190), &["y"]).await;
    assert_eq!(named.post("/invocations", &body).await.expect(200)["model_version"], "1");
    let gone = Api::start(&[("TAQICFD_SERVED_MODEL", "gone")]).await;
    gone.model().await;
    assert!(refused("/ping", gone.get("/ping").await, 404).contains("TAQICFD_SERVED_MODEL is \"gone\""));
}

#[tokio::test]
async fn models_are_described_listed_and_loaded() {
    let api = Api::start(&[]).await;
    let model = api.model().await;
    api.model_of("waves", waves(190), &["y"]).await;
    assert_eq!(api.get("/v2").await.expect(200)["name"], "taqicfd");
    assert_eq!(api.get("/v2/health/live").await.expect(200), json!({"live": true}));
    assert_eq!(api.get("/v2/health/ready").await.expect(200), json!({"ready": true}));
    let metadata = api.get("/v2/models/waves").await.expect(200);
    assert_eq!((&metadata["name"], &metadata["versions"]), (&json!("waves"), &json!(["1", "2"])));
    let expected = json!([
        {"name": "x", "datatype": "FP64", "shape": [-1]},
        {"name": "z", "datatype": "FP64", "shape": [-1]},
        {"name": "kind", "datatype": "BYTES", "shape": [-1]}
    ]);
    assert_eq!(metadata["inputs"], expected);
    assert_eq!(metadata["outputs"][0], json!({"name": "y", "datatype": "FP64", "shape": [-1]}));
    let properties = metadata["properties"].as_object().unwrap();
    assert!(properties.values().all(Value::is_string), "{properties:?}");
    assert_eq!(
        (&properties["kind.levels"], &properties["x.range"]),
        (&json!("[\"a\",\"b\",\"c\"]"), &json!("[0.0,18.9]"))
    );
    assert_eq!(api.get("/v2/models/waves/ready").await.expect(200), json!({"name": "waves", "ready": true}));
    let document = api.get("/v2/models/waves/versions/2/docs/dataplane.json").await.expect(200);
    assert!(document["paths"]["/v2/models/waves/versions/2/infer"]["post"].is_object(), "{document}");

    let status = api.get("/v1/models/waves").await.expect(200);
    let version = |version: &str| json!({"version": version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}});
    assert_eq!(status["model_version_status"], json!([version("2"), version("1")]));
    assert_eq!(
        api.get("/v1/models/waves/versions/1").await.expect(200)["model_version_status"],
        json!([version("1")])
    );
    for path in ["/v1/models", "/v2/models"] {
        assert_eq!(api.get(path).await.expect(200), json!({"models": ["waves"]}), "{path}");
    }
    let metadata = api.get("/v1/models/waves/metadata").await.expect(200);
    let signature = &metadata["metadata"]["signature_def"]["signature_def"]["serving_default"];
    assert_eq!(
        (&signature["inputs"]["kind"]["dtype"], &signature["outputs"]["y"]["dtype"]),
        (&json!("DT_STRING"), &json!("DT_DOUBLE"))
    );

    let post = |path: &'static str, body: &'static str| api.send(api.request(Method::POST, path).body(body));
    let entry = |version: &str, state: &str, reason: &str| json!({"name": "waves", "version": version, "state": state, "reason": reason});
    let both = json!([entry("1", "READY", ""), entry("2", "READY", "")]);
    assert_eq!(post("/v2/repository/index", "").await.expect(200), both);
    assert_eq!(post("/v2/repository/index", "{\"ready\": true}").await.expect(200), both);
    assert_eq!(post("/v2/repository/models/waves/load", "").await.expect(200), json!({}));
    assert_eq!(
        post("/v2/repository/models/waves/unload", "{\"parameters\": {\"unload_dependents\": true}}")
            .await
            .expect(200),
        json!({})
    );
    refused(
        "/v2",
        post("/v2/repository/models/waves/load", "{\"parameters\": {\"config\": \"{}\"}}").await,
        400,
    );
    refused("/v2", post("/v2/repository/models/none/load", "").await, 404);
    refused("/v2", post("/v2/repository/models/none/unload", "").await, 404);

    // A damaged file is said everywhere, and spoils its own version only.
    let file = api.folder.path().join(format!("models/{model}.safetensors"));
    std::fs::write(&file, b"not a model").unwrap();
    let body = json!({"instances": []});
    refused("/v1", api.post("/v1/models/waves/versions/1:predict", &body).await, 500);
    api.post("/v1/models/waves:predict", &body).await.expect(200);
    assert_eq!(api.get("/v2/models/waves/versions/1/ready").await.expect(503)["ready"], false);
    assert_eq!(
        api.get("/v1/models/waves/versions/1").await.expect(200)["model_version_status"][0]["status"]["error_code"],
        "DATA_LOSS"
    );
    let index = post("/v2/repository/index", "{\"ready\": true}").await.expect(200);
    assert_eq!(index, json!([entry("2", "READY", "")]));
}

#[tokio::test]
async fn tensors_travel_as_bytes_behind_the_json() {
    let api = Api::start(&[]).await;
    api.model().await;
    let json_part = json!({"inputs": [
        {"name": "x", "shape": [2], "datatype": "FP64", "parameters": {"binary_data_size": 16}},
        {"name": "z", "shape": [2], "datatype": "INT16", "data": [3, 2]},
        {"name": "kind", "shape": [2, 1], "datatype": "BYTES", "parameters": {"binary_data_size": 10}}],
        "outputs": [{"name": "y", "parameters": {"binary_data": true}}, {"name": "y_lower"}]})
    .to_string();
    let mut body = json_part.clone().into_bytes();
    body.extend([1.0_f64, 4.5].iter().flat_map(|x| x.to_le_bytes()));
    body.extend([1, 0, 0, 0, b'a', 1, 0, 0, 0, b'b']);
    let send = |body: Vec<u8>, length: usize| {
        let request = api
            .request(Method::POST, "/v2/models/waves/infer")
            .header("Inference-Header-Content-Length", length);
        request.body(body).send()
    };
    let answer = send(body.clone(), json_part.len()).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"application/octet-stream".parse().unwrap())
    );
    let length: usize =
        answer.headers()["inference-header-content-length"].to_str().unwrap().parse().unwrap();
    let bytes = answer.bytes().await.unwrap();
    let text: Value = serde_json::from_slice(&bytes[..length]).unwrap();
    assert_eq!(
        text["outputs"][0],
        json!({"name": "y", "shape": [2, 1], "datatype": "FP64", "parameters": {"binary_data_size": 16}})
    );
    assert!(text["outputs"][1]["data"].is_array());
    let values: Vec<f64> =
        bytes[length..].chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect();
    let rows = json!([{"x": 1.0, "z": 3, "kind": "a"}, {"x": 4.5, "z": 2, "kind": "b"}]);
    let own = api.post("/predict", &json!({"data": rows})).await.expect(200);
    assert_eq!(json!(values), json!([own["predictions"][0]["y"], own["predictions"][1]["y"]]));

    let cut = Answer::of(send(body[..body.len() - 3].to_vec(), json_part.len()).await.unwrap()).await;
    assert!(refused("/v2", cut, 400).contains("is said to have 10 bytes"));
    let mut longer = body.clone();
    longer.push(0);
    refused("/v2", Answer::of(send(longer, json_part.len()).await.unwrap()).await, 400);
    refused("/v2", Answer::of(send(body.clone(), body.len() + 1).await.unwrap()).await, 400);
    refused("/v2", Answer::of(send(body.clone(), json_part.len() + 1).await.unwrap()).await, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn published_clients_are_answered() {
    let Some(python) = python("requests, pandas, tritonclient.http", true) else { return };
    let said = ask_with(python).await;
    assert!(said.contains("requests: passed") && said.contains("tritonclient: passed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn published_clients_that_want_an_older_pandas_are_answered() {
    let modules = "requests, pandas, tritonclient.http, kserve, mlflow.pyfunc.scoring_server.client, scipy";
    let Some(python) = python(modules, false) else { return };
    let said = ask_with(python).await;
    assert!(said.contains("kserve: passed") && said.contains("mlflow: passed"), "{said}");
}

/// What `tests/clients/protocols.py` says of a server with the models that it asks.
async fn ask_with(python: PathBuf) -> String {
    let api = Api::start(&[("TAQICFD_SERVED_MODEL", "waves")]).await;
    api.model().await;
    let gaps: String = waves(200)
        .lines()
        .enumerate()
        .map(|(i, line)| if i % 9 == 5 { line[line.find(',').unwrap()..].to_owned() } else { line.to_owned() } + "\n")
        .collect();
    api.model_of("gaps", gaps, &["y"]).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/protocols.py");
    let url = api.server.url("");
    let output =
        tokio::task::spawn_blocking(move || std::process::Command::new(python).arg(script).arg(url).output());
    let output = output.await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}
