//! A simple model of the store, and thousands of random lives of both: what is listed, in the
//! trash, protected, evicted and accounted for is always the same in the two.
//!
//! `TONNAGE_SEEDS=<n>` lives so many lives instead of 100; `TONNAGE_SEED=<n>` only that one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fastrand::Rng;

use super::world::{self, Model};
use crate::fs::sim::{Fault, Keep, Plan, SimDisk, SimFs};
use crate::fs::{Dir, Fs, Kind};
use crate::space::{self, EvictGoal, EvictOptions, Evicted, RemoveOptions};
use crate::store::{Lease, Resolved, Store, Take, Trashed, empty_dir};
use crate::views::ViewOptions;

/// Models that share contents with each other, so that what goes does not always bring back bytes.
fn models() -> &'static [Model] {
    static MODELS: OnceLock<Vec<Model>> = OnceLock::new();
    MODELS.get_or_init(|| {
        let pool: Vec<_> = (0..7).map(|n| world::bytes(n, 3000 + 5000 * usize::from(n))).collect();
        let wanted: [(&str, &str, &[usize]); 6] = [
            ("org/0", "/src/0", &[0, 1]),
            ("org/1", "/src/1", &[1, 2]),
            ("org/2", "/src/2", &[3]),
            ("org/3", "/src/3", &[0, 4, 5]),
            ("org/4", "/src/4", &[5]),
            ("org/5", "/src/5", &[6, 3]),
        ];
        let names = ["a.bin", "b.bin", "c.bin"];
        let model = |(name, source, files): &(&'static str, &'static str, &[usize])| {
            let files: Vec<_> =
                names.iter().zip(*files).map(|(name, n)| (*name, pool[*n].clone())).collect();
            Model::new(name, source, &files)
        };
        wanted.iter().map(model).collect()
    })
}

/// What is known of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rev {
    pinned: bool,
    viewed: bool,
    /// Seconds, on the disk's clock.
    used: i64,
    /// In the order in which they came.
    number: u64,
}

/// The simple model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Book {
    live: BTreeMap<usize, Rev>,
    /// With when they may go.
    trash: BTreeMap<usize, (Rev, i64)>,
}

struct Life {
    disk: SimDisk,
    process: Arc<SimFs>,
    store: Option<Store>,
    leases: HashMap<usize, Lease>,
    book: Book,
    next: u64,
    rng: Rng,
    said: Vec<String>,
}

type Outcome = Result<(), String>;

#[test]
fn random_lives_keep_what_is_protected_and_account_for_every_byte() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("TONNAGE_SEED") {
        Some(one) => one..one + 1,
        None => 0..number("TONNAGE_SEEDS").unwrap_or(100),
    };
    for seed in seeds {
        let mut life = Life::new(seed);
        for step in 0..25 {
            if let Err(e) = life.step() {
                panic!("seed {seed}, step {step}: {e}\n{}", life.said.join("\n"));
            }
        }
    }
}

impl Life {
    fn new(seed: u64) -> Self {
        let all: Vec<_> = models().iter().collect();
        let disk = world::world(&all, |_| ());
        let process = disk.process();
        let store = Some(world::open(&process).unwrap());
        Self {
            disk,
            process,
            store,
            leases: HashMap::new(),
            book: Book::default(),
            next: 1,
            rng: Rng::with_seed(seed),
            said: Vec::new(),
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn resolve(&self, n: usize) -> Result<Resolved, String> {
        models()[n].resolve(self.store()).ok_or_else(|| format!("org/{n} does not resolve"))
    }

    /// One thing happens, and everything is looked at.
    fn step(&mut self) -> Outcome {
        // Now and then two uses are in the same second.
        if self.rng.u8(..4) > 0 {
            self.disk.advance(Duration::from_secs(self.rng.u64(1..2000)));
        }
        if self.rng.u8(..6) == 0 {
            self.crash()?;
        } else {
            self.act()?;
        }
        self.look()
    }

    fn any(&mut self) -> usize {
        self.rng.usize(..models().len())
    }

    fn any_live(&mut self) -> Option<usize> {
        let live: Vec<_> = self.book.live.keys().copied().collect();
        (!live.is_empty()).then(|| live[self.rng.usize(..live.len())])
    }

    fn is_protected(&self, n: usize) -> bool {
        self.leases.contains_key(&n) || self.book.live.get(&n).is_some_and(|r| r.pinned || r.viewed)
    }

    fn use_now(&mut self, n: usize) -> Outcome {
        let name = models()[n].manifest.to_string();
        let used = self.store().layout().used.stat(&name).map_err(|e| e.to_string())?.mtime_ns;
        let rev = self.book.live.get_mut(&n).ok_or("used and not there")?;
        rev.used = used.div_euclid(1_000_000_000);
        Ok(())
    }

    fn act(&mut self) -> Outcome {
        let text = |e: crate::error::StoreError| e.to_string();
        let what = self.rng.u8(..15);
        let n = match what {
            0..=3 => self.any(),
            _ => self.any_live().unwrap_or(0),
        };
        let is_live = self.book.live.contains_key(&n);
        self.said.push(format!("{what} on org/{n}"));
        match what {
            0..=3 => self.add(n),
            4 if is_live => {
                let pinned = self.rng.bool();
                self.store().set_pinned(&self.resolve(n)?, pinned).map_err(text)?;
                self.book.live.get_mut(&n).unwrap().pinned = pinned;
                Ok(())
            }
            5 if is_live => {
                let lease = self.store().lease(&self.resolve(n)?).map_err(text)?;
                self.leases.insert(n, lease);
                Ok(())
            }
            6 => {
                self.leases.remove(&n);
                Ok(())
            }
            7 if is_live => {
                match models()[n].checkout(self.store(), &view(n), ViewOptions::default()) {
                    // A power loss brought a part of one back that was removed.
                    Err(e) if e.starts_with(&view(n)) => return self.drop_view(n),
                    done => done?,
                }
                self.book.live.get_mut(&n).unwrap().viewed = true;
                self.use_now(n)
            }
            8 => self.drop_view(n),
            9 if is_live => {
                models()[n].managed(self.store())?;
                self.use_now(n)
            }
            10 => self.remove(n),
            11 => self.restore(),
            12 => self.evict_to_fit(),
            13 => self.evict_by_age(),
            14 if self.rng.bool() => self.clear(),
            _ => world::collect(self.store()),
        }
    }

    fn add(&mut self, n: usize) -> Outcome {
        models()[n].add(self.store(), Take::Auto)?;
        if !self.book.live.contains_key(&n) {
            // One that comes out of the trash keeps its place among those of the same second.
            let number = self.book.trash.remove(&n).map_or(self.next, |(rev, _)| rev.number);
            self.next += 1;
            // A view outlives the revision and presents it again.
            let viewed = self.is_viewed(n)?;
            self.book.live.insert(n, Rev { pinned: false, viewed, used: 0, number });
        }
        self.use_now(n)
    }

    /// A power loss may take the word that there is a view.
    fn is_viewed(&self, n: usize) -> Result<bool, String> {
        let views = self.store().live_views().map_err(|e| e.to_string())?;
        Ok(views.iter().any(|one| one.path == Path::new(&view(n))))
    }

    fn drop_view(&mut self, n: usize) -> Outcome {
        let home = Dir::open(&*self.process, Path::new("/home")).map_err(|e| e.to_string());
        let Ok(home) = home else { return Ok(()) };
        let name = format!("v{n}");
        if let Ok(dir) = home.open_dir(&name) {
            empty_dir(&dir).and_then(|_| home.remove_dir(&name)).map_err(|e| e.to_string())?;
        }
        if let Some(rev) = self.book.live.get_mut(&n) {
            rev.viewed = false;
        }
        Ok(())
    }

    fn keep(&mut self) -> Duration {
        if self.rng.bool() { Duration::ZERO } else { Duration::from_secs(1 << 40) }
    }

    fn remove(&mut self, n: usize) -> Outcome {
        if !self.book.live.contains_key(&n) {
            return Ok(());
        }
        let revision = [self.resolve(n)?];
        let keep = self.keep();
        let remove = |dry_run| {
            let options = RemoveOptions { dry_run, keep, ..RemoveOptions::default() };
            space::remove(self.store(), &revision, options).map_err(|e| e.to_string())
        };
        world::collect(self.store())?; // what there is to collect anyway is in no dry run
        let (plan, mut done) = (remove(true)?, remove(false)?);
        done.blobs = plan.blobs;
        same("rm", &plan, &done)?;
        same("rm: gone", &done.gone.is_empty(), &self.is_protected(n))?;
        if !done.gone.is_empty() {
            self.leave(n, keep)?;
        }
        Ok(())
    }

    /// A revision left, for good or to the trash.
    fn leave(&mut self, n: usize, keep: Duration) -> Outcome {
        if self.is_protected(n) {
            return Err(format!("org/{n} is protected and went"));
        }
        let rev = self.book.live.remove(&n).ok_or("it went and was not there")?;
        if !keep.is_zero() {
            let there = self.trashed(n)?;
            self.book.trash.insert(n, (Rev { pinned: false, ..rev }, there.until));
        }
        Ok(())
    }

    fn trashed(&self, n: usize) -> Result<Trashed, String> {
        let all = self.store().trashed().map_err(|e| e.to_string())?;
        let found = all.into_iter().find(|one| one.model.as_str() == models()[n].name);
        found.ok_or_else(|| format!("org/{n} is not in the trash"))
    }

    fn restore(&mut self) -> Outcome {
        let all: Vec<_> = self.book.trash.keys().copied().collect();
        let Some(n) = all.first().copied() else { return Ok(()) };
        let one = self.trashed(n)?;
        let refs = self.store().restore(&one).map_err(|e| e.to_string())?;
        same("restore: refs", &refs, &one.refs)?;
        let (mut rev, _) = self.book.trash.remove(&n).unwrap();
        rev.viewed = self.is_viewed(n)?;
        self.book.live.insert(n, rev);
        self.use_now(n)
    }

    /// The least recently used first; of the same second the one that came first.
    fn order(&self) -> Vec<usize> {
        let free = self.book.live.iter().filter(|(n, _)| !self.is_protected(**n));
        let mut order: Vec<_> = free.map(|(n, rev)| (rev.used, rev.number, *n)).collect();
        order.sort_unstable();
        order.into_iter().map(|(.., n)| n).collect()
    }

    fn evict(&self, goal: EvictGoal, keep: Duration) -> Result<Evicted, String> {
        world::collect(self.store())?;
        let evict = |dry_run| {
            let options = EvictOptions { dry_run, keep };
            space::evict(self.store(), goal, options).map_err(|e| e.to_string())
        };
        let (plan, mut done) = (evict(true)?, evict(false)?);
        done.freed.blobs = plan.freed.blobs;
        same("evict: plan", &plan.freed, &done.freed)?;
        Ok(done)
    }

    fn evict_to_fit(&mut self) -> Outcome {
        let size = self.physical()?;
        let most = size * self.rng.u64(..110) / 100;
        let order = self.order();
        let mut trash: Vec<_> =
            self.book.trash.iter().map(|(n, (rev, until))| (*until, rev.number, *n)).collect();
        trash.sort_unstable();
        let before = self.index_size()?;
        let done = self.evict(EvictGoal::MaxBytes(most), Duration::ZERO)?;
        let grown = self.index_size()?.saturating_sub(before);
        let purged: Vec<_> = done.freed.purged.iter().map(|gone| index(&gone.model)).collect();
        let gone: Vec<_> = done.freed.gone.iter().map(|gone| index(&gone.model)).collect();
        let trash: Vec<_> = trash.into_iter().map(|(.., n)| n).collect();
        if !trash.starts_with(&purged) || !order.starts_with(&gone) {
            return Err(format!("{purged:?} of {trash:?} and {gone:?} of {order:?} went"));
        }
        if !gone.is_empty() && purged.len() < trash.len() {
            return Err("a revision went before the trash was empty".to_owned());
        }
        // Never over the limit when a plan existed, but for what the index takes to forget.
        let all = gone.len() == order.len();
        if done.after > most + grown && !all {
            return Err(format!("{} is over {most}, and {order:?} could go", done.after));
        }
        if done.before <= most && !(purged.is_empty() && gone.is_empty()) {
            return Err("it did fit".to_owned());
        }
        self.book.trash.retain(|n, _| !purged.contains(n));
        gone.into_iter().try_for_each(|n| self.leave(n, Duration::ZERO))
    }

    fn index_size(&self) -> Result<u64, String> {
        self.store().layout().root.stat("index.redb").map(|s| s.allotted).map_err(|e| e.to_string())
    }

    fn evict_by_age(&mut self) -> Outcome {
        let uses: Vec<_> = self.book.live.values().map(|rev| rev.used).collect();
        let Some(time) = self.rng.choice(uses) else { return Ok(()) };
        let keep = self.keep();
        let book = self.book.clone();
        let expected: Vec<_> =
            self.order().into_iter().filter(|n| book.live[n].used < time).collect();
        let done = self.evict(EvictGoal::UsedSince(time), keep)?;
        let gone: Vec<_> = done.freed.gone.iter().map(|gone| index(&gone.model)).collect();
        same("evict by age", &gone, &expected)?;
        gone.into_iter().try_for_each(|n| self.leave(n, keep))
    }

    fn clear(&mut self) -> Outcome {
        let keep = self.keep();
        let expected = self.order();
        let done = self.evict(EvictGoal::Everything, keep)?;
        let gone: Vec<_> = done.freed.gone.iter().map(|gone| index(&gone.model)).collect();
        same("clear", &gone, &expected)?;
        if keep.is_zero() {
            self.book.trash.clear();
        }
        gone.into_iter().try_for_each(|n| self.leave(n, keep))
    }

    /// The process dies, or the power goes, while it does something. What is not what it did is as
    /// it was, and what it did is done or not.
    fn crash(&mut self) -> Outcome {
        let before = self.book.clone();
        let protected: BTreeSet<_> = before
            .live
            .iter()
            .filter(|(_, rev)| rev.pinned || rev.viewed)
            .map(|(n, _)| *n)
            .collect();
        let power = self.rng.bool();
        let fault = if power { Fault::PowerLoss } else { Fault::Kill };
        self.disk.arm(Plan::any(self.rng.u64(..200), fault));
        let _ = self.act(); // whatever it says: it may have died
        let after = std::mem::take(&mut self.book);
        self.leases.clear();
        self.store = None;
        if self.disk.fired() && power {
            self.disk.reboot(Keep::Torn(self.rng.u64(..)));
        } else {
            self.disk.arm(Plan::count_mutations());
            self.disk.kill(&self.process);
        }
        self.said.push(format!("crash, power {power}, fired {}", self.disk.fired()));
        self.process = self.disk.process();
        self.store = Some(world::open(&self.process)?);
        self.read_book(&before)?;
        for n in protected {
            if !self.book.live.contains_key(&n) {
                // Its protection was what the operation took away.
                let freed = after.live.get(&n).is_none_or(|rev| !rev.pinned && !rev.viewed);
                if !freed {
                    return Err(format!("org/{n} was protected and is gone"));
                }
            }
        }
        Ok(())
    }

    /// The book as the store has it: after a crash some things may have been or not.
    fn read_book(&mut self, before: &Book) -> Outcome {
        let listed = self.store().list().map_err(|e| e.to_string())?;
        self.book = Book::default();
        for one in listed {
            let n = index(&one.model);
            let number = one.id;
            let viewed = self.is_viewed(n)?;
            let rev = Rev { pinned: one.pinned, viewed, used: one.last_used, number };
            self.book.live.insert(n, rev);
        }
        for one in self.store().trashed().map_err(|e| e.to_string())? {
            let n = index(&one.model);
            let rev = Rev { pinned: false, viewed: false, used: 0, number: one.id };
            self.book.trash.insert(n, (rev, one.until));
        }
        let known = before.live.keys().chain(before.trash.keys()).count();
        if self.book.live.len() + self.book.trash.len() > known + 1 {
            return Err("revisions came that nobody added".to_owned());
        }
        let numbers = self.book.live.values().chain(self.book.trash.values().map(|(rev, _)| rev));
        self.next = numbers.map(|rev| rev.number).max().unwrap_or(0) + 1;
        Ok(())
    }

    /// Everything that can be counted is.
    fn look(&self) -> Outcome {
        let text = |e: crate::error::StoreError| e.to_string();
        let store = self.store();
        let found = store.fsck().map_err(text)?;
        same("fsck", &found.problems, &Vec::new())?;
        let usage = space::usage(store).map_err(text)?;
        let listed: BTreeMap<_, _> = usage
            .models
            .iter()
            .map(|m| (index(&m.revision.model), (m.revision.pinned, m.revision.last_used)))
            .collect();
        let live = self.book.live.iter().map(|(n, rev)| (*n, (rev.pinned, rev.used)));
        same("models, pins and uses", &listed, &live.collect())?;
        let trashed = store.trashed().map_err(text)?;
        let trashed: BTreeSet<_> = trashed.iter().map(|one| index(&one.model)).collect();
        same("trash", &trashed, &self.book.trash.keys().copied().collect())?;

        // By content: how many live models need it, and whether one in the trash does.
        let mut needs: BTreeMap<&[u8], (u64, bool)> = BTreeMap::new();
        for n in self.book.live.keys() {
            models()[*n].files.values().for_each(|b| needs.entry(b).or_default().0 += 1);
        }
        for n in self.book.trash.keys() {
            models()[*n].files.values().for_each(|b| needs.entry(b).or_default().1 = true);
        }
        let sum = |which: &dyn Fn(u64) -> bool| -> u64 {
            needs.iter().filter(|(_, (live, _))| which(*live)).map(|(b, _)| b.len() as u64).sum()
        };
        same("exclusive", &usage.exclusive, &sum(&|live| live == 1))?;
        same("shared", &usage.shared, &sum(&|live| live > 1))?;
        same("trashed", &usage.trashed, &sum(&|live| live == 0))?;
        same("physical", &usage.physical, &self.physical()?)?;
        for bytes in needs.keys() {
            let blob =
                self.disk.read_file(format!("/store/blobs/{}", blake3::hash(bytes).to_hex()));
            if blob.as_deref() != Some(*bytes) {
                return Err("a blob that is needed is not as it was".to_owned());
            }
        }
        Ok(())
    }

    /// What the store takes, by a walk that knows nothing of it.
    fn physical(&self) -> Result<u64, String> {
        fn walk(dir: &Dir, seen: &mut BTreeSet<u64>) -> crate::fs::Result<u64> {
            let mut bytes = dir.stat_self()?.allotted;
            for entry in dir.list()? {
                if entry.kind == Kind::Dir {
                    bytes += walk(&dir.open_dir(&entry.name)?, seen)?;
                    continue;
                }
                let stat = dir.stat(&entry.name)?;
                if seen.insert(stat.ino) {
                    bytes += stat.allotted;
                }
            }
            Ok(bytes)
        }
        let root = Dir::open(&*self.process as &dyn Fs, Path::new("/store"));
        root.and_then(|dir| walk(&dir, &mut BTreeSet::new())).map_err(|e| e.to_string())
    }
}

fn view(n: usize) -> String {
    format!("/home/v{n}")
}

fn index(model: &crate::model::ModelId) -> usize {
    models().iter().position(|one| one.name == model.as_str()).unwrap()
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, left: &T, right: &T) -> Outcome {
    if left == right { Ok(()) } else { Err(format!("{what}: {left:?} and {right:?}")) }
}
