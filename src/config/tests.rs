use std::fs;

use super::*;
use crate::error::ErrorKind;
use crate::store::{Access, Store};

fn parse(text: &str) -> Result<Settings> {
    Settings::parse(text, Path::new("/s/config.toml"))
}

#[test]
fn no_file_and_an_empty_file_set_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Settings::read(dir.path().join("none")).unwrap(), Settings::default());
    assert_eq!(Settings::read(dir.path()).unwrap(), Settings::default());
    fs::write(dir.path().join(FILE_NAME), "# nothing yet\n[hub]\n").unwrap();
    assert_eq!(Settings::read(dir.path()).unwrap(), Settings::default());
}

#[test]
fn everything_that_may_be_set_is_read() {
    let text = "\u{feff}[hub]\r\nendpoint = \"http://hub:80/x\"\r\n[names]\r\n\
        my-llama = \"org/name@v1\"\r\n\"l3.2\" = \"datasets/org/name\"\r\n";
    let settings = parse(text).unwrap();
    assert_eq!(settings.endpoint.as_deref(), Some("http://hub:80/x"));
    let names: Vec<_> = settings.names.iter().map(|(n, s)| (n.as_str(), s.to_string())).collect();
    let expected =
        [("l3.2", "datasets/org/name".to_owned()), ("my-llama", "org/name@v1".to_owned())];
    assert_eq!(names, expected);
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_what_is_allowed() {
    for (text, line, words) in [
        ("[hub]\nendpiont = \"http://a\"", 2, "`endpiont`, expected `endpoint`"),
        ("\n\n[limits]\n", 3, "`limits`, expected one of `hub`, `names`, `space`"),
        ("top = 1", 1, "`top`"),
        ("[hub]\nendpoint = 3", 2, "expected a string"),
        ("hub = \"http://a\"", 1, "expected the section [hub]"),
        ("[hub]\nendpoint = \"ftp://a\"", 2, "it must begin with https://"),
        ("[hub]\nendpoint = \"https://me:secret@a\"", 2, "name or password"),
        ("hub = \"https://me:secret@a\"", 1, "not shown"),
        ("[names]\nx = \"https://me:secret@h/m\"", 2, "not shown"),
        ("[names]\n\n\"org/name\" = \"org/other\"", 3, "short name"),
        ("[names]\n\"..\" = \"org/other\"", 2, "not allowed"),
        ("[names]\na = \"../etc\"", 2, "not allowed"),
        ("[names]\na = \"org/name@\"", 2, "it is empty"),
        ("[names]\na = [\"org/name\"]", 2, "expected a string"),
        ("[names]\na = \"b\"\na = \"c\"", 3, "duplicate key"),
        ("[space]\nmax = 5", 2, "expected a string"),
        ("[space]\nmax = \"5 lots\"", 2, "write a size"),
        ("[space]\nlow_mark = \"0%\"", 2, "write a percentage"),
        ("[space]\ntrash = \"1\"", 2, "write a number and s, m, h, d or w"),
        ("[space]\nmaximum = \"1GB\"", 2, "`maximum`, expected one of `max`, `low_mark`"),
        ("[hub\n", 1, "]"),
        ("[names]\na = \"b", 2, "expected"),
    ] {
        let error = parse(text).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with(&format!("/s/config.toml, line {line}: ")), "{text:?}: {said}");
        assert!(said.contains(words) && !said.contains('\n'), "{text:?}: {said}");
        assert!(!said.contains("secret"), "{said}");
        assert_eq!(error.kind(), ErrorKind::Failure);
        assert!(error.hint().is_some());
    }
}

#[test]
fn what_no_honest_user_writes_is_refused_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let refused = || Settings::read(dir.path()).unwrap_err().to_string();
    fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(refused().contains("1048576"), "{}", refused());
    fs::write(&path, vec![b'#'; 1 << 20]).unwrap();
    Settings::read(dir.path()).unwrap();
    fs::write(&path, b"[hub]\n# caf\xe9\n").unwrap();
    assert!(refused().contains("line 2: it is not UTF-8"), "{}", refused());
    fs::write(&path, format!("a = {}", "[".repeat(500_000))).unwrap();
    assert!(refused().contains("line 1: "), "{}", refused());
    fs::write(&path, format!("a{} = 1", ".a".repeat(250_000))).unwrap();
    assert!(refused().contains("line 1: "), "{}", refused());
}

#[test]
fn only_a_file_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let refused = || match Settings::read(dir.path()).unwrap_err() {
        ConfigError::NotAFile { what, .. } => what,
        e => panic!("{e:?}"),
    };
    fs::create_dir(&path).unwrap();
    assert_eq!(refused(), "a directory");
    fs::remove_dir(&path).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert_eq!(refused(), "a fifo, socket or device");
    fs::remove_file(&path).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert_eq!(refused(), "a socket");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    assert_eq!(refused(), "a symbolic link");
}

const WRITTEN: &str = "# mine
[names]   # short
b = 'org/b'  # the second
a = \"org/a\"

# the end
";

fn store_with(text: &str) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE_NAME), text).unwrap();
    let store = Store::open(dir.path(), Access::Write).unwrap();
    (dir, store)
}

fn text_of(store: &Store) -> String {
    fs::read_to_string(store.path().join(FILE_NAME)).unwrap()
}

#[test]
fn an_edit_leaves_comments_and_order_and_what_else_is_there() {
    let (_dir, store) = store_with(WRITTEN);
    set(&store, "names.b", "org/c@v1").unwrap();
    assert_eq!(text_of(&store), WRITTEN.replace("'org/b'", "\"org/c@v1\""));
    unset(&store, "names.b").unwrap();
    assert_eq!(text_of(&store), WRITTEN.replace("b = 'org/b'  # the second\n", ""));
    set(&store, "hub.endpoint", "https://hub.example").unwrap();
    set(&store, "names.l3.2", "org/l").unwrap();
    let settings = Settings::read(store.path()).unwrap();
    assert_eq!(settings.endpoint.as_deref(), Some("https://hub.example"));
    assert_eq!(settings.names.keys().collect::<Vec<_>>(), ["a", "l3.2"]);
    assert!(text_of(&store).contains("# mine") && text_of(&store).contains("# the end"));
}

#[test]
fn an_edit_that_cannot_be_leaves_the_file_as_it_was() {
    let (_dir, store) = store_with(WRITTEN);
    for (key, value, kind) in [
        ("hub.endpoint", "ftp://x", ErrorKind::Usage),
        ("names.a", "../x", ErrorKind::Usage),
        ("names.a/b", "org/x", ErrorKind::Usage),
        ("names.", "org/x", ErrorKind::Usage),
        ("names", "org/x", ErrorKind::Usage),
        ("hub.token", "x", ErrorKind::Usage),
    ] {
        assert_eq!(set(&store, key, value).unwrap_err().kind(), kind, "{key}");
    }
    let missing = unset(&store, "names.c").unwrap_err();
    assert!(matches!(missing, ConfigError::NotSet { .. }), "{missing:?}");
    assert_eq!(text_of(&store), WRITTEN);
    assert!(
        !fs::read_dir(store.path())
            .unwrap()
            .any(|e| { e.unwrap().file_name().to_str().unwrap().starts_with(".config") })
    );
}

#[test]
fn a_wrong_entry_can_be_taken_out_and_not_be_added_to() {
    let (_dir, store) = store_with("[names]\na = \"../x\"\n");
    let error = set(&store, "names.b", "org/b").unwrap_err();
    assert!(error.to_string().contains("line 2"), "{error}");
    unset(&store, "names.a").unwrap();
    assert_eq!(Settings::read(store.path()).unwrap(), Settings::default());
    let (_dir, store) = store_with("[names\n");
    let error = set(&store, "names.b", "org/b").unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
    let (_dir, store) = store_with("names = 3\n");
    let error = set(&store, "names.b", "org/b").unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
}

#[test]
fn edits_at_the_same_time_are_all_kept() {
    let (_dir, store) = store_with("");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..5 {
                    set(store, &format!("names.n{thread}-{number}"), "org/x").unwrap();
                }
            });
        }
    });
    assert_eq!(Settings::read(store.path()).unwrap().names.len(), 40);
}
