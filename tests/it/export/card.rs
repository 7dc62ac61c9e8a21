//! The model card as a document.

use super::download;
use crate::api::{Api, id, sample};
use reqwest::Response;
use serde_json::{Value, json};

#[tokio::test]
async fn a_model_card_comes_as_json_markdown_or_html() {
    let api = Api::start(&[]).await;
    let dataset = id(&api.upload("perfil_ensaio.csv", sample("perfil_ensaio.csv")).await.body, "dataset_id");
    let request = json!({"dataset_id": dataset, "targets": ["Cl", "Cd"], "epochs": 4, "hidden_layers": [8],
        "model_name": "polar|<b>", "tags": {"campaign": "A"}});
    let model = id(&api.train(&request).await, "model_id");
    let of = |format: &'static str, accept: &'static str| {
        let path = format!("/model/{model}?format={format}");
        let api = &api;
        async move { download(api, &path, Some(("Accept", accept))).await }
    };
    let kind = |response: &Response| response.headers()["content-type"].to_str().unwrap().to_owned();

    let json = of("card", "*/*").await;
    assert_eq!((json.headers()["vary"].to_str().unwrap(), &*kind(&json)), ("accept", "application/json"));
    let json: Value = json.json().await.unwrap();
    assert_eq!(json["target_details"][0]["name"], "Cl");
    assert_eq!(json["dataset"]["read"]["decimal"], ",");
    assert!(json["dataset"]["preview"].is_null(), "no rows of the user");

    let markdown = of("card", "text/markdown").await;
    let etag = markdown.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(kind(&markdown), "text/markdown; charset=utf-8");
    let markdown = markdown.text().await.unwrap();
    assert_eq!(of("card.md", "*/*").await.text().await.unwrap(), markdown, "by name and by Accept");
    let of_etag =
        download(&api, &format!("/model/{model}?format=card.md"), Some(("If-None-Match", &etag))).await;
    assert_eq!(of_etag.status(), 304);
    assert!(markdown.starts_with("# Model card: polar\\|\\<b>, version 1\n"), "{markdown}");
    for part in [
        "The file perfil_ensaio.csv has 315 rows",
        "encoding windows-1252, delimiter \";\", decimal mark \",\"",
        "| Pressão | number | hPa |",
        "2024-03-11 to 2024-03-17",
        "left out: Nº (identifier)",
        "## Split",
        "## Preprocessing",
        "## Network",
        "| nearest neighbours |",
        "| Cl | 90 % |",
        "## What the answers depend on",
        "## Warnings",
        "## Versions and reproduction",
    ] {
        assert!(markdown.contains(part), "{part} is not in\n{markdown}");
    }

    let html = of("card", "text/html,application/xhtml+xml,*/*;q=0.8").await;
    assert_eq!(kind(&html), "text/html; charset=utf-8");
    assert!(html.headers()["content-disposition"].to_str().unwrap().starts_with("inline"));
    assert!(html.headers().contains_key("content-security-policy"));
    let html = html.text().await.unwrap();
    assert!(html.contains("aria-label=\"Cl: predicted against true, 63 rows\""), "{html}");
    assert!(html.contains("polar|&lt;b&gt;") && !html.contains("<b>"), "{html}");
    let refused = of("card", "image/png").await;
    assert_eq!(refused.status(), 406);

    // The card says how to make the model again; whoever does it gets the same file.
    let settings = markdown.split("```json").nth(1).unwrap().split("```").next().unwrap();
    let mut body: Value = serde_json::from_str(settings).unwrap();
    body["dataset_id"] = json!(dataset);
    let again = id(&api.train(&body).await, "model_id");
    let sha256 = |card: Value| id(&card, "sha256");
    let (first, second) =
        (api.get(&format!("/models/{model}")).await, api.get(&format!("/models/{again}")).await);
    assert_eq!(sha256(first.expect(200)), sha256(second.expect(200)));

    api.delete(&format!("/datasets/{dataset}")).await;
    let without = of("card.md", "*/*").await.text().await.unwrap();
    assert!(without.contains("The dataset has been deleted since"), "{without}");
}
