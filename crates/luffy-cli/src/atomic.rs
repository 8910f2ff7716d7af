//! Files and folders that are either whole or absent, whatever happens while they are written.
//!
//! New content goes to a hidden neighbour `.NAME.tmp`, is synced to the disk, and takes its place by
//! one rename. A crash in between leaves at most a stale `.NAME.tmp`, which nobody reads.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use luffy_core::durable;

use crate::exit::{Code, WithCode};

/// Writes a file in one piece: readers see the old content or the new, never a part.
///
/// The content and the name are on the disk when it returns.
///
/// # Errors
/// If the folder does not exist or cannot be written; the message names the path. The old content
/// is then untouched.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let context = || format!("cannot write {}", path.display());
    write_atomic_with(path, |file| file.write_all(bytes).with_context(context))
}

/// Writes a file in one piece, as [`write_atomic`], without holding it in memory: `fill` writes it.
///
/// # Errors
/// What `fill` says, or what [`write_atomic`] does. The old content is then untouched.
pub fn write_atomic_with(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let context = || format!("cannot write {}", path.display());
    if path.file_name().is_none() {
        bail!("{}: the path names no file", context());
    }
    durable::write_with(path, fill, |error| anyhow::Error::from(error).context(context()))
}

/// Gives a finished folder its name: syncs every file and folder in `tmp`, then renames it.
///
/// # Errors
/// If `target` exists and is not an empty folder, or anything cannot be read, synced or renamed; the
/// message names the path.
pub fn commit_dir(tmp: &Path, target: &Path) -> anyhow::Result<()> {
    sync_tree(tmp)?;
    fs::rename(tmp, target)
        .with_context(|| format!("cannot rename {} to {}", tmp.display(), target.display()))?;
    durable::sync_parent(target)
        .with_context(|| format!("cannot sync the folder of {}", target.display()))
}

/// Builds a folder that must not exist yet: `fill` writes to a temporary neighbour, which takes its place in
/// one rename, or is removed if `fill` fails.
///
/// # Errors
/// If the path names no folder or something is there, and what `fill` and [`commit_dir`] say.
pub fn new_dir(path: &Path, fill: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if path.file_name().is_none() {
        return Err(anyhow!("{} names no folder", path.display())).code(Code::Config);
    }
    // Also a link that leads nowhere is in the way.
    if fs::symlink_metadata(path).is_ok() {
        let error = anyhow!("{} exists; name a folder that does not", path.display());
        return Err(error).code(Code::Config);
    }
    let tmp = durable::temporary_path(path);
    let remove = || match fs::symlink_metadata(&tmp) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(&tmp),
        Ok(_) => fs::remove_file(&tmp),
        Err(_) => Ok(()),
    };
    remove().with_context(|| format!("cannot remove {}", tmp.display()))?;
    fs::create_dir_all(&tmp).with_context(|| format!("cannot make {}", tmp.display()))?;
    let filled = fill(&tmp).and_then(|()| commit_dir(&tmp, path));
    if filled.is_err() {
        // Best effort: the first error is the one to report.
        let _ = remove();
    }
    filled
}

/// Removes what a killed process left behind: every file and folder named `.*.tmp` in `dir` and
/// below. Links are not followed.
///
/// # Errors
/// If a folder cannot be listed or something in it cannot be removed; the message names the path.
pub fn remove_stale_tmp(dir: &Path) -> anyhow::Result<()> {
    for (path, kind) in entries(dir)? {
        if is_tmp(path.file_name()) {
            let removed =
                if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.with_context(|| format!("cannot remove {}", path.display()))?;
        } else if kind.is_dir() {
            remove_stale_tmp(&path)?;
        }
    }
    Ok(())
}

fn is_tmp(name: Option<&OsStr>) -> bool {
    name.is_some_and(|name| {
        let name = name.as_encoded_bytes();
        name.len() > 5 && name.starts_with(b".") && name.ends_with(b".tmp")
    })
}

/// What is in a folder, by name.
fn entries(dir: &Path) -> anyhow::Result<Vec<(PathBuf, fs::FileType)>> {
    let list = || -> std::io::Result<Vec<(PathBuf, fs::FileType)>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            entries.push((entry.path(), entry.file_type()?));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    };
    list().with_context(|| format!("cannot list {}", dir.display()))
}

fn sync_tree(dir: &Path) -> anyhow::Result<()> {
    for (path, kind) in entries(dir)? {
        if kind.is_dir() {
            sync_tree(&path)?;
        } else if kind.is_file() {
            File::open(&path)
                .and_then(|file| file.sync_all())
                .with_context(|| format!("cannot sync {}", path.display()))?;
        }
    }
    sync_dir(dir)
}

/// Makes the names in a folder durable.
fn sync_dir(dir: &Path) -> anyhow::Result<()> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .with_context(|| format!("cannot sync {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_leaves_no_neighbour() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(entries(dir.path()).unwrap().len(), 1);
    }

    #[test]
    fn a_failed_write_keeps_the_old_content_and_names_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        write_atomic(&path, b"old").unwrap();
        // The hidden neighbour cannot be created where a folder has its name.
        fs::create_dir(dir.path().join(".state.json.tmp")).unwrap();
        let error = write_atomic(&path, b"new").unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write {}", path.display()));
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn a_folder_appears_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (tmp, target) = (dir.path().join(".step-1.tmp"), dir.path().join("step-1"));
        fs::create_dir_all(tmp.join("hf")).unwrap();
        fs::write(tmp.join("hf/config.json"), "{}").unwrap();
        commit_dir(&tmp, &target).unwrap();
        assert!(!tmp.exists());
        assert_eq!(fs::read(target.join("hf/config.json")).unwrap(), b"{}");
    }

    #[test]
    fn a_folder_that_is_taken_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let (tmp, target) = (dir.path().join(".step-1.tmp"), dir.path().join("step-1"));
        fs::create_dir(&tmp).unwrap();
        fs::create_dir(&target).unwrap();
        fs::write(target.join("old"), "kept").unwrap();
        assert!(commit_dir(&tmp, &target).is_err());
        assert_eq!(fs::read(target.join("old")).unwrap(), b"kept");
    }

    #[test]
    fn a_new_folder_is_whole_or_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let failed = new_dir(&path, |tmp| {
            fs::write(tmp.join("half"), "").unwrap();
            bail!("no room")
        });
        assert_eq!(failed.unwrap_err().to_string(), "no room");
        assert!(entries(dir.path()).unwrap().is_empty());
        // What an earlier process left is no obstacle, whatever it is.
        fs::write(dir.path().join(".out.tmp"), "").unwrap();
        new_dir(&path, |tmp| write_atomic(&tmp.join("file"), b"x")).unwrap();
        assert_eq!(fs::read(path.join("file")).unwrap(), b"x");
        assert_eq!(entries(dir.path()).unwrap().len(), 1);
        assert!(new_dir(&path, |_| Ok(())).is_err());
        assert!(new_dir(&dir.path().join(".."), |_| Ok(())).is_err());
    }

    #[test]
    fn only_stale_names_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = dir.path().join("checkpoints");
        fs::create_dir_all(checkpoints.join(".step-2.tmp/hf")).unwrap();
        fs::create_dir_all(checkpoints.join("step-1")).unwrap();
        for name in [".latest.tmp", "latest", "a.tmp", ".lock"] {
            fs::write(checkpoints.join(name), "").unwrap();
        }
        remove_stale_tmp(dir.path()).unwrap();
        let names: Vec<String> = entries(&checkpoints)
            .unwrap()
            .into_iter()
            .map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, [".lock", "a.tmp", "latest", "step-1"]);
    }
}
