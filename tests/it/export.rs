//! Models in other forms, over HTTP.

use crate::api::Api;
use reqwest::{Method, Response};

mod card;
mod onnx;
mod torch;

async fn download(api: &Api, path: &str, header: Option<(&str, &str)>) -> Response {
    let request = api.request(Method::GET, path);
    let request = header.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_model_is_downloaded_as_onnx_with_validators_and_ranges() {
    let api = Api::start(&[]).await;
    let model = api.model().await;
    let path = format!("/model/{model}?format=onnx");
    let whole = download(&api, &path, None).await;
    assert_eq!(whole.status(), 200);
    assert!(whole.headers()["content-disposition"].to_str().unwrap().contains("waves-v1.onnx"));
    let etag = whole.headers()["etag"].to_str().unwrap().to_owned();
    let native = download(&api, &format!("/model/{model}"), None).await;
    assert_ne!(native.headers()["etag"].to_str().unwrap(), etag);
    let bytes = whole.bytes().await.unwrap();
    assert_eq!(download(&api, &path, Some(("If-None-Match", &etag))).await.status(), 304);
    let part = download(&api, &path, Some(("Range", "bytes=4-7"))).await;
    assert_eq!((part.status().as_u16(), part.bytes().await.unwrap()), (206, bytes.slice(4..8)));
    let again = download(&api, &path, None).await;
    assert_eq!(again.headers()["etag"].to_str().unwrap(), etag);
    assert_eq!(again.bytes().await.unwrap(), bytes, "the same bytes every time");
    let head = api.request(Method::HEAD, &path).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], bytes.len().to_string());

    let problem = api.get(&format!("/model/{model}?format=pickle")).await.refused(422, "invalid-parameter");
    assert!(problem["detail"].as_str().unwrap().contains("native, onnx, pt, py, card"), "{problem}");
    api.get("/model/none?format=onnx").await.refused(404, "model-not-found");
    let events = api.get("/events").await.expect(200);
    assert_eq!(events["events"][0]["details"]["format"], "onnx", "{events}");
}

/// Dates with times, booleans, categories of two, three and 41 levels, a number that is mostly 0; some missing.
fn mixed(n_rows: usize) -> String {
    let mut text = String::from("when,on,side,kind,x,rain,place,y,class\n");
    for i in 0..n_rows {
        let unless = |rest: usize, value: String| if i % 23 == rest { String::new() } else { value };
        let (on, side, kind) = (i * 7 % 3 == 0, i * 5 % 2, i * 11 % 3);
        let x = (i * 37 % n_rows) as f64 / n_rows as f64 * 4.0 - 2.0;
        let y = x.sin() * 10.0 + f64::from(on) + side as f64 * 2.0 - kind as f64 + (i as f64 / 20.0).cos();
        let when = format!("2024-{:02}-{:02} {:02}:30:00", 1 + i / 28 % 12, 1 + i % 28, i * 5 % 24);
        let cells = [
            unless(1, when),
            unless(2, if on { "true" } else { "false" }.to_owned()),
            unless(3, ["left", "right"][side].to_owned()),
            unless(4, ["a", "b", "ç"][kind].to_owned()),
            unless(5, format!("{x:.4}")),
            // Mostly one value, and many levels: both have an embedding of their own.
            if i % 5 == 0 { format!("{:.1}", (i * 29 % 97) as f64 / 10.0 + 0.1) } else { "0".to_owned() },
            format!("place {}", i * 17 % 41),
            format!("{y:.4}"),
            ["low", "mid", "high"][usize::from(y > -4.0) + usize::from(y > 4.0)].to_owned(),
        ];
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text
}
