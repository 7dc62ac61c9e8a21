//! What can be asked of a dataset, and how its reading is changed, over HTTP.

use crate::api::{Api, id};
use serde_json::{Value, json};

/// `a` is `x` in another unit, `b` falls as a cube, `c` is no number.
fn curves() -> String {
    (0..30).fold("x,a,b,c\n".to_owned(), |text, i| {
        let x = f64::from(i * 7 % 30);
        let a = if i == 4 { "NA".to_owned() } else { format!("{:.1}", 1000.0 * x + 3.5) };
        format!("{text}{x:.1},{a},{:.1},{}\n", -x.powi(3), if i % 2 == 0 { "on" } else { "off" })
    })
}

#[tokio::test]
async fn correlations_of_all_columns_and_with_a_target() {
    let api = Api::start(&[]).await;
    let dataset = id(&api.upload("curves.csv", curves()).await.expect(201), "dataset_id");
    let address = format!("/datasets/{dataset}/correlations");
    let all = api.get(&address).await.expect(200);
    assert_eq!((&all["columns"], &all["rows_used"]), (&json!(["x", "a", "b"]), &json!(30)));
    let r = |value: &Value| value.as_f64().unwrap();
    assert!((r(&all["matrix"][0][1]) - 1.0).abs() < 1e-9);
    assert!((-0.95..-0.85).contains(&r(&all["matrix"][0][2])), "{all}");
    let ranks = api.get(&format!("{address}?method=spearman&target=b")).await.expect(200);
    assert_eq!((&ranks["target"], ranks.get("matrix")), (&json!("b"), None));
    assert!(ranks["with_target"].as_array().unwrap().iter().all(|value| r(value) < -0.99), "{ranks}");
    let wrong = api.get(&format!("{address}?target=X")).await.refused(422, "invalid-parameter");
    assert!(wrong["detail"].as_str().unwrap().contains("near it are x"), "{wrong}");
    api.get(&format!("{address}?method=kendall")).await.refused(422, "invalid-parameter");
    api.get("/datasets/0191e0c4-7a6b-7c3d-8e9f-0a1b2c3d4e5f/correlations")
        .await
        .refused(404, "dataset-not-found");
}

#[tokio::test]
async fn a_file_that_is_gone_for_good_is_no_reason_to_try_again() {
    let api = Api::start(&[]).await;
    let dataset = id(&api.upload("curves.csv", curves()).await.expect(201), "dataset_id");
    let stored: Vec<_> = walkdir(&api.folder.path().join("data"))
        .into_iter()
        .filter(|path| path.to_string_lossy().contains(&dataset))
        .collect();
    assert!(stored.len() >= 2, "{stored:?}");
    stored.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    for path in ["file", "rows", "correlations"] {
        api.get(&format!("/datasets/{dataset}/{path}")).await.refused(500, "file-missing");
    }
    api.post(&format!("/datasets/{dataset}/reread"), &json!({})).await.refused(500, "file-missing");
}

/// All files below `folder`.
fn walkdir(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walkdir(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_file_is_read_again_without_a_header_and_with_its_footer() {
    let api = Api::start(&[]).await;
    let text = "10;20;30\n1;2;3\n4;5;6\n7;8;9\nTotal;15;18\nSource: the office;;\n";
    let dataset = id(&api.upload("plain.csv", text).await.expect(201), "dataset_id");
    let address = format!("/datasets/{dataset}");
    let shape = |dataset: &Value| (dataset["rows"].clone(), dataset["columns"][0]["name"].clone());
    let codes = |dataset: &Value| -> Vec<String> {
        dataset["warnings"].as_array().unwrap().iter().map(|warning| id(warning, "code")).collect()
    };
    let first = api.get(&address).await.expect(200);
    assert!(codes(&first).contains(&"footer-left-out".to_owned()), "{first}");
    let again = |request: Value| {
        let (api, path) = (&api, format!("{address}/reread"));
        async move { api.post(&path, &request).await }
    };
    let bare = again(json!({"header_row": 0})).await.expect(201);
    assert_eq!((&bare["read"]["header_row"], &bare["rows"]), (&Value::Null, &json!(4)), "{bare}");
    let whole = again(json!({"header_row": 1, "keep_footer": true})).await.expect(201);
    assert_eq!(shape(&whole), (json!(5), json!("10")));
    assert!(!codes(&whole).contains(&"footer-left-out".to_owned()));
    again(json!({"header_row": -1})).await.refused(422, "invalid-parameter");
}

#[tokio::test]
async fn a_percentage_is_predicted_from_as_it_was_written() {
    let api = Api::start(&[]).await;
    let text = (0..60).fold("umidade;cd\n".to_owned(), |text, i| {
        format!("{text}{},5%;{},25\n", i * 7 % 60, (i * 7 % 60) * 2)
    });
    let dataset = id(&api.upload("u.csv", text).await.expect(201), "dataset_id");
    let request = json!({"dataset_id": dataset, "target": "cd", "epochs": 2, "preset": "fast"});
    let model = id(&api.train(&request).await, "model_id");
    let ask = |value: Value| {
        let request = json!({"model_id": model, "data": [{"umidade": value}]});
        let api = &api;
        async move { api.post("/predict", &request).await }
    };
    let expected = ask(json!(12.5)).await.expect(200);
    assert_eq!(ask(json!("12,5%")).await.expect(200)["predictions"], expected["predictions"]);
    assert_eq!(ask(json!("12,5")).await.expect(200)["predictions"], expected["predictions"]);
    ask(json!("12,5 kg")).await.refused(422, "wrong-type");
}
