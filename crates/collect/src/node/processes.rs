//! Processes and threads: how many there are, and in which states.

use std::collections::BTreeMap;

use super::{Files, Node, Outcome};
use crate::page::Page;

/// `processes`
pub fn processes(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let (mut pids, mut threads) = (0.0, 0.0);
    let (mut states, mut thread_states) = (BTreeMap::new(), BTreeMap::new());
    for pid in files.proc_names("")?.iter().filter(|name| is_number(name)) {
        // It may be gone by now.
        let Some((state, count)) = files.proc(&format!("{pid}/stat")).ok().and_then(state_and_threads) else {
            continue;
        };
        pids += 1.0;
        threads += count;
        *states.entry(state).or_insert(0.0) += 1.0;
        *thread_states.entry(state).or_insert(0.0) += 1.0;
        if count <= 1.0 {
            continue;
        }
        for thread in files.proc_names(&format!("{pid}/task")).unwrap_or_default() {
            if thread == *pid {
                continue;
            }
            let stat = files.proc(&format!("{pid}/task/{thread}/stat"));
            if let Some((state, _)) = stat.ok().and_then(state_and_threads) {
                *thread_states.entry(state).or_insert(0.0) += 1.0;
            }
        }
    }
    let most_threads: f64 = files.proc_number("sys/kernel/threads-max")?;
    let most_pids: f64 = files.proc_number("sys/kernel/pid_max")?;
    page.gauge("node_processes_pids", "Processes.").value(pids);
    page.gauge("node_processes_threads", "Threads.").value(threads);
    page.gauge("node_processes_max_threads", "Threads at most.").value(most_threads);
    page.gauge("node_processes_max_processes", "Processes at most.").value(most_pids);
    for (state, n) in states {
        let state = state.to_string();
        page.gauge("node_processes_state", "Processes by state.").with(&[("state", &state)], n);
    }
    for (state, n) in thread_states {
        let state = state.to_string();
        page.gauge("node_processes_threads_state", "Threads by state.").with(&[("thread_state", &state)], n);
    }
    Ok(())
}

fn is_number(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit())
}

/// The state, and the number of threads, behind the name, which may hold anything.
fn state_and_threads(stat: &str) -> Option<(char, f64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(16)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_programs_do_not_mislead() {
        let stat = "7 (a) S 1) (b) R 1 7 7 0 -1 4194560 1 0 0 0 3 4 0 0 20 0 12 0 100 0 0";
        assert_eq!(state_and_threads(stat), Some(('R', 12.0)));
        assert_eq!(state_and_threads("7 (x"), None);
    }
}
