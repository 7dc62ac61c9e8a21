//! The same answers for readers of English and of Portuguese: only what a person reads differs.

use crate::api::{Answer, Api, id, sample, waves};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::process::Command;

const BRAZIL: &str = "pt-BR,pt;q=0.9,en-US;q=0.8,en;q=0.7";

impl Api {
    async fn in_portuguese(&self, request: RequestBuilder) -> Answer {
        let answer = self.send(request.header("Accept-Language", BRAZIL)).await;
        assert_eq!((answer.header("content-language"), answer.header("vary")), ("pt-BR", "accept-language"));
        answer
    }

    async fn in_english(&self, request: RequestBuilder) -> Answer {
        let answer = self.send(request).await;
        assert_eq!((answer.header("content-language"), answer.header("vary")), ("en", "accept-language"));
        answer
    }

    /// Both answers to a request that changes nothing, and the texts that differ: pointer, Portuguese.
    async fn both(&self, method: Method, path: &str, body: Option<&Value>) -> Vec<(String, String)> {
        let request = || {
            let request = self.request(method.clone(), path).header("X-Request-Id", "same");
            body.map_or(request.try_clone().unwrap(), |body| request.json(body))
        };
        let english = self.in_english(request()).await;
        let portuguese = self.in_portuguese(request()).await;
        assert_eq!(english.status, portuguese.status);
        let mut texts = Vec::new();
        differences("", &english.body, &portuguese.body, &mut texts);
        texts
    }
}

/// Collects the texts that differ; everything else must be the same, in the same order.
fn differences(pointer: &str, english: &Value, portuguese: &Value, texts: &mut Vec<(String, String)>) {
    match (english, portuguese) {
        (Value::Object(one), Value::Object(other)) => {
            assert!(one.keys().eq(other.keys()), "{pointer}");
            for (key, value) in one {
                differences(&format!("{pointer}/{key}"), value, &other[key], texts);
            }
        }
        (Value::Array(one), Value::Array(other)) => {
            assert_eq!(one.len(), other.len(), "{pointer}");
            for (i, (value, other)) in one.iter().zip(other).enumerate() {
                differences(&format!("{pointer}/{i}"), value, other, texts);
            }
        }
        (Value::String(one), Value::String(other)) if one != other => {
            texts.push((pointer.to_owned(), other.clone()));
        }
        (one, other) => assert_eq!(one, other, "{pointer}"),
    }
}

fn check(texts: &[(String, String)], expected: &[(&str, &str)]) {
    for (pointer, text) in expected {
        let found = texts.iter().find(|(at, _)| at == pointer);
        assert_eq!(found.map(|(_, text)| text.as_str()), Some(*text), "{pointer} in {texts:#?}");
    }
}

#[tokio::test]
async fn a_brazilian_spreadsheet_is_explained_in_portuguese() {
    let api = Api::start(&[]).await;
    let dataset =
        id(&api.upload("perfil_ensaio.csv", sample("perfil_ensaio.csv")).await.expect(201), "dataset_id");
    let texts = api.both(Method::GET, &format!("/datasets/{dataset}"), None).await;
    check(
        &texts,
        &[
            (
                "/read/reasons/decimal",
                "6 de 6 colunas com separador nos números confirmam isso, como em 1011,7",
            ),
            ("/read/reasons/delimiter", "divide a maioria das linhas em 9 células completas"),
            ("/read/reasons/encoding", "não é UTF-8 a partir da linha 2; suas letras parecem windows-1252"),
            (
                "/read/reasons/header_row",
                "tem palavras sobre 8 colunas de números ou datas; 4 linhas acima são títulos ou observações",
            ),
            (
                "/read/reasons/units_row",
                "a linha abaixo do cabeçalho tem textos curtos sobre colunas de números",
            ),
            ("/columns/0/reason", "todos os valores são datas ou horas escritas como %d/%m/%Y"),
            ("/columns/3/reason", "todos os 312 valores são números"),
        ],
    );
    // Nothing that a person reads is left in English, and nothing else was touched.
    let n_columns = 9;
    let reasons = texts.iter().filter(|(at, _)| at.ends_with("/reason")).count();
    assert_eq!(reasons, n_columns, "{texts:#?}");
    assert!(
        texts.iter().all(|(at, _)| ["/reason", "/message"].iter().any(|end| at.ends_with(end))
            || at.starts_with("/read/reasons/")),
        "{texts:#?}"
    );
}

#[tokio::test]
async fn refusals_are_in_portuguese_from_title_to_issues() {
    let api = Api::start(&[]).await;
    let upload = |filename: &str, bytes: &[u8]| {
        let part = reqwest::multipart::Part::bytes(bytes.to_vec()).file_name(filename.to_owned());
        api.request(Method::POST, "/upload").multipart(reqwest::multipart::Form::new().part("file", part))
    };
    let ragged = api.in_portuguese(upload("r.csv", b"a;b;c\n1;2;3\n4;5;6\n7;8\n9;1;2\n3;4;5\n")).await;
    let ragged = ragged.refused(422, "malformed-csv");
    assert_eq!(ragged["title"], "Não foi possível ler a tabela");
    assert_eq!(
        ragged["detail"],
        "a tabela tem 3 colunas, mas 1 linha tem outro número de células (linha 4). Corrija essa linha; onde o \
         texto contém o separador, ponha-o entre aspas. Se o cabeçalho estiver em outro lugar, informe a linha dele \
         (header_row=)"
    );
    assert_eq!(ragged["errors"][0]["message"], "2 células em vez de 3");
    let two = api.in_portuguese(upload("two.csv", b"Re;k\n1.116;a\n1.217;b\n1.318;a\n")).await;
    let two = two.refused(422, "ambiguous-number-format");
    assert_eq!(
        two["detail"],
        "'1.116' na coluna 'Re' pode ser lido de duas maneiras, com separador decimal ou com separador de milhar, e \
         nenhum outro número do arquivo resolve a dúvida. Envie-o de novo com decimal=. ou decimal=,"
    );
    assert_eq!(
        (&two["errors"][0]["message"], &two["errors"][0]["value"]),
        (&json!("duas leituras possíveis"), &json!("1.116"))
    );
    let picture = api.in_portuguese(upload("x.csv", b"\x89PNG\r\n\x1a\n....")).await;
    assert_eq!(
        picture.refused(415, "unsupported-media-type")["detail"],
        "o conteúdo enviado é uma imagem PNG, e não uma tabela; envie a própria tabela. São lidas tabelas de texto (.csv, .tsv, \
         .txt, .dat) e planilhas (.xlsx, .xlsm, .xlsb, .xls, .ods)"
    );

    let unknown = json!({"model": "detail", "data": []});
    let unknown = api.both(Method::POST, "/predict", Some(&unknown)).await;
    check(
        &unknown,
        &[
            ("/title", "Este modelo não existe"),
            ("/detail", "não existe um modelo chamado \"detail\"; GET /models lista os modelos"),
        ],
    );
    let none = api.in_portuguese(api.request(Method::GET, "/nowhere")).await.refused(404, "not-found");
    assert_eq!(none["detail"], "nenhuma rota tem este endereço; veja as rotas em /");
    for (path, detail) in [
        ("/models?limit=0", "`limit`: deve ser de 1 a 500"),
        ("/models?task=x", "`task`: deve ser regression ou classification"),
    ] {
        let refused =
            api.in_portuguese(api.request(Method::GET, path)).await.refused(422, "invalid-parameter");
        assert_eq!(refused["detail"], detail, "{path}");
    }
    let unknown = api.both(Method::GET, "/models?colour=red", None).await;
    let detail =
        "consulta: colour: campo desconhecido `colour`, esperava-se um destes: `task`, `dataset_id`, ";
    assert!(unknown.iter().any(|(at, text)| at == "/detail" && text.starts_with(detail)), "{unknown:#?}");
    // The clients of other serving programs get their own shapes, in the same language.
    for (path, at) in [("/v1/models/none:predict", "/error"), ("/v2/models/none/infer", "/error")] {
        let refused = api.both(Method::POST, path, Some(&json!({"instances": [], "inputs": []}))).await;
        assert!(
            refused.iter().any(|(found, text)| found == at && !text.contains(" is ")),
            "{path}: {refused:#?}"
        );
    }
    for (body, detail) in [
        (
            "{\"data\": ",
            "o corpo não é um JSON válido: o texto termina no meio de um valor na linha 1, coluna 9",
        ),
        (
            "{\"a\": 1, \"a\": 2}",
            "o corpo não é um JSON válido: a chave `a` aparece duas vezes na linha 1, coluna 12",
        ),
        (
            "{\"data\": [{\"x\": NaN}]}",
            "o corpo não é um JSON válido: falta um valor na linha 1, coluna 17; JSON não tem NaN nem Infinity, \
             escreva null para um valor ausente",
        ),
    ] {
        let request =
            api.request(Method::POST, "/predict").header("Content-Type", "application/json").body(body);
        let refused = api.in_portuguese(request).await.refused(400, "malformed-json");
        assert_eq!(refused["detail"], detail, "{body}");
    }
}

#[tokio::test]
async fn a_training_and_its_predictions_are_told_in_portuguese() {
    let api = Api::start(&[]).await;
    let table = waves(200).replace("x,z,kind,y", "message,z,kind,y");
    let dataset = id(&api.upload("waves.csv", table).await.expect(201), "dataset_id");
    let wrong = json!({"dataset_id": dataset, "target": "y", "epochs": 0, "dropout": 2, "task": "x"});
    let wrong = api.both(Method::POST, "/train", Some(&wrong)).await;
    check(
        &wrong,
        &[("/detail", "\"task\" é \"x\"; os valores permitidos são auto, regression, classification")],
    );
    let wrong = json!({"dataset_id": dataset, "target": "Y", "epochs": "many"});
    check(
        &api.both(Method::POST, "/train", Some(&wrong)).await,
        &[("/detail", "`epochs`: tipo inválido: texto \"many\", esperava-se um número inteiro")],
    );
    let dry = json!({"tags": {"message": "two readings"}});
    check(
        &api.both(Method::POST, "/train?dry_run=true", Some(&dry)).await,
        &[
            (
                "/warnings/0/message",
                &format!(
                    "nenhum dataset_id foi informado; é usado o conjunto de dados mais recente, \"waves\" ({dataset})"
                ),
            ),
            (
                "/warnings/1/message",
                "nenhum alvo foi indicado: será prevista \"y\", a última coluna utilizável",
            ),
        ],
    );

    let request = json!({"target": "y", "epochs": 5, "hidden_layers": [8], "model_name": "waves"});
    let training = api.train(&request).await;
    let path = format!("/trainings/{}", id(&training, "training_id"));
    check(&api.both(Method::GET, &path, None).await, &[("/message", "concluído")]);
    let logs = api.both(Method::GET, &format!("{path}/logs"), None).await;
    assert!(logs.iter().any(|(_, text)| text.starts_with("rede 1 de 10: a época ")), "{logs:#?}");
    let follow = api.request(Method::GET, &format!("{path}/events")).header("Accept", "text/event-stream");
    let events = follow.header("Accept-Language", "pt").send().await.unwrap();
    assert_eq!(events.headers()["content-language"], "pt-BR");
    let events = events.text().await.unwrap();
    assert!(events.contains("event: end") && events.contains("\"message\":\"concluído\""), "{events}");

    let ask = |row: Value| json!({"model": "waves", "data": [row]});
    let far = ask(json!({"message": 1e6, "z": 2, "kind": "a", "extra": 1}));
    let texts = api.both(Method::POST, "/predict", Some(&far)).await;
    check(
        &texts,
        &[
            ("/warnings/0/message", "o modelo não tem a entrada `extra`; o campo foi ignorado"),
            (
                "/warnings/1/message",
                "message = 1000000 está acima de 19.9, o maior valor visto no treinamento",
            ),
        ],
    );
    let file = api.request(Method::POST, "/predict?model=waves").header("Content-Type", "text/csv");
    let file = file.header("Accept-Language", "pt").body("message,z,kind\n1e6,2,a\n").send().await.unwrap();
    assert_eq!(file.headers()["content-language"], "pt-BR");
    let file = file.text().await.unwrap();
    assert!(
        file.contains("message = 1000000 está acima de 19.9, o maior valor visto no treinamento"),
        "{file}"
    );
    let unknown = ask(json!({"message": 1, "z": 2, "kind": "q"}));
    check(
        &api.both(Method::POST, "/predict", Some(&unknown)).await,
        &[
            ("/title", "O modelo não conhece esta categoria"),
            (
                "/errors/0/message",
                "kind = \"q\" nunca apareceu no treinamento; as conhecidas são \"a\", \"b\", \"c\"; ou defina \
                 unknown_category como \"missing\" ou \"nearest\"",
            ),
        ],
    );
    let comma = ask(json!({"message": "12,5", "z": 2, "kind": "a"}));
    let comma = api.both(Method::POST, "/predict", Some(&comma)).await;
    assert!(
        comma[2].1.starts_with("\"message\" não pode ser o texto \"12,5\"; envie um número JSON, como ")
            && comma[2]
                .1
                .ends_with("; a vírgula decimal não é aceita porque o arquivo de treinamento usava o ponto"),
        "{comma:#?}"
    );
}

#[tokio::test]
async fn pages_are_in_portuguese_and_programs_are_served_as_before() {
    let api = Api::start(&[]).await;
    let page = |path: &str, language: &'static str| {
        let request = api.request(Method::GET, path).header("Accept", "text/html");
        async move { request.header("Accept-Language", language).send().await.unwrap().text().await.unwrap() }
    };
    let problem = page("/problems/unknown-column", BRAZIL).await;
    for part in
        ["<html lang=\"pt-BR\">", "<h1>Esta coluna não existe</h1>", "status HTTP 422", "Como resolver"]
    {
        assert!(problem.contains(part), "{part}: {problem}");
    }
    assert!(page("/problems/unknown-column", "en").await.contains("<h1>There is no such column</h1>"));
    assert!(page("/problems", "pt").await.contains("O que pode dar errado"));
    assert!(page("/", "pt").await.contains("treinar uma rede com ela"));
    // No page keeps a word of English that its kind was described with.
    let listed = page("/problems", "pt").await;
    assert!(!listed.contains("There is") && !listed.contains("The "), "{listed}");

    let get = |method: Method, path: &str| {
        let request = api.request(method, path).header("Accept-Language", "pt");
        async move { request.send().await.unwrap() }
    };
    let description = get(Method::GET, "/openapi.json").await;
    assert!(!description.headers().contains_key("content-language"));
    assert_eq!(
        description.text().await.unwrap(),
        api.request(Method::GET, "/openapi.json").send().await.unwrap().text().await.unwrap()
    );
    let head = get(Method::HEAD, "/models").await;
    assert_eq!(
        (head.status().as_u16(), &head.headers()["content-language"]),
        (200, &"pt-BR".parse().unwrap())
    );
    assert_eq!(get(Method::GET, "/healthz").await.status(), 200);
}

#[test]
fn the_command_line_speaks_the_language_of_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("waves.csv"), waves(200)).unwrap();
    let run = |arguments: &[&str], locale: (&str, &str)| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taqicfd"));
        command.args(arguments).current_dir(folder.path()).env_clear().env(locale.0, locale.1);
        let output = command.output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let train = ["train", "waves.csv", "--epochs", "2", "--preset", "fast"];
    let told = run(&train, ("LANG", "pt_BR.UTF-8"));
    assert!(told.contains("nota: nenhum alvo foi indicado: será prevista \"y\""), "{told}");
    assert!(told.contains("200 linhas, ") && told.contains("modelo gravado em "), "{told}");
    let refused = run(&["train", "waves.csv", "--target", "Y"], ("LC_ALL", "pt_BR"));
    assert_eq!(refused, "erro: não existe a coluna \"Y\"; os nomes mais parecidos são \"y\", \"x\", \"z\"\n");
    let refused = run(&["train", "waves.csv", "--target", "Y"], ("LANG", "C.UTF-8"));
    assert_eq!(refused, "error: there is no column \"Y\"; the nearest names are \"y\", \"x\", \"z\"\n");
}
