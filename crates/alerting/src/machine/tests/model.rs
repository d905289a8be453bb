//! Whatever happens, receivers end up knowing what is, and hear nothing twice.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::testing::{HOUR, SECOND, START, Sim};

const CONFIG: &str = r"
route:
  receiver: R
  group_by: [g]
  repeat_interval: 1000h
  routes:
  - {receiver: S, matchers: ['n=~[02468]'], continue: true}
  - {receiver: R}
receivers: [{name: R}, {name: S, kinds: [webhook, slack]}]
";

#[derive(Clone, Debug)]
enum Step {
    Fire(u8),
    Resolve(u8),
    Wait(u16),
    Break(bool),
    Mend,
    Restart,
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..10).prop_map(Step::Fire),
        4 => (0u8..10).prop_map(Step::Resolve),
        6 => (1u16..700).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Break),
        1 => Just(Step::Mend),
        1 => Just(Step::Restart),
        1 => Just(Step::Reload),
    ]
}

fn labels(n: u8) -> String {
    format!("n={n} g={}", n % 3)
}

/// What was said so far, over restarts.
#[derive(Default)]
struct Ears {
    /// By integration and group: the firing and resolved alerts, the last first.
    told: BTreeMap<(String, String), (BTreeSet<String>, BTreeSet<String>)>,
}

impl Ears {
    fn listen(&mut self, sim: &mut Sim) -> Result<(), TestCaseError> {
        for (line, note) in sim.said.drain(..).zip(sim.notes.drain(..)) {
            let names = |firing: bool| -> BTreeSet<String> {
                let alerts = note.alerts.iter().filter(|a| a.firing == firing);
                alerts.map(|a| a.labels.value("n").to_owned()).collect()
            };
            let integration = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let new = (names(true), names(false));
            let key = (integration, note.group_key.to_string());
            if let Some(old) = self.told.insert(key, new.clone()) {
                prop_assert!(old != new, "said twice: {}", line);
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn receivers_end_up_knowing_what_is_and_hear_nothing_twice(steps in proptest::collection::vec(step(), 1..60)) {
        let mut sim = Sim::new(CONFIG);
        let mut ears = Ears::default();
        let mut firing = BTreeSet::new();
        for step in steps {
            match step {
                Step::Fire(n) => {
                    sim.fire(&labels(n));
                    firing.insert(n);
                }
                Step::Resolve(n) => {
                    sim.resolve(&labels(n));
                    firing.remove(&n);
                }
                Step::Wait(seconds) => {
                    let offset = sim.now_ms - START + i64::from(seconds) * SECOND;
                    sim.to(offset);
                }
                Step::Break(which) => {
                    sim.broken.insert(if which { "R" } else { "S" }.to_owned());
                }
                Step::Mend => sim.broken.clear(),
                Step::Restart => {
                    ears.listen(&mut sim)?;
                    sim = sim.restart();
                }
                Step::Reload => sim.reload(CONFIG),
            }
            ears.listen(&mut sim)?;
        }
        sim.broken.clear();
        let offset = sim.now_ms - START + HOUR;
        sim.to(offset);
        ears.listen(&mut sim)?;
        let mut wanted: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for n in &firing {
            let group = |route: &str| format!("{{}}/{route}:{{g=\"{}\"}}", n % 3);
            let mut add = |integration: &str, route: &str| {
                wanted.entry((integration.to_owned(), group(route))).or_default().insert(n.to_string());
            };
            if n % 2 == 0 {
                add("S/webhook[0]", "{n=~\"[02468]\"}");
                add("S/slack[0]", "{n=~\"[02468]\"}");
            }
            add("R/webhook[0]", "{}");
        }
        let known: BTreeMap<_, _> = ears.told.into_iter().map(|(k, t)| (k, t.0)).filter(|(_, f)| !f.is_empty()).collect();
        prop_assert_eq!(known, wanted);
        prop_assert_eq!(sim.machine.totals().stored, firing.len());
    }
}
