//! Blobs in local folders and on a server that speaks S3, in process, over real HTTP: one suite.

use bytes::Bytes;
use chrono::{DateTime, TimeZone, Utc};
use futures::TryStreamExt;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use std::{net::SocketAddr, path::Path, time::Duration};
use taqicfd::{
    id::{DatasetId, ModelId, TrainingId},
    storage::{Area, BlobKey, BlobSettings, Blobs, S3Settings, StorageError},
};
use tempfile::TempDir;

const BUCKET: &str = "taqicfd";

/// A store and where its files are.
struct Place {
    blobs: Blobs,
    folder: TempDir,
}

fn local() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let settings = BlobSettings::Local {
        data_dir: folder.path().join("data"),
        models_dir: folder.path().join("models"),
    };
    Place { blobs: Blobs::open(&settings).unwrap(), folder }
}

/// An S3 server on a free port; it checks signatures.
pub(crate) async fn s3_server(root: &Path) -> SocketAddr {
    std::fs::create_dir(root.join(BUCKET)).unwrap();
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).unwrap());
    builder.set_auth(SimpleAuth::from_single("key", "secret"));
    let service = builder.build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                drop(server.serve_connection(TokioIo::new(socket), service).await);
            });
        }
    });
    address
}

pub(crate) fn s3_settings(address: SocketAddr) -> S3Settings {
    S3Settings {
        bucket: BUCKET.into(),
        prefix: Some("team/a".into()),
        region: "us-east-1".into(),
        endpoint: Some(format!("http://{address}")),
        access_key_id: Some("key".into()),
        secret_access_key: Some("secret".into()),
        session_token: None,
        path_style: true,
        allow_http: true,
        retry_for: Duration::from_millis(500),
    }
}

async fn s3() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let address = s3_server(folder.path()).await;
    Place { blobs: Blobs::open(&BlobSettings::S3(s3_settings(address))).unwrap(), folder }
}

macro_rules! on_both_stores {
    ($($name:ident),* $(,)?) => {
        mod on_local {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::local()).await;
            })*
        }
        mod on_s3 {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::s3().await).await;
            })*
        }
    };
}

on_both_stores!(
    bytes_come_back_as_they_were,
    a_file_of_many_parts_comes_back_as_it_was,
    what_is_not_there_is_none,
    each_area_lists_its_own_blobs,
    the_readiness_check_passes,
);

async fn bytes_come_back_as_they_were(Place { blobs, folder }: Place) {
    let key = BlobKey::Original(DatasetId::new());
    let bytes = Bytes::from_static(b"Re;alpha;Cd\n100000;4,5;0,0121\n");
    assert_eq!(blobs.put_bytes(&key, bytes.clone()).await.unwrap(), bytes.len() as u64);
    assert_eq!(blobs.get_bytes(&key).await.unwrap(), Some(bytes.clone()));
    let info = blobs.head(&key).await.unwrap().unwrap();
    assert_eq!((info.key, info.size_bytes), (key, bytes.len() as u64));

    let (info, stream) = blobs.stream(&key, Some(3..8)).await.unwrap().unwrap();
    let parts: Vec<Bytes> = stream.try_collect().await.unwrap();
    assert_eq!((parts.concat(), info.size_bytes), (bytes[3..8].to_vec(), bytes.len() as u64));

    let copy = folder.path().join("copy");
    assert_eq!(blobs.get_file(&key, &copy).await.unwrap(), Some(bytes.len() as u64));
    assert_eq!(std::fs::read(copy).unwrap(), bytes);

    let empty = BlobKey::Table(DatasetId::new());
    assert_eq!(blobs.put_bytes(&empty, Bytes::new()).await.unwrap(), 0);
    assert_eq!(blobs.get_bytes(&empty).await.unwrap(), Some(Bytes::new()));
}

async fn a_file_of_many_parts_comes_back_as_it_was(Place { blobs, folder }: Place) {
    // Three parts, the last one short; no two parts alike.
    let bytes: Vec<u8> = (0..=17 * 1024 * 1024_u32 / 4).flat_map(u32::to_le_bytes).collect();
    let path = folder.path().join("upload");
    std::fs::write(&path, &bytes).unwrap();
    let key = BlobKey::Original(DatasetId::new());
    assert_eq!(blobs.put_file(&key, &path).await.unwrap(), bytes.len() as u64);
    assert!(blobs.get_bytes(&key).await.unwrap().unwrap() == bytes, "the bytes differ");
    let error = blobs.put_file(&key, &folder.path().join("nothing")).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { .. }), "{error}");

    let taken = BlobKey::Table(DatasetId::new());
    assert_eq!(blobs.take_file(&taken, &path).await.unwrap(), bytes.len() as u64);
    assert!(blobs.get_bytes(&taken).await.unwrap().unwrap() == bytes, "the bytes that were taken differ");
    let error = blobs.take_file(&taken, &folder.path().join("nothing")).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { .. }), "{error}");
}

async fn what_is_not_there_is_none(Place { blobs, folder }: Place) {
    let key = BlobKey::Model(ModelId::new());
    assert_eq!(blobs.get_bytes(&key).await.unwrap(), None);
    assert_eq!(blobs.head(&key).await.unwrap(), None);
    assert!(blobs.stream(&key, None).await.unwrap().is_none());
    assert_eq!(blobs.get_file(&key, &folder.path().join("copy")).await.unwrap(), None);
    blobs.delete(&key).await.unwrap();
    blobs.put_bytes(&key, Bytes::from_static(b"x")).await.unwrap();
    blobs.delete(&key).await.unwrap();
    assert_eq!(blobs.head(&key).await.unwrap(), None);
    for area in Area::ALL {
        assert_eq!(blobs.list(area).await.unwrap(), [], "nothing was ever, or is still, in {area:?}");
    }
}

async fn each_area_lists_its_own_blobs(Place { blobs, .. }: Place) {
    let (dataset_id, training_id) = (DatasetId::new(), TrainingId::new());
    let keys = [
        BlobKey::Original(dataset_id),
        BlobKey::Table(dataset_id),
        BlobKey::Checkpoint { training_id, attempt: 1, sequence: 2 },
        BlobKey::Model(ModelId::new()),
    ];
    for key in &keys {
        blobs.put_bytes(key, key.to_string().into()).await.unwrap();
    }
    for area in Area::ALL {
        let mut listed: Vec<_> = blobs.list(area).await.unwrap().into_iter().map(|blob| blob.key).collect();
        listed.sort_by_key(BlobKey::to_string);
        let expected: Vec<_> = keys.iter().copied().filter(|key| key.area() == area).collect();
        assert_eq!(listed, expected, "{area:?}");
    }
}

async fn the_readiness_check_passes(Place { blobs, .. }: Place) {
    blobs.check().await.unwrap();
}

#[tokio::test]
async fn wrong_secrets_and_missing_buckets_fail_the_readiness_check() {
    let folder = tempfile::tempdir().unwrap();
    let address = s3_server(folder.path()).await;
    let right = s3_settings(address);
    for wrong in [
        S3Settings { secret_access_key: Some("other".into()), ..right.clone() },
        S3Settings { bucket: "elsewhere".into(), ..right.clone() },
        S3Settings { endpoint: Some("http://127.0.0.1:1".into()), ..right.clone() },
    ] {
        let blobs = Blobs::open(&BlobSettings::S3(wrong.clone())).unwrap();
        let error = blobs.check().await.unwrap_err();
        assert!(error.is_transient(), "{wrong:?}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_local_model_file_is_just_a_file() {
    let Place { blobs, folder } = local();
    let model_id = ModelId::new();
    blobs.put_bytes(&BlobKey::Model(model_id), Bytes::from_static(b"weights")).await.unwrap();
    let path = folder.path().join("models").join(format!("{model_id}.safetensors"));
    assert_eq!(std::fs::read(path).unwrap(), b"weights");
}

#[tokio::test]
async fn a_deleted_blob_is_still_read_to_its_end() {
    let Place { blobs, .. } = local();
    let key = BlobKey::Model(ModelId::new());
    let bytes = Bytes::from(vec![7; 1 << 20]);
    blobs.put_bytes(&key, bytes.clone()).await.unwrap();
    let (_, mut stream) = blobs.stream(&key, None).await.unwrap().unwrap();
    let first = stream.try_next().await.unwrap().unwrap();
    blobs.delete(&key).await.unwrap();
    let rest: Vec<Bytes> = stream.try_collect().await.unwrap();
    assert_eq!(first.len() + rest.concat().len(), bytes.len());
}

#[tokio::test]
async fn only_old_half_written_files_are_removed() {
    let Place { blobs, folder } = local();
    let key = BlobKey::Original(DatasetId::new());
    blobs.put_bytes(&key, Bytes::from_static(b"whole")).await.unwrap();
    let whole = folder.path().join("data").join(key.to_string());
    let half = whole.with_file_name("table.parquet#1");
    let foreign = folder.path().join("models").join("notes#draft");
    std::fs::write(&half, b"ha").unwrap();
    std::fs::create_dir_all(foreign.parent().unwrap()).unwrap();
    std::fs::write(&foreign, b"mine").unwrap();
    let long_ago: DateTime<Utc> = Utc.with_ymd_and_hms(2000, 1, 1, 0, 0, 0).unwrap();
    let far_off: DateTime<Utc> = Utc.with_ymd_and_hms(3000, 1, 1, 0, 0, 0).unwrap();
    assert_eq!(blobs.remove_partial(long_ago).await.unwrap(), 0, "it may still be written");
    assert_eq!(blobs.remove_partial(far_off).await.unwrap(), 1);
    assert!(!half.exists() && whole.exists() && foreign.exists());
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let settings =
        BlobSettings::Local { data_dir: file.path().join("data"), models_dir: file.path().join("models") };
    let error = Blobs::open(&settings).unwrap_err().to_string();
    assert!(error.contains("data folder") && error.contains("writable") && !error.contains('\n'), "{error}");
}
