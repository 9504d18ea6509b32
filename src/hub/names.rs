//! Names in a repository that would harm whoever creates them, here or where the files go next.

use std::hash::{BuildHasher, RandomState};

use crate::model::{FilePath, PathProblem};

/// Why `name` cannot be a file of a model, if so.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(name: &str) -> Result<FilePath, &'static str> {
    let path = FilePath::new(name).map_err(|problem| match problem {
        PathProblem::Empty => "a part of it is empty",
        PathProblem::Dots => "\".\" and \"..\" lead to other directories",
        PathProblem::Absolute => "it is absolute",
        PathProblem::Character => "it has a control character or a backslash",
        PathProblem::TooLong => "it is too long",
        PathProblem::NotUtf8 => "it is not UTF-8",
    })?;
    for component in name.split('/') {
        if is_git_directory(component) {
            return Err("git takes what is in it for its own, and runs it");
        }
        if is_device(component) {
            return Err("it is the name of a device on Windows");
        }
        if is_drive(component) {
            return Err("it begins with a drive's letter");
        }
    }
    Ok(path)
}

/// `.git`, in each spelling that some file system takes for it (those that git refuses since its
/// CVE-2014-9390 and CVE-2019-1352): HFS+ ignores some characters, NTFS what is behind a colon and
/// dots and spaces at the end, and it has short names.
fn is_git_directory(component: &str) -> bool {
    let seen: String = component.chars().filter(|&c| !is_ignored(c)).collect();
    let seen = seen.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    seen.eq_ignore_ascii_case(".git") || seen.eq_ignore_ascii_case("git~1")
}

/// Characters that HFS+ does not see.
fn is_ignored(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

/// `CON`, `NUL`, `COM1` and the like, with any extension.
fn is_device(component: &str) -> bool {
    let stem = component.split(['.', ':']).next().unwrap_or_default().trim_end_matches(' ');
    let stem = stem.to_ascii_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let port = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    port.is_some_and(|number| {
        let mut digits = number.chars();
        matches!(digits.next(), Some('1'..='9' | '¹' | '²' | '³')) && digits.next().is_none()
    })
}

/// `C:`, `C:x`.
fn is_drive(component: &str) -> bool {
    matches!(component.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

/// Two names that differ in case only, or of which one is a file and a directory above the other,
/// ignoring case. `paths` in the order of their bytes.
pub(super) fn twins<'p>(paths: &[&'p str]) -> Option<(&'p str, &'p str)> {
    // Hashes instead of folded names: of a million names that is 24 MB.
    let hasher = RandomState::new();
    let hash = |path: &str| hasher.hash_one(fold(path));
    let mut seen: Vec<(u64, &str)> = paths.iter().map(|path| (hash(path), *path)).collect();
    seen.sort_unstable();
    for (one, other) in seen.iter().zip(seen.iter().skip(1)) {
        if one.0 == other.0 && fold(one.1) == fold(other.1) {
            return Some((one.1, other.1));
        }
    }
    let mut checked = "";
    for path in paths {
        let (parent, _) = path.rsplit_once('/').unwrap_or_default();
        if parent == checked {
            continue;
        }
        checked = parent;
        let mut above = parent;
        while !above.is_empty() {
            let key = hash(above);
            let first = seen.partition_point(|(other, _)| *other < key);
            let same = seen.iter().skip(first).take_while(|(other, _)| *other == key);
            if let Some((_, other)) = same.into_iter().find(|(_, other)| fold(other) == fold(above))
            {
                return Some((other, path));
            }
            above = above.rsplit_once('/').unwrap_or_default().0;
        }
    }
    None
}

fn fold(path: &str) -> String {
    // Upper case first: "ß" and "ſ" then meet "SS" and "S", as file systems let them.
    path.to_uppercase().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused() {
        for bad in [
            "../x",
            "a/../../x",
            "/etc/passwd",
            "a\\b",
            "..\\x",
            "a//b",
            "",
            "a/",
            "./a",
            "a\nb",
            "a\0b",
            "\u{1b}[2J",
            ".git/config",
            "a/.git/hooks/x",
            ".GIT/x",
            ".git",
            "git~1/x",
            ".git./x",
            ".git /x",
            ".g\u{200c}it/x",
            ".git::$INDEX_ALLOCATION/x",
            "CON",
            "nul.txt",
            "a/aux.py",
            "com1",
            "LPT9.x",
            "COM¹",
            "con .txt",
            "NUL:x",
            "CONIN$",
            "C:/x",
            "c:x",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn honest_names_are_not() {
        for good in [
            ".gitattributes",
            ".gitignore",
            "a.git/x",
            "git",
            "console.log",
            "com10",
            "com",
            "COM0x",
            "null.json",
            "auxiliary.py",
            "tokenizer.json",
            "a b/ü (1).safetensors",
            "..a",
            "xy:z",
            "onnx/model_q4f16.onnx",
        ] {
            assert!(check(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn case_twins_are_found() {
        for (paths, twins_of) in [
            (&["A", "a"][..], Some(("A", "a"))),
            (&["D/x.bin", "d/X.bin"], Some(("D/x.bin", "d/X.bin"))),
            (&["a", "a"], Some(("a", "a"))),
            (&["a", "a/b"], Some(("a", "a/b"))),
            (&["A/b/c", "a/B"], Some(("a/B", "A/b/c"))),
            (&["STRASSE", "straße"], Some(("STRASSE", "straße"))),
            (&["A/x", "a-b", "a/y"], None),
            (&["a", "b", "c/a", "c/d/a"], None),
        ] {
            assert_eq!(twins(paths), twins_of, "{paths:?}");
        }
    }
}
