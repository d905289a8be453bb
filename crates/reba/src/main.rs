//! `reba`: configuration, wiring, reload and shutdown; no logic worth a unit test lives here.

fn main() {}
