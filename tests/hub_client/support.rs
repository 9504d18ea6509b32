//! A repository, a client, and a file read to its end.

use std::ops::Range;
use std::time::Duration;

use tonnage::error::HubError;
use tonnage::hub::{Client, Config, Proxy, RemoteFile, Retry, Token};
use tonnage::model::{ModelId, Revision};

use crate::hub::{Entry, Hub, Kind, RepoHandle};

pub const CONFIG: &str = "config.json";
pub const WEIGHTS: &str = "weights/model.safetensors";

/// Bytes of which no two kilobytes are alike.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}

/// What a client is told in these tests. Its answers come soon; none but a stall waits.
pub fn config(hub: &Hub) -> Config {
    let retry = Retry { base: Duration::from_millis(1), attempts: 3, ..Retry::default() };
    Config { endpoint: hub.url(), retry, proxy: Proxy::None, ..Config::default() }
}

pub fn client(hub: &Hub) -> Client {
    Client::new(config(hub)).unwrap()
}

pub fn client_with(hub: &Hub, token: &str) -> Client {
    let token = Some(Token::new(token, "a test").unwrap());
    Client::new(Config { token, ..config(hub) }).unwrap()
}

/// A hub with a model of one small and one large file, and a client of it.
pub struct World {
    pub hub: Hub,
    pub repo: RepoHandle,
    pub client: Client,
    pub model: ModelId,
    pub commit: Revision,
    pub files: Vec<RemoteFile>,
    pub bytes: Vec<u8>,
}

impl World {
    pub async fn new(len: usize) -> Self {
        let hub = Hub::start();
        let client = client(&hub);
        Self::with(hub, client, len).await
    }

    pub async fn with(hub: Hub, client: Client, len: usize) -> Self {
        let bytes = pattern(len);
        let repo = hub.repo(Kind::Model, "org/name");
        let commit = repo.commit(&[Entry::git(CONFIG, "{}\n"), Entry::lfs(WEIGHTS, bytes.clone())]);
        let (model, commit) = ("org/name".parse().unwrap(), commit.parse().unwrap());
        let files = client.tree(&model, &commit).await.unwrap();
        hub.forget_log();
        Self { hub, repo, client, model, commit, files, bytes }
    }

    pub fn file(&self, path: &str) -> &RemoteFile {
        self.files.iter().find(|file| file.path.as_str() == path).unwrap()
    }

    /// Where the bytes begin, and the bytes, to the end or the error.
    pub async fn read(
        &self,
        path: &str,
        range: Option<Range<u64>>,
    ) -> (u64, Vec<u8>, Result<(), HubError>) {
        let open = self.client.open(&self.model, &self.commit, self.file(path), range).await;
        let mut body = match open {
            Ok(body) => body,
            Err(error) => return (0, Vec::new(), Err(error)),
        };
        let mut bytes = Vec::new();
        loop {
            match body.next().await {
                Ok(Some(frame)) => bytes.extend_from_slice(&frame),
                Ok(None) => {
                    assert_eq!(body.start() + bytes.len() as u64, body.end());
                    return (body.start(), bytes, Ok(()));
                }
                Err(error) => return (body.start(), bytes, Err(error)),
            }
        }
    }

    /// The error that reading a range of the large file meets, before or after its first byte.
    pub async fn fails(&self, range: Range<u64>) -> HubError {
        let (start, bytes, end) = self.read(WEIGHTS, Some(range)).await;
        let start = start as usize;
        assert_eq!(bytes, self.bytes[start..start + bytes.len()], "no wrong byte before the error");
        end.unwrap_err()
    }

    /// Reads a range of the large file, which must come right.
    pub async fn succeeds(&self, range: Range<u64>) {
        let (start, bytes, end) = self.read(WEIGHTS, Some(range.clone())).await;
        end.unwrap();
        assert_eq!(start, range.start);
        assert_eq!(bytes, self.bytes[range.start as usize..range.end as usize]);
    }
    /// Reads a range of the large file as a download does, which comes again after an error.
    pub async fn recovers(&self, range: Range<u64>) {
        for failures in 1.. {
            let (_, bytes, end) = self.read(WEIGHTS, Some(range.clone())).await;
            let Err(error) = end else {
                assert_eq!(bytes, self.bytes[range.start as usize..range.end as usize]);
                return;
            };
            assert!(self.client.retry().pause(failures, &error).is_some(), "{error}");
        }
    }
}
