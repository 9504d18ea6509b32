//! `tonnage serve` as it is run: what it prints, what it tells, and how it ends.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::bench::{Bench, CONFIG, MIB, WEIGHTS};
use crate::client::{Client, Ended, Reply, SMALL};
use crate::hub::{Fault, On, What};

struct Program {
    child: Child,
    stderr: Lines<BufReader<ChildStderr>>,
    stdout: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Program {
    fn start(bench: &Bench, args: &[&str]) -> Self {
        let mut child = command(bench)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let said: Value = serde_json::from_str(&stdout.next().unwrap().unwrap()).unwrap();
        Self { child, stderr, stdout, url: said["url"].as_str().unwrap().to_owned() }
    }

    fn get(&self, path: &str) -> Reply {
        let host = self.url.strip_prefix("http://").unwrap();
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    }

    fn ask(&self, request: &str) -> Reply {
        let mut client = Client::new(&self.url);
        client.write(request);
        client.reply("GET")
    }

    /// The next line of stderr that has these words.
    fn hears(&mut self, words: &str) -> String {
        self.stderr.by_ref().map(Result::unwrap).find(|line| line.contains(words)).unwrap()
    }

    /// Ends it as Ctrl-C does, and returns what it told until then.
    fn interrupt(mut self) -> Vec<String> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let told = self.stderr.by_ref().map(Result::unwrap).collect();
        assert!(self.child.wait().unwrap().success());
        assert_eq!(self.stdout.by_ref().count(), 0, "it says where it is, and no more");
        told
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It is over already unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(bench: &Bench) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tonnage"));
    command.args(["serve", "--addr", "127.0.0.1:0", "--json"]);
    command.env("TONNAGE_HOME", bench.path()).env("HF_HOME", bench.dir("hf"));
    command.env("HF_ENDPOINT", bench.hub.url()).env_remove("HF_TOKEN");
    command.env_remove("JOURNAL_STREAM").stdin(Stdio::null());
    command
}

#[test]
fn what_goes_wrong_is_told_once_and_then_counted() {
    let bench = Bench::new();
    bench.model(2 * MIB);
    let program = Program::start(&bench, &[]);
    for _ in 0..3 {
        let evil = "GET /a%0Ab\x7f HTTP/1.1\r\nHost: evil.test\r\n\r\n";
        assert!([400, 421].contains(&program.ask(evil).status));
        let rebound = "GET /org/name/resolve/main/x HTTP/1.1\r\nHost: evil.test\r\n\r\n";
        assert_eq!(program.ask(rebound).status, 421);
        // Clients ask for what is not there every day.
        assert_eq!(program.get("/org/name/resolve/main/none").status, 404);
    }
    let long = "a".repeat(1 << 20);
    let long = program.ask(&format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"));
    assert_eq!(long.status, 431);
    assert_eq!(program.get("/..%2f../name/resolve/main/x").status, 400);
    let told = program.interrupt();
    let about = |words: &str| told.iter().filter(|line| line.contains(words)).collect::<Vec<_>>();
    let [rebound] = about("/org/name/resolve/main/x: 421: this server has another name")[..] else {
        panic!("{told:#?}")
    };
    let (time, rest) = rebound.split_once(' ').unwrap();
    assert!(time.ends_with('Z') && rest.starts_with("warning: 127.0.0.1: GET "), "{rebound}");
    assert_eq!(about("421: 2 more since it was told").len(), 1, "{told:#?}");
    assert_eq!(about("431: not a request").len(), 1, "{told:#?}");
    assert_eq!(about(": 400: this is not the name of").len(), 1, "{told:#?}");
    assert_eq!(about("/none:"), Vec::<&String>::new());
    assert!(told.iter().all(|line| !line.contains(|c: char| c.is_control())), "{told:#?}");
}

#[test]
fn answers_that_end_early_and_what_was_not_stored_are_told() {
    let bench = Bench::new();
    bench.model(2 * MIB);
    // Quiet is about what is no trouble.
    let program = Program::start(&bench, &["--quiet"]);
    let wrong = Fault::new(On::Content, What::FlipBit(MIB as u64)).path("weights.bin");
    let wrong = bench.hub.fault(wrong.forever());
    assert!(program.get(WEIGHTS).ended != Ended::Whole);
    wrong.release();
    // What was begun anew before that is wrong, too.
    assert!((0..5).any(|_| program.get(WEIGHTS).ended == Ended::Whole));
    // As if somebody had cleaned up where they should not.
    std::fs::remove_dir(bench.path().join("manifests")).unwrap();
    let told = program.interrupt();
    let about = |words: &str| told.iter().filter(|line| line.contains(words)).count();
    assert_eq!(about("/org/name/resolve/main/weights.bin: the answer ended"), 1, "{told:#?}");
    assert_eq!(about("what came is not in the store yet"), 1, "{told:#?}");
}

#[test]
fn settings_that_cannot_be_read_leave_the_limits_as_they_were() {
    let bench = Bench::new();
    let config = bench.path().join("config.toml");
    drop(bench.store());
    std::fs::write(&config, "[space]\nmax = \"9GB\"").unwrap();
    let mut program = Program::start(&bench, &[]);
    let limit = |program: &Program| {
        program.get("/api/tonnage/v1/space").json()["limit"]["max_bytes"].as_u64()
    };
    assert_eq!(limit(&program), Some(9_000_000_000));
    std::fs::write(&config, "[space]\nmax = \"8GB\"").unwrap();
    program.hears("config.toml has other limits");
    assert_eq!(limit(&program), Some(8_000_000_000));
    std::fs::write(&config, "[space]\nmax = 7").unwrap();
    program.hears("the limits stay as they were");
    assert_eq!(limit(&program), Some(8_000_000_000));
    program.interrupt();
}

#[test]
fn an_address_for_others_wants_somebody_to_say_who_may() {
    let bench = Bench::new();
    bench.model(MIB);
    let output = command(&bench).args(["--addr", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["error"]["kind"], "usage");
    let program = Program::start(&bench, &["--public-read"]);
    assert_eq!(program.get(CONFIG).body, SMALL);
    program.interrupt();
}
