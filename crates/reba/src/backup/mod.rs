//! `reba backup` and `reba restore`: a data folder into a backup, while Reba runs or not, and back.

mod door;
mod gather;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Result, bail};
use clap::Args;
use jiff::Timestamp;
use reba_transfer::backup::{self, About, Restored};

pub use door::{Stores, open, tidy};

use crate::progress::{Progress, size};

/// Options of `backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Where it goes: a folder, or an archive if the name ends in .tar.zst. It must not exist.
    #[arg(value_name = "TO")]
    pub to: PathBuf,
    /// Where the data is kept.
    #[arg(long, default_value = "data", value_name = "DIR")]
    pub data: PathBuf,
}

/// Options of `restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup: a folder or an archive.
    #[arg(value_name = "FROM")]
    pub from: PathBuf,
    /// Where the data shall be kept: a folder that is empty or does not exist.
    #[arg(long, default_value = "data", value_name = "DIR", conflicts_with = "check")]
    pub data: PathBuf,
    /// Only read the backup, and say whether it is whole and as it was.
    #[arg(long)]
    pub check: bool,
}

/// Makes a backup; returns what to say about it.
pub fn back_up(args: &BackupArgs) -> Result<String> {
    let began = Instant::now();
    let gathered = gather::gather(&args.data)?;
    if gathered.files.is_empty() {
        bail!("{}: there is nothing to back up (--data)", args.data.display());
    }
    let mut progress = Progress::new();
    let taken_at = Timestamp::now().to_string();
    let mut report = |done, total| progress.show(done, total);
    let written = backup::write(&args.to, &gathered.files, env!("CARGO_PKG_VERSION"), &taken_at, &mut report);
    progress.clear();
    let about = written?;
    let how = if gathered.from_running { "of a running Reba" } else { "of a data folder that nobody uses" };
    Ok(format!(
        "{}: backup {how}, {}, in {:.1} s\n",
        args.to.display(),
        describe(&about),
        began.elapsed().as_secs_f64()
    ))
}

/// Brings a backup back, or checks it; returns what to say about it.
pub fn restore(args: &RestoreArgs) -> Result<String> {
    if !args.from.exists() {
        bail!("{}: no such backup", args.from.display());
    }
    let mut progress = Progress::new();
    let mut report = |done, total| progress.show(done, total);
    let (from, data) = (args.from.display(), args.data.display());
    if args.check {
        let about = backup::verify(&args.from, &mut report);
        progress.clear();
        return Ok(format!("{from}: whole and as it was: {}\n", describe(&about?)));
    }
    let restored = backup::restore(&args.from, &args.data, &mut report);
    progress.clear();
    Ok(match restored? {
        Restored::Done(about) => format!("{data}: restored {}\n", describe(&about)),
        Restored::Finished => {
            format!("{data}: an earlier restore was finished, whose files had all been checked\n")
        }
    })
}

fn describe(about: &About) -> String {
    format!(
        "{} files, {}, taken at {} by Reba {}",
        about.files,
        size(about.bytes),
        about.taken_at,
        about.version
    )
}

/// Fails if a restore into this folder began and did not end.
pub fn refuse_unfinished(data: &Path) -> Result<()> {
    if backup::unfinished(data) {
        let data = data.display();
        bail!("{data}: a restore into this folder did not end: run `reba restore FROM --data {data}` again");
    }
    Ok(())
}
