//! The files of a revision, as a hub lists them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use crate::digest::{GitSha1, Upstream};
use crate::hub::RemoteFile;

/// A line of a listing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entry<'f> {
    File(&'f RemoteFile),
    /// A directory, and the files below it.
    Directory(&'f str, &'f [RemoteFile]),
}

impl<'f> Entry<'f> {
    pub fn path(&self) -> &'f str {
        match self {
            Self::File(file) => file.path.as_str(),
            Self::Directory(path, _) => path,
        }
    }

    pub fn to_json(self) -> Value {
        match self {
            Self::File(file) => line(file),
            Self::Directory(path, below) => {
                let oid = tree_oid(below, path.len() + 1).to_string();
                json!({"type": "directory", "oid": oid, "size": 0, "path": path})
            }
        }
    }
}

/// What is below `under`, which has no slash at its end, in the order of the paths: at any depth when
/// `recursive`. `None` when it is no directory. `files` are in the order of their paths.
pub(super) fn below<'f>(
    files: &'f [RemoteFile],
    under: &str,
    recursive: bool,
) -> Option<Vec<Entry<'f>>> {
    let prefix = if under.is_empty() { String::new() } else { format!("{under}/") };
    let within = within(files, &prefix);
    if within.is_empty() && !under.is_empty() {
        return None;
    }
    let mut entries: BTreeMap<&str, Entry<'_>> = BTreeMap::new();
    for file in within {
        let path = file.path.as_str();
        let mut ends =
            path.match_indices('/').map(|(end, _)| end).filter(|end| *end >= prefix.len());
        let mut deep = false;
        for end in ends.by_ref() {
            let Some(directory) = path.get(..end) else { continue };
            deep = true;
            entries.entry(directory).or_insert_with(|| directory_at(files, directory));
            if !recursive {
                break;
            }
        }
        if recursive || !deep {
            entries.insert(path, Entry::File(file));
        }
    }
    Some(entries.into_values().collect())
}

/// The file or directory at `path`.
pub(super) fn at<'f>(files: &'f [RemoteFile], path: &'f str) -> Option<Entry<'f>> {
    let path = path.trim_matches('/');
    if let Some(file) = find(files, path) {
        return Some(Entry::File(file));
    }
    let entry = directory_at(files, path);
    matches!(entry, Entry::Directory(_, below) if !below.is_empty()).then_some(entry)
}

/// The file at `path`.
pub(super) fn find<'f>(files: &'f [RemoteFile], path: &str) -> Option<&'f RemoteFile> {
    let at = files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
    files.get(at)
}

fn directory_at<'f>(files: &'f [RemoteFile], path: &'f str) -> Entry<'f> {
    Entry::Directory(path, within(files, &format!("{path}/")))
}

/// The files whose paths begin with `prefix`: they stand in a row.
fn within<'f>(files: &'f [RemoteFile], prefix: &str) -> &'f [RemoteFile] {
    let start = files.partition_point(|file| file.path.as_str() < prefix);
    let rest = files.get(start..).unwrap_or_default();
    let len = rest.partition_point(|file| file.path.as_str().starts_with(prefix));
    rest.get(..len).unwrap_or_default()
}

fn line(file: &RemoteFile) -> Value {
    let (path, size) = (file.path.as_str(), file.size);
    match &file.upstream {
        Upstream::Git(oid) => {
            json!({"type": "file", "oid": oid.to_string(), "size": size, "path": path})
        }
        Upstream::Sha256(sha256) => {
            let lfs = json!({
                "oid": sha256.to_string(), "size": size, "pointerSize": pointer(file).len(),
            });
            json!({"type": "file", "oid": git_oid(file).to_string(), "size": size, "lfs": lfs, "path": path})
        }
    }
}

/// A file as a repository's description lists it.
pub(super) fn sibling(file: &RemoteFile, blobs: bool) -> Value {
    let mut line = json!({"rfilename": file.path.as_str()});
    if let Value::Object(map) = &mut line
        && blobs
    {
        map.insert("blobId".to_owned(), git_oid(file).to_string().into());
        map.insert("size".to_owned(), file.size.into());
        if let Upstream::Sha256(sha256) = &file.upstream {
            let (sha256, size) = (sha256.to_string(), file.size);
            let lfs = json!({"sha256": sha256, "size": size, "pointerSize": pointer(file).len()});
            map.insert("lfs".to_owned(), lfs);
        }
    }
    line
}

/// What stands for a large file in git; nothing for another.
pub(super) fn pointer(file: &RemoteFile) -> String {
    match &file.upstream {
        Upstream::Git(_) => String::new(),
        Upstream::Sha256(sha256) => format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {}\n",
            file.size
        ),
    }
}

/// Git's name of what it has of a file.
fn git_oid(file: &RemoteFile) -> GitSha1 {
    match &file.upstream {
        Upstream::Git(oid) => *oid,
        Upstream::Sha256(_) => git_hash("blob", pointer(file).as_bytes()),
    }
}

/// Git's name of a directory, as if no file in it were executable. `skip`: how much of the paths
/// leads to it.
fn tree_oid(files: &[RemoteFile], skip: usize) -> GitSha1 {
    // Git orders a directory as if its name ended with a slash, as paths do here.
    let mut object = Vec::new();
    let mut rest = files;
    while let Some(file) = rest.first() {
        let name = file.path.as_str().get(skip..).unwrap_or_default();
        let (mode, name, oid, taken) = match name.split_once('/') {
            None => ("100644", name, git_oid(file), 1),
            Some((name, _)) => {
                let prefix = file.path.as_str().get(..=skip + name.len()).unwrap_or_default();
                let len = rest.partition_point(|file| file.path.as_str().starts_with(prefix));
                let below = rest.get(..len).unwrap_or_default();
                ("40000", name, tree_oid(below, prefix.len()), len.max(1))
            }
        };
        object.extend_from_slice(format!("{mode} {name}\0").as_bytes());
        object.extend_from_slice(oid.as_bytes());
        rest = rest.get(taken..).unwrap_or_default();
    }
    git_hash("tree", &object)
}

fn git_hash(kind: &str, object: &[u8]) -> GitSha1 {
    let mut sha1 = Sha1::new();
    sha1.update(format!("{kind} {}\0", object.len()).as_bytes());
    sha1.update(object);
    GitSha1::from_bytes(sha1.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &str) -> RemoteFile {
        RemoteFile {
            path: crate::model::FilePath::new(path).unwrap(),
            size: content.len() as u64,
            upstream: Upstream::Git(git_hash("blob", content.as_bytes())),
        }
    }

    fn some() -> Vec<RemoteFile> {
        ["a.txt", "b/c.txt", "b/d/e.txt", "b.txt"].iter().map(|p| file(p, "x")).collect::<Vec<_>>()
    }

    fn sorted(mut files: Vec<RemoteFile>) -> Vec<RemoteFile> {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    #[test]
    fn a_directory_lists_what_is_in_it() {
        let files = sorted(some());
        let paths = |under, recursive| {
            let entries = below(&files, under, recursive)?;
            Some(entries.iter().map(Entry::path).collect::<Vec<_>>())
        };
        assert_eq!(paths("", false), Some(vec!["a.txt", "b", "b.txt"]));
        let all = vec!["a.txt", "b", "b.txt", "b/c.txt", "b/d", "b/d/e.txt"];
        assert_eq!(paths("", true), Some(all));
        assert_eq!(paths("b", false), Some(vec!["b/c.txt", "b/d"]));
        assert_eq!(paths("b/d", true), Some(vec!["b/d/e.txt"]));
        assert_eq!(paths("a.txt", true), None);
        assert_eq!(paths("c", true), None);
        assert!(matches!(at(&files, "b/d/"), Some(Entry::Directory("b/d", _))));
        assert!(matches!(at(&files, "b.txt"), Some(Entry::File(_))));
        assert!(at(&files, "b/").is_some() && at(&files, "x").is_none());
    }

    /// What `git` says of a directory with these files: `git write-tree`.
    #[test]
    fn a_directory_has_gits_name() {
        let files = sorted(vec![file("d/a.txt", "hello\n"), file("d/s/b.txt", "world\n")]);
        let Some(Entry::Directory(_, below)) = at(&files, "d") else { panic!("no directory") };
        assert_eq!(tree_oid(below, 2).to_string(), "2e4e3e7a51d08622b571e437997fb8e2f4115a36");
        assert_eq!(
            git_hash("blob", b"hello\n").to_string(),
            "ce013625030ba8dba906f756967f9e9ca394464a"
        );
    }

    #[test]
    fn a_large_file_has_a_pointer() {
        let sha256 = "a".repeat(64);
        let upstream = Upstream::Sha256(sha256.parse().unwrap());
        let file = RemoteFile { size: 12, upstream, ..file("x.bin", "") };
        let text =
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize 12\n");
        assert_eq!(pointer(&file), text);
        assert_eq!(line(&file)["lfs"]["pointerSize"], text.len());
        assert_eq!(line(&file)["oid"], git_hash("blob", text.as_bytes()).to_string());
    }
}
