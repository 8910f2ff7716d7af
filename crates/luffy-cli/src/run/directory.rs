//! Making and opening a run directory. Nothing is ever overwritten silently.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use crate::atomic::write_atomic;
use crate::config::RunConfig;
use crate::exit::{Code, WithCode};

/// A run directory that this process holds alone.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    // Held for its lock, which the system releases with the process, however it ends.
    _lock: File,
}

impl RunDir {
    /// Makes a directory that does not exist yet (an empty one is taken too) and stores the configuration.
    ///
    /// # Errors
    /// If the directory holds anything, or cannot be written.
    pub fn create(path: &Path, config: &RunConfig) -> anyhow::Result<Self> {
        if path.exists() && fs::read_dir(path).map_or(true, |mut entries| entries.next().is_some())
        {
            let hint = if path.join("config.toml").exists() {
                format!("continue it with `--resume {}` or choose another `--out`", path.display())
            } else {
                "choose another `--out`".to_owned()
            };
            return Err(anyhow!("{} exists already; {hint}", path.display())).code(Code::Config);
        }
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        let lock = lock(path)?;
        let text =
            toml::to_string(config).context("the configuration cannot be written as TOML")?;
        write_atomic(&path.join("config.toml"), text.as_bytes())?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Opens the directory of an earlier run and reads its configuration.
    ///
    /// # Errors
    /// If it is no run directory, another process works in it, or its configuration cannot be read.
    pub fn open(path: &Path) -> anyhow::Result<(Self, RunConfig)> {
        let config = stored_config(path)?;
        let lock = lock(path)?;
        Ok((Self { path: path.to_owned(), _lock: lock }, config))
    }

    /// Makes a directory unless it is there, whatever is in it, and holds it.
    ///
    /// # Errors
    /// If it cannot be written, or another process works in it.
    pub(crate) fn claim(path: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path: path.to_owned(), _lock: lock(path)? })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The configuration that a run directory was made with.
///
/// # Errors
/// If it is no run directory, or its configuration cannot be read.
pub(crate) fn stored_config(path: &Path) -> anyhow::Result<RunConfig> {
    let file = path.join("config.toml");
    let text = fs::read_to_string(&file)
        .with_context(|| format!("{} is no run directory: cannot read config.toml", path.display()))
        .code(Code::Config)?;
    toml::from_str(&text)
        .with_context(|| format!("{} does not fit this version", file.display()))
        .code(Code::Config)
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let file = path.join(".lock");
    let lock = File::create(&file).with_context(|| format!("cannot write {}", file.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            bail!("another process works in {}", path.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", file.display()))
        }
    }
}

/// `runs/NAME`, or the first of `runs/NAME-2`, `runs/NAME-3`, ... that does not exist.
pub fn free_run_dir(name: &str) -> PathBuf {
    let mut path = Path::new("runs").join(name);
    let mut n = 1;
    while path.exists() {
        n += 1;
        path = Path::new("runs").join(format!("{name}-{n}"));
    }
    path
}
