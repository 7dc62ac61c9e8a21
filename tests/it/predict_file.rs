//! Spreadsheets as the body of `POST /predict`, over HTTP.

use crate::api::{Answer, Api, sample, waves};
use reqwest::{Method, RequestBuilder, multipart};
use serde_json::{Value, json};

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

fn send(api: &Api, query: &str, media_type: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    api.request(Method::POST, &format!("/predict?{query}")).header("Content-Type", media_type).body(body)
}

/// Status, content type and bytes.
async fn answered(request: RequestBuilder) -> (u16, String, Vec<u8>) {
    let answer = request.send().await.unwrap();
    let media_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (answer.status().as_u16(), media_type, answer.bytes().await.unwrap().to_vec())
}

/// The lines of a CSV answer.
async fn csv(request: RequestBuilder) -> Vec<String> {
    let (status, media_type, bytes) = answered(request).await;
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!((status, media_type.as_str()), (200, "text/csv; charset=utf-8; header=present"), "{text}");
    let text = text.strip_prefix('\u{feff}').expect("a byte order mark, for Excel");
    text.strip_suffix("\r\n").unwrap().split("\r\n").map(str::to_owned).collect()
}

#[tokio::test]
async fn a_file_comes_back_in_its_own_spelling_with_the_answers() {
    let api = Api::start(&[]).await;
    let file = sample("perfil_ensaio.csv");
    api.model_of("perfil", file.clone(), &["Cl", "Cd"]).await;
    let lines = csv(send(&api, "model=perfil&filename=perfil.csv", "text/csv", file.clone())).await;
    let header = "Data;Nº;Configuração;Pressão;Reynolds;Ângulo de ataque;Turbulência;Cl;Cd;Cl_predicted;Cl_lower;Cl_upper;\
        Cd_predicted;Cd_lower;Cd_upper;in_domain;warnings";
    assert_eq!((lines[0].as_str(), lines.len()), (header, 316));
    assert!(lines[1].starts_with("11/03/2024;1;liso;1011,7;302.871;-6,0;0,5;-0,394;0,0105;"), "{}", lines[1]);
    assert!(lines.iter().any(|line| line.contains(";***;")), "the mark for missing stays");
    let row = json!({"Data": "11/03/2024", "Configuração": "liso", "Pressão": "1011,7", "Reynolds": "302.871",
        "Ângulo de ataque": "-6,0", "Turbulência": "0,5"});
    let own = api.post("/predict", &json!({"model": "perfil", "data": [row]})).await.expect(200);
    let comma = |value: &Value| value.to_string().replace('.', ",");
    let expected = [
        comma(&own["predictions"][0]["Cl"]),
        comma(&own["intervals"][0]["Cl"]["lower_bound"]),
        comma(&own["intervals"][0]["Cl"]["upper_bound"]),
        comma(&own["predictions"][0]["Cd"]),
    ];
    assert_eq!(lines[1].split(';').skip(9).take(4).collect::<Vec<_>>(), expected);
    assert_eq!(lines[1].split(';').nth(15), Some("true"));

    // As a workbook, which is read back, and asked with again: the same answers.
    let (status, media_type, bytes) =
        answered(send(&api, "model=perfil", "text/csv", file).header("Accept", XLSX)).await;
    assert_eq!((status, media_type.as_str()), (200, XLSX));
    let uploaded = api.upload("answers.xlsx", bytes.clone()).await.expect(201);
    assert_eq!((&uploaded["rows"], uploaded["columns"].as_array().unwrap().len()), (&json!(315), 17));
    assert_eq!(uploaded["preview"][0]["Data"], "2024-03-11T00:00:00Z");
    assert_eq!(uploaded["preview"][0]["Cl_predicted"], own["predictions"][0]["Cl"]);
    let part = multipart::Part::bytes(bytes).file_name("answers.xlsx");
    let form = multipart::Form::new()
        .part("file", part)
        .text("model", "perfil")
        .text("missing", "***")
        .text("confidence", "0.8");
    let request = api.request(Method::POST, "/predict").header("Accept", "text/csv").multipart(form);
    let again = csv(request).await;
    assert!(
        again[0].ends_with(
            ";Cl_predicted_;Cl_lower_;Cl_upper_;Cd_predicted_;Cd_lower_;Cd_upper_;in_domain_;warnings_"
        ),
        "{}",
        again[0]
    );
    // A workbook has no marks of its own: those of the training file are its reader's.
    let cells: Vec<&str> = again[1].split(';').collect();
    assert_eq!(cells[17], comma(&own["predictions"][0]["Cl"]));
    assert_eq!(api.temp_files(), 0, "nothing of the files is kept");
    assert_eq!(api.get("/datasets").await.expect(200)["datasets"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn cells_cannot_run_and_classes_are_told_with_their_probabilities() {
    let api = Api::start(&[]).await;
    api.model_of("kinds", waves(200), &["kind"]).await;
    let table = "x,z,y,note,=name\n1.5,3,0.5,=1+1,@x\n2.5,4,0.75,-1,\"a, \"\"b\"\"\"\n";
    let request = send(&api, "model=kinds&filename=..%2Fn%C3%BAmeros.csv", "text/csv", table);
    let answer = request.try_clone().unwrap().send().await.unwrap();
    let disposition = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(disposition.ends_with("filename*=UTF-8''n%C3%BAmeros_predictions.csv"), "{disposition}");
    assert!(answer.headers()["link"].to_str().unwrap().contains("rel=\"describedby\""));
    let lines = csv(request).await;
    assert_eq!(lines[0], "x,z,y,note,'=name,kind_predicted,kind_probability,kind_set,in_domain,warnings");
    assert!(lines[1].starts_with("1.5,3,0.5,'=1+1,'@x,"), "{}", lines[1]);
    assert!(lines[2].starts_with("2.5,4,0.75,-1,\"a, \"\"b\"\"\","), "{}", lines[2]);
    let cells: Vec<&str> = lines[2].rsplit("\"\"\",").next().unwrap().split(',').collect();
    assert!(["a", "b", "c"].contains(&cells[0]) && cells[1].parse::<f64>().unwrap() <= 1.0, "{cells:?}");
    let json = api
        .send(send(&api, "model=kinds", "text/csv", table).header("Accept", "application/json"))
        .await
        .expect(200);
    assert_eq!(json["predictions"][1]["kind"], cells[0]);
    let tabs = "x\tz\ty\n1.5\t3\t0.5\n2.5\t4\t0.75\n";
    assert!(
        csv(send(&api, "model=kinds", "text/tab-separated-values", tabs)).await[1]
            .starts_with("1.5\t3\t0.5\t")
    );
}

#[tokio::test]
async fn files_that_cannot_be_answered_are_refused_with_the_way_out() {
    let api = Api::start(&[("TAQICFD_MAX_UPLOAD", "64KiB")]).await;
    let fine = "x,z,kind\n1,2,a\n2,3,b\n";
    api.send(send(&api, "", "text/csv", fine)).await.refused(404, "model-not-found");
    api.model_of("waves", waves(200), &["y"]).await;
    let ask = |query: &'static str, body: &'static str| api.send(send(&api, query, "text/csv", body));
    let lacks = ask("", "x,kind\n1,a\n2,b\n").await.refused(422, "missing-field");
    assert!(lacks["detail"].as_str().unwrap().contains("lacks the columns z; it has x, kind"), "{lacks}");
    let unknown = ask("", "x,z,kind\n1,2,a\n2,3,q\n").await.refused(422, "unknown-category");
    assert!(unknown["detail"].as_str().unwrap().starts_with("row 1 (counted from 0)"), "{unknown}");
    let (status, _, _) =
        answered(send(&api, "unknown_category=missing", "text/csv", "x,z,kind\n1,2,a\n2,3,q\n")).await;
    assert_eq!(status, 200);
    ask("model=none", fine).await.refused(404, "model-not-found");
    ask("model_id=none", fine).await.refused(404, "model-not-found");
    ask("confidence=2", fine).await.refused(422, "invalid-parameter");
    ask("unknown_category=x", fine).await.refused(422, "invalid-parameter");
    ask("name=x", fine).await.refused(422, "invalid-parameter");
    ask("colour=red", fine).await.refused(422, "invalid-parameter");
    ask("", "").await.refused(400, "missing-body");
    ask("", "x,z,kind\n").await.refused(422, "empty-file");
    api.send(send(&api, "", "text/csv", "y".repeat(70_000))).await.refused(413, "body-too-large");
    api.send(send(&api, "", XLSX, "PK\u{3}\u{4}nonsense")).await.refused(415, "unsupported-media-type");
    api.send(send(&api, "", "text/plain", fine)).await.refused(415, "unsupported-media-type");
    api.send(send(&api, "", "text/csv", fine).header("Accept", "image/png"))
        .await
        .refused(406, "not-acceptable");
    let json_as_csv =
        api.request(Method::POST, "/predict").header("Accept", "text/csv").json(&json!({"data": []}));
    api.send(json_as_csv).await.refused(406, "not-acceptable");
    let form = multipart::Form::new().text("model", "waves");
    let without = api.request(Method::POST, "/predict").multipart(form).send().await.unwrap();
    Answer::of(without).await.refused(400, "malformed-multipart");
    assert_eq!(api.temp_files(), 0);
}

/// Measurements as Excel writes them in Brazil, with a row of units, and words of which few files hold all.
fn tunnel(n_rows: usize) -> String {
    let row = |i: usize| {
        let flag = ["VERDADEIRO", "FALSO", "talvez"][i % 3];
        let (t, v) = (15.0 + (i % 40) as f64 * 0.5, 5.0 + (i * 7 % 30) as f64 * 0.25);
        let lift = 0.1 * t + 0.02 * v + (i % 3) as f64;
        format!("{t:.1};{v:.2};{flag};{lift:.3}\n").replace('.', ",")
    };
    format!("T;V;flag;Cl\n°C;m/s;;\n{}", (0..n_rows).map(row).collect::<String>())
}

#[tokio::test]
async fn what_a_file_leaves_open_is_read_as_in_the_training() {
    let api = Api::start(&[]).await;
    api.model_of("tunnel", tunnel(200), &["Cl"]).await;
    // Whole numbers show no decimal mark, two equal words no category, and equal cells keep their spelling.
    let lines =
        csv(send(&api, "model=tunnel", "text/csv", "T;V;flag\n20;10,50;VERDADEIRO\n30;10,50;VERDADEIRO\n"))
            .await;
    assert!(lines[1].starts_with("20;10,50;VERDADEIRO;") && !lines[1].contains('.'), "{}", lines[1]);
    let lines = csv(send(&api, "model=tunnel", "text/csv", "T;V;flag\n20;10;FALSO\n30;11;FALSO\n")).await;
    let answer: Vec<&str> = lines[1].split(';').collect();
    let row = json!({"T": 20, "V": 10, "flag": "FALSO"});
    let own = api.post("/predict", &json!({"model": "tunnel", "data": [row]})).await.expect(200);
    assert_eq!(answer[3].replace(',', "."), own["predictions"][0]["Cl"].to_string());

    let other_units = "T;V;flag\n°F;m/s;\n70,0;10,0;FALSO\n71,5;9,5;FALSO\n";
    let refused =
        api.send(send(&api, "model=tunnel", "text/csv", other_units)).await.refused(422, "unit-mismatch");
    assert!(
        refused["detail"].as_str().unwrap().contains("T (°F), and the model was trained on T (°C)"),
        "{refused}"
    );
    let same_units = "T;V;flag\nºC;m / s;\n20,0;10,0;FALSO\n21,5;9,5;FALSO\n";
    assert_eq!(csv(send(&api, "model=tunnel", "text/csv", same_units)).await.len(), 3);
}

#[tokio::test]
async fn what_was_noticed_in_a_file_is_told_with_the_answer() {
    let api = Api::start(&[]).await;
    api.model_of("tunnel", tunnel(200), &["Cl"]).await;
    let table = "T;V;flag\n20,5;10,5;FALSO\n21,5;9,5;talvez\n22,5;9,5;talvez\nTotal;29,5;\n";
    let answer = send(&api, "model=tunnel", "text/csv", table).send().await.unwrap();
    assert_eq!(answer.headers()["taqicfd-file-warnings"], "footer-left-out");
    assert_eq!(answer.text().await.unwrap().trim_end().lines().count(), 4, "without the total");
    let beside =
        "T;V;flag;;p;q\n20,5;10,5;FALSO;;1;2\n21,5;9,5;talvez;;2;3\n22,5;9,5;talvez;;;\n23,5;9,5;FALSO;;;\n";
    let answer = send(&api, "model=tunnel", "text/csv", beside).send().await.unwrap();
    assert_eq!(answer.headers()["taqicfd-file-warnings"], "table-beside-left-out");
    let as_json = send(&api, "model=tunnel", "text/csv", table).header("Accept", "application/json");
    let as_json = api.send(as_json).await.expect(200);
    assert_eq!(as_json["file_warnings"][0]["code"], "footer-left-out", "{as_json}");
    let job = send(&api, "model=tunnel", "text/csv", table).header("Prefer", "respond-async, wait=60");
    let job = api.send(job).await.expect(200);
    assert_eq!((&job["status"], &job["file_warnings"]), (&json!("succeeded"), &as_json["file_warnings"]));
}
