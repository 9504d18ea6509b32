//! What every command needs: the store it works on, and how it talks.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use serde::Serialize;
use tonnage::config::Settings;
use tonnage::error::{FsError, StoreError};
use tonnage::store::{Access, Store};

use crate::args::Global;
use crate::fail::Failure;
use crate::out::Out;
use crate::watch::Interrupt;

pub struct Context {
    pub out: Out,
    pub interrupt: Interrupt,
    store: Option<(PathBuf, Origin)>,
    settings: OnceCell<Settings>,
}

/// Where a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    Flag,
    Env,
    /// The store's `config.toml`.
    File,
    Default,
}

impl Context {
    pub fn new(global: Global) -> Self {
        let out = Out::new(global.json, global.quiet);
        let store = global.store.map(|path| (path, Origin::Flag)).or_else(|| {
            let path = std::env::var_os("TONNAGE_HOME").filter(|path| !path.is_empty())?;
            Some((path.into(), Origin::Env))
        });
        Self { out, interrupt: Interrupt::default(), store, settings: OnceCell::new() }
    }

    /// Where the store is, or would be.
    pub fn store_path(&self) -> Result<PathBuf, Failure> {
        Ok(self.store_and_origin()?.0)
    }

    pub fn store_and_origin(&self) -> Result<(PathBuf, Origin), Failure> {
        if let Some(named) = &self.store {
            return Ok(named.clone());
        }
        let dirs = etcetera::choose_base_strategy().map_err(|_| {
            Failure::usage("no home directory, so no default place for the store")
                .hint("name one with --store or TONNAGE_HOME")
        })?;
        Ok((dirs.cache_dir().join("tonnage"), Origin::Default))
    }

    /// What `config.toml` says, read when somebody needs it: a broken file stops no command that
    /// does not.
    pub fn settings(&self) -> Result<&Settings, Failure> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let read = Settings::read(self.store_path()?)?;
        Ok(self.settings.get_or_init(|| read))
    }

    /// To look at.
    pub fn read(&self) -> Result<Store, Failure> {
        Ok(Store::open(self.store_path()?, Access::Read)?)
    }

    /// To add to: one that is not there is made.
    pub fn make(&self) -> Result<Store, Failure> {
        Ok(Store::open(self.store_path()?, Access::Write)?)
    }

    /// To bring bytes in, within the limits of `config.toml`: what it says must be understood.
    pub fn fill(&self) -> Result<Store, Failure> {
        let limits = self.settings()?.limits;
        let store = self.make()?;
        store.set_limits(limits);
        Ok(store)
    }

    /// To change: one that is not there is an error, because nothing could be removed from it.
    pub fn change(&self) -> Result<Store, Failure> {
        let path = self.store_path()?;
        require(&path)?;
        Ok(Store::open(path, Access::Write)?)
    }

    /// To change where that is possible, else to look at.
    pub fn learn(&self) -> Result<Store, Failure> {
        let path = self.store_path()?;
        require(&path)?;
        match Store::open(&path, Access::Write) {
            Err(StoreError::ReadOnly { .. }) => Ok(Store::open(path, Access::Read)?),
            other => Ok(other?),
        }
    }
}

fn require(path: &Path) -> Result<(), Failure> {
    match path.join("FORMAT").try_exists() {
        Ok(false) => Err(StoreError::NoStore { path: path.into() }.into()),
        _ => Ok(()), // opening it tells what is wrong
    }
}

impl From<FsError> for Failure {
    fn from(e: FsError) -> Self {
        StoreError::from(e).into()
    }
}
