//! A hub of static files: what `pull` and `hf download` ask for, served by nginx.

use std::fmt::Write as _;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::pairs::text;

/// The commit of every repository here.
const COMMIT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A running server. Its files are also at `/files/`, listed, for those who know no hub.
pub struct Nginx {
    child: Child,
    url: String,
}

impl Nginx {
    /// Serves `files` as the repository `model`, with what it needs below `dir`.
    pub fn serve(dir: &Path, model: &str, files: &[PathBuf]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let root = dir.join("nginx");
        fs::create_dir_all(&root).unwrap();
        let mut locations = String::new();
        let mut tree = Vec::new();
        let mut siblings = Vec::new();
        for file in files {
            let name = file.file_name().unwrap().to_str().unwrap();
            let size = file.metadata().unwrap().len();
            let sum = Command::new("sha256sum").arg(file).output().unwrap().stdout;
            let digest = std::str::from_utf8(&sum[..64]).unwrap();
            tree.push(format!(
                r#"{{"type":"file","oid":"{COMMIT}","size":{size},"path":"{name}","lfs":{{"oid":"{digest}","size":{size},"pointerSize":134}}}}"#
            ));
            siblings.push(format!(r#"{{"rfilename":"{name}"}}"#));
            for revision in ["main", COMMIT] {
                let _ = writeln!(
                    locations,
                    r#"location = /{model}/resolve/{revision}/{name} {{ alias {}; etag off;
                    add_header ETag '"{digest}"'; add_header X-Repo-Commit {COMMIT};
                    add_header X-Linked-Size {size}; add_header X-Linked-ETag '"{digest}"'; }}"#,
                    text(file)
                );
            }
        }
        let info = format!(
            r#"{{"_id":"1","id":"{model}","modelId":"{model}","sha":"{COMMIT}","private":false,"gated":false,"disabled":false,"tags":[],"downloads":0,"likes":0,"siblings":[{}]}}"#,
            siblings.join(",")
        );
        fs::write(root.join("info"), info).unwrap();
        fs::write(root.join("tree"), format!("[{}]", tree.join(","))).unwrap();
        let (root, served) = (text(&root), text(files[0].parent().unwrap()));
        let conf = format!(
            "daemon off; worker_processes 2; user root; pid {root}/pid; error_log {root}/errors;
            events {{ worker_connections 512; }}
            http {{ sendfile on; sendfile_max_chunk 1m; tcp_nopush on; access_log off;
            server {{ listen 127.0.0.1:{port}; default_type application/json;
            location ~ ^/api/models/{model}/revision/ {{ alias {root}/info; }}
            location ~ ^/api/models/{model}/tree/ {{ alias {root}/tree; }}
            location /files/ {{ alias {served}/; autoindex on; }}
            {locations} }} }}"
        );
        fs::write(format!("{root}/conf"), conf).unwrap();
        let child = Command::new("nginx").args(["-c", &format!("{root}/conf")]).spawn().unwrap();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        Self { child, url: format!("http://127.0.0.1:{port}") }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Asked to, it takes its workers along.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
