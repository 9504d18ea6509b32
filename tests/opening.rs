//! Verified opening: each level finds what it promises, and nothing that is whole is refused.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use tonnage::error::{ErrorKind, StoreError};
use tonnage::open::{OpenModel, Trust, open};
use tonnage::progress::Progress;
use tonnage::space::{RemoveOptions, remove};
use tonnage::store::{Access, AddOptions, Store, Take};

const MIB: usize = 1 << 20;

struct World {
    dir: tempfile::TempDir,
}

impl World {
    /// A store with `org/big`: a file of five and a half MiB and a small one.
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(world.path("big")).unwrap();
        fs::write(world.path("big/weights.bin"), bytes()).unwrap();
        fs::write(world.path("big/config.json"), "{}").unwrap();
        world.add(&world.path("big"), "org/big");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn store(&self, access: Access) -> Store {
        Store::open(self.path("store"), access).unwrap()
    }

    fn add(&self, source: &Path, model: &str) {
        let options = AddOptions {
            model: model.parse().unwrap(),
            reference: "main".parse().unwrap(),
            take: Take::Copy,
            follow_links: false,
            sha256: false,
        };
        self.store(Access::Write).add(source, &options, &Progress::new()).unwrap();
    }

    fn open(&self, model: &str, trust: Trust) -> Result<OpenModel, StoreError> {
        let store = self.store(Access::Read);
        let revision = store.resolve(&model.parse().unwrap()).unwrap();
        open(&store, &revision, trust, &Progress::new())
    }

    /// The blob's file of the weights of `org/big`.
    fn blob(&self) -> PathBuf {
        let hash = blake3::hash(&bytes()).to_hex();
        self.path("store/blobs").join(hash.as_str())
    }
}

/// Bytes that do not repeat.
fn bytes() -> Vec<u8> {
    let mut bytes = vec![0; 5 * MIB + MIB / 2];
    blake3::Hasher::new().update(b"opening").finalize_xof().fill(&mut bytes);
    bytes
}

fn weights(model: &OpenModel) -> &tonnage::open::OpenFile {
    model.file("weights.bin").unwrap()
}

#[test]
fn what_is_whole_is_given_at_every_level() {
    let world = World::new();
    let all = bytes();
    for trust in [Trust::Stamp, Trust::Touched, Trust::Full] {
        let model = world.open("org/big", trust).unwrap();
        assert_eq!(model.files().len(), 2);
        let file = weights(&model);
        assert_eq!((file.size(), file.blob_path()), (all.len() as u64, world.blob().as_path()));
        let (from, to) = (MIB - 3, 2 * MIB + 7);
        assert!(file.bytes(from as u64..to as u64).unwrap() == &all[from..to]);
        assert_eq!(file.bytes(7..7).unwrap(), b"");
        assert!(file.bytes(0..file.size()).unwrap() == all);
        let mut read = [0; 16];
        file.file().unwrap().read_exact_at(&mut read, 5 * MIB as u64).unwrap();
        assert_eq!(read, all[5 * MIB..5 * MIB + 16]);
        for outside in
            [0..file.size() + 1, file.size() + 1..file.size() + 2, u64::MAX - 1..u64::MAX]
        {
            assert_eq!(file.bytes(outside).unwrap_err().kind(), ErrorKind::NotFound);
        }
        assert_eq!(model.tensor("a").unwrap_err().kind(), ErrorKind::NotFound);
    }
}

/// When a level finds something out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Opened,
    Used,
    Never,
}

#[test]
fn every_level_finds_the_damage_that_it_promises_to() {
    use When::{Never, Opened, Used};
    type Damage = fn(&Path);
    let put_back: Damage = |blob| {
        let file = writable(blob);
        let time = file.metadata().unwrap().modified().unwrap();
        flip(&file, 3 * MIB as u64 + 17);
        file.set_modified(time).unwrap();
        drop(file);
        fs::set_permissions(blob, Permissions::from_mode(0o444)).unwrap();
    };
    let cases: [(&str, Damage, [When; 3]); 7] = [
        ("a bit, and the time put back", put_back, [Never, Used, Opened]),
        ("a bit", |blob| flip(&writable(blob), 3 * MIB as u64 + 17), [Opened; 3]),
        ("shorter", |blob| writable(blob).set_len(MIB as u64).unwrap(), [Opened; 3]),
        ("longer", |blob| writable(blob).set_len(6 * MIB as u64).unwrap(), [Opened; 3]),
        ("zeros", |blob| writable(blob).write_all_at(&vec![0; MIB], 9999).unwrap(), [Opened; 3]),
        ("gone", |blob| fs::remove_file(blob).unwrap(), [Opened; 3]),
        (
            "another file of its size",
            |blob| {
                let len = fs::metadata(blob).unwrap().len();
                fs::remove_file(blob).unwrap();
                fs::write(blob, vec![1; len as usize]).unwrap();
            },
            [Opened; 3],
        ),
    ];
    for (what, damage, expected) in cases {
        for (trust, expected) in
            [Trust::Stamp, Trust::Touched, Trust::Full].into_iter().zip(expected)
        {
            let world = World::new();
            damage(&world.blob());
            let when = match world.open("org/big", trust) {
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::Damaged, "{what}: {e}");
                    assert!(e.to_string().contains("weights.bin"), "{e}");
                    Opened
                }
                Ok(model) => {
                    let file = weights(&model);
                    // The MiBs that are whole are given all the same.
                    assert_eq!(file.bytes(0..3 * MIB as u64).unwrap().len(), 3 * MIB);
                    assert_eq!(file.bytes(4 * MIB as u64..file.size()).unwrap().len(), 3 * MIB / 2);
                    match file.bytes(3 * MIB as u64 - 1..3 * MIB as u64 + 1) {
                        Ok(_) => Never,
                        Err(e) => {
                            assert!(e.to_string().contains("bytes 3145728 to 4194304"), "{e}");
                            assert_eq!(file.file().unwrap_err().kind(), ErrorKind::Damaged);
                            Used
                        }
                    }
                }
            };
            assert_eq!(when, expected, "{what}, {trust:?}");
        }
    }
}

#[test]
fn a_stamp_that_differs_from_whole_bytes_is_no_damage() {
    let world = World::new();
    let touched = writable(&world.blob());
    touched.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    for trust in [Trust::Stamp, Trust::Touched, Trust::Full] {
        let model = world.open("org/big", trust).unwrap();
        assert!(weights(&model).bytes(0..10).unwrap() == &bytes()[..10]);
    }
}

#[test]
fn without_the_chaining_values_a_touched_file_is_read_whole_once() {
    let world = World::new();
    fs::remove_file(world.path("store/index.redb")).unwrap();
    Store::rebuild_index(world.path("store")).unwrap();
    let model = world.open("org/big", Trust::Touched).unwrap();
    assert!(weights(&model).bytes(9..MIB as u64).unwrap() == &bytes()[9..MIB]);
}

#[test]
fn models_that_have_a_file_in_common_have_its_map_in_common() {
    let world = World::new();
    fs::create_dir(world.path("tuned")).unwrap();
    fs::copy(world.path("big/weights.bin"), world.path("tuned/weights.bin")).unwrap();
    fs::write(world.path("tuned/config.json"), "[]").unwrap();
    world.add(&world.path("tuned"), "org/tuned");
    let (a, b) = (world.open("org/big", Trust::Stamp), world.open("org/tuned", Trust::Stamp));
    let (a, b) = (a.unwrap(), b.unwrap());
    let map = |model: &OpenModel, path: &str| {
        let file = model.file(path).unwrap();
        file.bytes(0..file.size()).unwrap().as_ptr()
    };
    assert_eq!(map(&a, "weights.bin"), map(&b, "weights.bin"));
    assert_ne!(map(&a, "config.json"), map(&b, "config.json"));
    drop(a);
    assert_eq!(weights(&b).bytes(0..bytes().len() as u64).unwrap(), bytes());
}

#[test]
fn an_open_model_is_not_removed() {
    let world = World::new();
    let model = world.open("org/big", Trust::Stamp).unwrap();
    let store = world.store(Access::Write);
    let revisions = store.revisions_of(&"org/big".parse().unwrap()).unwrap();
    let kept = remove(&store, &revisions, RemoveOptions::default()).unwrap();
    assert_eq!(kept.kept.len(), 1);
    drop(model);
    assert_eq!(remove(&store, &revisions, RemoveOptions::default()).unwrap().gone.len(), 1);
    let gone = open(&store, &revisions[0], Trust::Stamp, &Progress::new()).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

#[test]
fn several_threads_use_one_open_file() {
    let world = World::new();
    let model = world.open("org/big", Trust::Touched).unwrap();
    let (file, all) = (weights(&model), bytes());
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let all = &all;
            scope.spawn(move || {
                for step in 0..40 {
                    let from = (thread * 7919 + step * 131_071) % (5 * MIB);
                    let range = from..from + MIB / 2;
                    let found = file.bytes(range.start as u64..range.end as u64).unwrap();
                    assert!(found == &all[range]);
                }
            });
        }
    });
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

#[test]
fn tensors_are_found_in_whichever_file_they_are() {
    let world = World::new();
    world.add(&fixture("tiny-llama"), "org/llama");
    world.add(&fixture("tiny-llama-reshard"), "org/reshard");
    for trust in [Trust::Stamp, Trust::Touched, Trust::Full] {
        let (one, other) =
            (world.open("org/llama", trust).unwrap(), world.open("org/reshard", trust).unwrap());
        let names: Vec<_> = one.tensors().unwrap().map(|(_, t)| t.name.clone()).collect();
        assert!(names.len() > 10, "{names:?}");
        for name in &names {
            let (a, b) = (one.tensor(name).unwrap(), other.tensor(name).unwrap());
            assert_eq!((a.dtype, a.shape), (b.dtype, b.shape));
            assert!(a.bytes == b.bytes, "{name}: cut into other files, it is the same");
        }
    }
}

#[test]
fn a_header_that_is_not_understood_names_no_tensors() {
    let world = World::new();
    fs::create_dir(world.path("odd")).unwrap();
    fs::write(world.path("odd/a.safetensors"), [255; 100]).unwrap();
    fs::write(world.path("odd/b.gguf"), b"GGUF").unwrap();
    fs::write(world.path("odd/c.gguf"), b"").unwrap();
    world.add(&world.path("odd"), "org/odd");
    let model = world.open("org/odd", Trust::Touched).unwrap();
    assert_eq!(model.tensors().unwrap().count(), 0);
    assert_eq!(model.files()[0].bytes(0..100).unwrap(), [255; 100]);
    assert_eq!(model.files()[2].bytes(0..0).unwrap(), b"");
}

#[test]
fn the_example_prints_sums() {
    let world = World::new();
    world.add(&fixture("tiny-llama-GGUF"), "org/gguf");
    let example = Path::new(env!("CARGO_BIN_EXE_tonnage")).with_file_name("examples/load_tensors");
    if !example.exists() {
        println!("SKIPPED: the example is not built");
        return;
    }
    let output = Command::new(example).arg(world.path("store")).arg("org/gguf").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.lines().any(|line| line.contains(" F32 ") && line.contains(" sum ")), "{said}");
    assert!(said.lines().any(|line| line.contains(" Q4_K ") && line.contains(" bytes ")), "{said}");
}

fn writable(path: &Path) -> File {
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    File::options().read(true).write(true).open(path).unwrap()
}

fn flip(file: &File, at: u64) {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}
