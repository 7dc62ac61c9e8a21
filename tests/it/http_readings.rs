//! Uploads that are read while their sender does not wait.

use crate::api::{Answer, Api, id, waves};
use reqwest::{Method, multipart};
use serde_json::{Value, json};

async fn begin(api: &Api, filename: &str, bytes: &str) -> Answer {
    let part = multipart::Part::text(bytes.to_owned()).file_name(filename.to_owned());
    let request = api.request(Method::POST, "/upload").header("Prefer", "respond-async");
    api.send(request.multipart(multipart::Form::new().part("file", part))).await
}

#[tokio::test]
async fn a_reading_is_followed_until_it_is_stored() {
    let api = Api::start(&[]).await;
    let answer = begin(&api, "waves.csv", &waves(2000)).await;
    let location = answer.header("location").to_owned();
    assert_eq!((answer.header("retry-after"), answer.header("preference-applied")), ("1", "respond-async"));
    let reading = answer.expect(202);
    assert_eq!(location, format!("/readings/{}", id(&reading, "reading_id")));
    assert_eq!((&reading["filename"], &reading["dataset_id"]), (&json!("waves.csv"), &Value::Null));

    let ended = api.get(&format!("{location}?wait=30")).await.expect(200);
    assert_eq!(
        (&ended["status"], &ended["rows"], &ended["progress"]),
        (&json!("stored"), &json!(2000), &json!(1.0))
    );
    assert!(ended["finished_at"].is_string() && ended["problem"].is_null(), "{ended}");
    let dataset = api.get(&format!("/datasets/{}", id(&ended, "dataset_id"))).await.expect(200);
    assert_eq!(dataset["rows"], 2000);
    assert_eq!(api.temp_files(), 0);

    let again = begin(&api, "waves.csv", &waves(2000)).await.expect(200);
    assert_eq!(again["duplicate_of"], dataset["dataset_id"], "known bytes are answered at once");
}

#[tokio::test]
async fn a_refused_reading_keeps_the_problem_that_a_waiting_sender_gets() {
    let api = Api::start(&[]).await;
    let ragged = "a,b,c\n1,2,3\n4,5\n6,7,8\n";
    let waited = api.upload("ragged.csv", ragged).await.refused(422, "malformed-csv");
    let location = begin(&api, "ragged.csv", ragged).await.header("location").to_owned();
    let ended = api.get(&format!("{location}?wait=30")).await.expect(200);
    assert_eq!(ended["status"], "refused");
    for field in ["type", "title", "status", "detail", "errors"] {
        assert_eq!(ended["problem"][field], waited[field], "{field}");
    }
    let request = api.request(Method::GET, &location).header("Accept-Language", "pt-BR");
    let in_portuguese = api.send(request).await.expect(200);
    assert_ne!(in_portuguese["problem"]["detail"], waited["detail"]);
    assert_eq!(api.get("/datasets").await.expect(200)["datasets"], json!([]));
    assert_eq!(api.temp_files(), 0);
}

#[tokio::test]
async fn a_key_begins_one_reading() {
    let api = Api::start(&[]).await;
    let send = || {
        let request =
            api.request(Method::POST, "/upload?filename=waves.csv").header("Prefer", "respond-async");
        api.send(request.header("Idempotency-Key", "once").header("Content-Type", "text/csv").body(waves(50)))
    };
    let (first, second) = (send().await, send().await);
    assert_eq!(first.header("location"), second.header("location"));
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (202, 202));
}

#[tokio::test]
async fn an_unknown_reading_is_not_found() {
    let api = Api::start(&[]).await;
    for id in ["01a20e30-da0f-77e9-82f1-4210edae0cd6", "x"] {
        api.get(&format!("/readings/{id}")).await.refused(404, "reading-not-found");
    }
}
