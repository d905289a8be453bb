use std::{fs, io::Write as _};

use super::*;

const SECOND: i64 = 1_000_000_000;

struct Host {
    dir: tempfile::TempDir,
    now_ns: i64,
}

impl Host {
    fn new() -> Self {
        Host { dir: tempfile::tempdir().unwrap(), now_ns: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn positions(&self) -> Arc<Mutex<Positions>> {
        Arc::new(Mutex::new(Positions::open(&self.path("positions.yaml")).unwrap()))
    }

    fn start_with(&self, pattern: &str, limits: LimitsConfig) -> Files {
        let config = FilesConfig {
            job: "j".to_owned(),
            host: "here".to_owned(),
            relabel: Vec::new(),
            encoding: Encoding::Utf8,
            decompress: None,
            limits,
            sync_period: Duration::from_secs(10),
            poll: Duration::from_millis(250),
        };
        let mut files = Files::new(config, self.positions(), Arc::default(), Arc::default());
        let path = self.path(pattern).display().to_string();
        files.set_targets(&[Labels::from_pairs([
            ("__path__", path.as_str()),
            ("job", "x"),
            ("__meta", "y"),
        ])]);
        files
    }

    fn start(&self, pattern: &str) -> Files {
        self.start_with(
            pattern,
            LimitsConfig { readline: None, max_streams: 0, max_line_size: 0, truncate: false },
        )
    }

    /// Steps for twenty seconds, so that everything is found and ended; entries arrive at once.
    fn lines(&mut self, files: &mut Files) -> Vec<String> {
        self.entries(files).into_iter().map(|e| e.line).collect()
    }

    fn entries(&mut self, files: &mut Files) -> Vec<Entry> {
        let mut out = Vec::new();
        for _ in 0..80 {
            self.now_ns += SECOND / 4;
            let entries = files.step(self.now_ns).0;
            out.extend(entries.into_iter().map(|mut e| {
                e.marks = Marks::default();
                e
            }));
        }
        out
    }

    /// Ends as a process does that has time to write its positions.
    fn stop(mut files: Files) {
        files.commit();
        files.positions.lock().write().unwrap();
    }
}

#[test]
fn labels_are_those_of_the_target_and_the_name_of_the_file() {
    let mut host = Host::new();
    host.append("a.log", "l\n");
    let mut files = host.start("*.log");
    let labels = host.entries(&mut files).remove(0).labels;
    assert_eq!(labels.len(), 2);
    assert_eq!(labels.value("filename"), host.path("a.log").display().to_string());
    files.set_targets(&[Labels::from_pairs([("__path__", "/x"), ("__host__", "elsewhere")])]);
    assert!(files.groups.is_empty());
}

#[test]
fn a_restart_goes_on_where_the_positions_say() {
    let mut host = Host::new();
    host.append("a.log", "1\n2\n");
    let mut files = host.start("*.log");
    assert_eq!(host.lines(&mut files), ["1", "2"]);
    host.append("a.log", "3\n");
    Host::stop(files);
    let mut files = host.start("*.log");
    assert_eq!(host.lines(&mut files), ["3"]);
}

#[test]
fn what_has_not_arrived_is_read_again_after_a_crash() {
    let mut host = Host::new();
    host.append("a.log", "1\n2\n");
    let mut files = host.start("*.log");
    let (entries, _) = files.step(1);
    assert_eq!(entries.len(), 2);
    Host::stop(files);
    drop(entries);
    let mut files = host.start("*.log");
    assert_eq!(host.lines(&mut files), ["1", "2"]);
}

#[test]
fn a_renamed_file_that_still_matches_is_not_read_again() {
    let mut host = Host::new();
    host.append("a.log", "1\n");
    let mut files = host.start("*.log*");
    assert_eq!(host.lines(&mut files), ["1"]);
    host.append("a.log", "2\n");
    fs::rename(host.path("a.log"), host.path("a.log.1")).unwrap();
    host.append("a.log", "3\n");
    let mut lines = host.lines(&mut files);
    lines.sort();
    assert_eq!(lines, ["2", "3"]);
    // And neither is one that was renamed while nobody looked.
    Host::stop(files);
    fs::rename(host.path("a.log.1"), host.path("a.log.2")).unwrap();
    fs::rename(host.path("a.log"), host.path("a.log.1")).unwrap();
    host.append("a.log.1", "4\n");
    host.append("a.log", "5\n");
    let mut files = host.start("*.log*");
    let mut lines = host.lines(&mut files);
    lines.sort();
    assert_eq!(lines, ["4", "5"]);
}

#[test]
fn a_rotated_file_that_no_longer_matches_is_read_to_its_end() {
    let mut host = Host::new();
    host.append("a.log", "1\n");
    let mut files = host.start("*.log");
    assert_eq!(host.lines(&mut files), ["1"]);
    host.append("a.log", "2\nno end");
    fs::rename(host.path("a.log"), host.path("old")).unwrap();
    host.append("a.log", "3\n");
    let mut lines = host.lines(&mut files);
    lines.sort();
    assert_eq!(lines, ["2", "3", "no end"]);
    assert_eq!(files.len(), 1);
}

#[test]
fn a_deleted_file_is_drained_and_forgotten() {
    let mut host = Host::new();
    host.append("a.log", "1\n");
    let mut files = host.start("*.log");
    host.lines(&mut files);
    host.append("a.log", "2\n");
    fs::remove_file(host.path("a.log")).unwrap();
    assert_eq!(host.lines(&mut files), ["2"]);
    assert_eq!(files.len(), 0);
    files.commit();
    assert!(files.positions.lock().get(&host.path("a.log").display().to_string()).is_none());
}

#[test]
fn copytruncate_loses_nothing_that_was_read_in_time() {
    let mut host = Host::new();
    host.append("a.log", "1\n2\n");
    let mut files = host.start("a.log");
    assert_eq!(host.lines(&mut files), ["1", "2"]);
    fs::write(host.path("a.log"), "").unwrap();
    assert!(host.lines(&mut files).is_empty());
    host.append("a.log", "3\n");
    assert_eq!(host.lines(&mut files), ["3"]);
    Host::stop(files);
    let mut files = host.start("a.log");
    assert!(host.lines(&mut files).is_empty());
}

#[test]
fn a_file_that_is_cut_and_grows_beyond_our_place_while_we_are_behind_is_read_from_its_start() {
    let mut host = Host::new();
    // More than is read at once, so that the end is not reached at the first look.
    let many =
        |word: &str, n: usize| (0..n).map(|i| format!("{word} {i}")).collect::<Vec<_>>().join("\n") + "\n";
    let old = many("old", 60_000);
    host.append("a.log", &old);
    let mut files = host.start("a.log");
    let (first, _) = files.step(host.now_ns);
    assert!(!first.is_empty() && first.len() < 60_000, "{}", first.len());
    drop(first);
    fs::write(host.path("a.log"), many("new", 120_000)).unwrap();
    let lines = host.lines(&mut files);
    let fresh: Vec<&String> = lines.iter().filter(|l| l.starts_with("new")).collect();
    assert_eq!(fresh.len(), 120_000);
    assert_eq!((fresh[0].as_str(), fresh[119_999].as_str()), ("new 0", "new 119999"));
}

#[test]
fn a_positions_file_of_promtail_is_gone_on_from() {
    let mut host = Host::new();
    host.append("a.log", "1\n2\n");
    let text = format!("positions:\n  {}: \"2\"\n", host.path("a.log").display());
    fs::write(host.path("positions.yaml"), text).unwrap();
    let mut files = host.start("*.log");
    assert_eq!(host.lines(&mut files), ["2"]);
}

#[test]
fn long_lines_are_dropped_or_cut_as_configured() {
    for (truncate, expected) in [(false, vec!["abc"]), (true, vec!["abc", "longe"])] {
        let mut host = Host::new();
        host.append("a.log", "abc\nlonger\n");
        let limits = LimitsConfig { readline: None, max_streams: 0, max_line_size: 5, truncate };
        let mut files = host.start_with("*.log", limits);
        assert_eq!(host.lines(&mut files), expected);
        let name = if truncate { "promtail_mutated_entries_total" } else { "promtail_dropped_entries_total" };
        assert_eq!(files.counters.get(name, &[("reason", "line_too_long")]), 1);
    }
}

/// The steps of a rotation by rename, interrupted anywhere, by a reader that dies anywhere.
#[test]
fn no_line_is_lost_or_doubled_through_rotations_and_restarts() {
    let mut host = Host::new();
    let mut seen: Vec<u32> = Vec::new();
    let mut files = host.start("*.log*");
    let mut dice = 12345u32;
    for n in 0..2000u32 {
        host.append("a.log", &format!("{n}\n"));
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if n % 50 == 49 {
            fs::rename(host.path("a.log"), host.path(&format!("a.log.{n}"))).unwrap();
        }
        if (dice >> 16).is_multiple_of(10) {
            host.now_ns += 11 * SECOND;
            let (entries, _) = files.step(host.now_ns);
            if (dice >> 20).is_multiple_of(5) {
                // It dies before these are written: they must come again.
                files.commit();
                files.positions.lock().write().unwrap();
                drop(entries);
                files = host.start("*.log*");
            } else {
                seen.extend(entries.iter().map(|e| e.line.parse::<u32>().unwrap()));
                drop(entries);
                files.commit();
            }
        }
    }
    seen.extend(host.lines(&mut files).iter().map(|l| l.parse::<u32>().unwrap()));
    seen.sort_unstable();
    assert_eq!(seen, (0..2000).collect::<Vec<_>>());
}
