//! Backups: what goes in comes out, and nothing else does.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use reba_transfer::backup::{self, BackupError, Restored, SourceFile};
use tempfile::TempDir;

const FORMS: [&str; 2] = ["b", "b.tar.zst"];

fn no_progress() -> impl FnMut(u64, u64) {
    |_, _| {}
}

/// A data folder with files of several sizes, and a backup of it.
fn made(form: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    for (name, size) in [
        ("metrics/wal/0000000001.log", 70_000),
        ("metrics/blocks/1/index", 10),
        ("empty", 0),
        ("état.db", 300),
    ] {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, (0..size).map(|i| (i * 31 % 251) as u8).collect::<Vec<u8>>()).unwrap();
    }
    fs::write(root.join("lock"), "x").unwrap();
    let files = backup::below(&root, "", &|name| name != "lock").unwrap();
    let target = dir.path().join(form);
    let mut seen = Vec::new();
    let about = backup::write(&target, &files, "1.2.3", "2026-01-01T00:00:00Z", &mut |done, total| {
        seen.push((done, total));
    })
    .unwrap();
    assert_eq!((about.files, about.bytes), (4, 70_310));
    assert_eq!(seen.last(), Some(&(70_310, 70_310)));
    (dir, target)
}

fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = backup::below(root, "", &|_| true).unwrap();
    files.into_iter().map(|f| (f.name, fs::read(f.path).unwrap())).collect()
}

#[test]
fn what_goes_in_comes_out_in_both_forms() {
    for form in FORMS {
        let (dir, target) = made(form);
        assert_eq!(backup::verify(&target, &mut no_progress()).unwrap().files, 4);
        let back = dir.path().join("back");
        let restored = backup::restore(&target, &back, &mut no_progress()).unwrap();
        assert!(matches!(restored, Restored::Done(about) if about.version == "1.2.3"));
        let mut want = tree(&dir.path().join("data"));
        want.remove("lock");
        assert_eq!(tree(&back), want);
        assert!(!backup::unfinished(&back));
    }
}

#[test]
fn nothing_is_overwritten_and_what_a_crash_left_is_replaced() {
    for form in FORMS {
        let (dir, target) = made(form);
        let files = backup::below(&dir.path().join("data"), "", &|_| true).unwrap();
        let again = backup::write(&target, &files, "", "", &mut no_progress());
        assert!(matches!(again, Err(BackupError::InTheWay { .. })));
        let data = dir.path().join("data");
        assert!(matches!(
            backup::restore(&target, &data, &mut no_progress()),
            Err(BackupError::InTheWay { .. })
        ));

        let other = dir.path().join(format!("other-{form}"));
        let partial = dir.path().join(format!("other-{form}.partial"));
        if form.ends_with("zst") {
            fs::write(&partial, "half").unwrap();
        } else {
            fs::create_dir(&partial).unwrap();
            fs::write(partial.join("half"), "").unwrap();
        }
        backup::write(&other, &files, "", "", &mut no_progress()).unwrap();
        assert!(!partial.exists());
        backup::verify(&other, &mut no_progress()).unwrap();
    }
}

#[test]
fn a_restore_that_was_killed_begins_again_or_is_finished() {
    let (dir, target) = made("b.tar.zst");
    let back = dir.path().join("back");
    // Killed while it unpacked.
    fs::create_dir_all(back.join("restore.tmp/metrics")).unwrap();
    fs::write(back.join("restore.tmp/metrics/half"), "").unwrap();
    assert!(backup::unfinished(&back));
    backup::restore(&target, &back, &mut no_progress()).unwrap();
    let want = tree(&back);
    assert!(!want.contains_key("metrics/half"));
    // Killed while files came to their places.
    fs::create_dir(back.join("restore.checked")).unwrap();
    fs::rename(back.join("metrics"), back.join("restore.checked/metrics")).unwrap();
    assert!(backup::unfinished(&back));
    assert_eq!(backup::restore(&target, &back, &mut no_progress()).unwrap(), Restored::Finished);
    assert_eq!(tree(&back), want);
    assert!(!backup::unfinished(&back));
}

#[test]
fn an_archive_cut_or_changed_anywhere_gives_back_what_it_held_or_nothing() {
    let (dir, target) = made("b.tar.zst");
    let bytes = fs::read(&target).unwrap();
    let back = dir.path().join("back");
    let mut want = tree(&dir.path().join("data"));
    want.remove("lock");
    let refused = |bytes: &[u8], what: &str| {
        let bad = dir.path().join("bad.tar.zst");
        fs::write(&bad, bytes).unwrap();
        let result = backup::restore(&bad, &back, &mut no_progress());
        assert!(result.is_err(), "{what}: {result:?}");
        assert!(backup::verify(&bad, &mut no_progress()).is_err(), "{what}");
        assert_eq!(fs::read_dir(&back).unwrap().count(), 0, "{what}");
    };
    for cut in (0..bytes.len()).step_by(bytes.len() / 23 + 1) {
        refused(&bytes[..cut], &format!("cut at {cut}"));
    }
    let mut accepted = 0;
    for at in (0..bytes.len()).step_by(bytes.len() / 97 + 1) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        let bad = dir.path().join("changed.tar.zst");
        fs::write(&bad, changed).unwrap();
        // Some bits of the packed form mean nothing: then all that is unpacked is as it was.
        if backup::restore(&bad, &back, &mut no_progress()).is_ok() {
            accepted += 1;
            assert_eq!(tree(&back), want, "changed at {at}");
            fs::remove_dir_all(&back).unwrap();
            fs::create_dir(&back).unwrap();
        }
        assert_eq!(fs::read_dir(&back).unwrap().count(), 0, "changed at {at}");
    }
    assert!(accepted < 10, "{accepted} changes were not noticed");
}

#[test]
fn a_file_that_is_missing_changed_or_foreign_is_named() {
    type Harm = fn(&Path);
    let change: [(&str, Harm); 5] = [
        ("metrics/blocks/1/index is missing", |b| fs::remove_file(b.join("metrics/blocks/1/index")).unwrap()),
        ("empty is not as it was", |b| fs::write(b.join("empty"), "x").unwrap()),
        ("foreign does not belong", |b| fs::write(b.join("foreign"), "").unwrap()),
        ("not a whole one", |b| fs::remove_file(b.join("reba-backup.json")).unwrap()),
        ("SHA256SUMS is not as it was", |b| fs::write(b.join("SHA256SUMS"), "").unwrap()),
    ];
    for (reason, change) in change {
        let (dir, target) = made("b");
        change(&target);
        let error = backup::restore(&target, &dir.path().join("back"), &mut no_progress()).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
    let (dir, target) = made("b");
    let about = fs::read_to_string(target.join("reba-backup.json")).unwrap();
    fs::write(target.join("reba-backup.json"), about.replace("\"format\": 1", "\"format\": 2")).unwrap();
    let error = backup::verify(&target, &mut no_progress()).unwrap_err();
    assert!(error.to_string().contains("a newer version"), "{error}");
    drop(dir);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let hostile = |name: &str, kind: tar::EntryType| {
        let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
        let mut header = tar::Header::new_old();
        // `append_data` would refuse such a name, too.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(1);
        header.set_cksum();
        tar.append(&header, &b"x"[..]).unwrap();
        let path = dir.path().join("hostile.tar.zst");
        fs::write(&path, tar.into_inner().unwrap().finish().unwrap()).unwrap();
        path
    };
    for (name, kind) in [
        ("../out", tar::EntryType::Regular),
        ("/tmp/outside-of-the-folder", tar::EntryType::Regular),
        ("a/../../out", tar::EntryType::Regular),
        ("link", tar::EntryType::Symlink),
        ("device", tar::EntryType::Char),
    ] {
        let data = dir.path().join("in/data");
        let error = backup::restore(&hostile(name, kind), &data, &mut no_progress()).unwrap_err();
        assert!(error.to_string().contains("does not belong"), "{name}: {error}");
        assert!(!dir.path().join("in/out").exists() && !Path::new("/tmp/outside-of-the-folder").exists());
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
    }
}

#[test]
fn a_file_that_grows_gives_its_first_bytes_and_one_that_shrinks_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wal");
    fs::write(&path, "0123456789").unwrap();
    let file = |bytes| [SourceFile { name: "wal".to_owned(), path: path.clone(), bytes }];
    for form in FORMS {
        let target = dir.path().join(form);
        backup::write(&target, &file(4), "", "", &mut no_progress()).unwrap();
        let back = dir.path().join(format!("back-{form}"));
        backup::restore(&target, &back, &mut no_progress()).unwrap();
        assert_eq!(fs::read_to_string(back.join("wal")).unwrap(), "0123");
        let short =
            backup::write(&dir.path().join(format!("short-{form}")), &file(40), "", "", &mut no_progress());
        assert!(short.is_err());
        assert!(!dir.path().join(format!("short-{form}")).exists());
    }
}
