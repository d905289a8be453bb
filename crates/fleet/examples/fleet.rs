//! The simulated services alone: `cargo run -p easymo-fleet --example fleet -- [--seed N] [--speed X] [--port-offset N] [--logs DIR]`.
#![allow(clippy::print_stdout)]

use std::{error::Error, time::SystemTime};

use easymo_fleet::{Addressing, Fleet, FleetConfig, LogFiles};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut config = FleetConfig::new(1, SystemTime::now());
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--seed" => config.seed = value.parse()?,
            "--speed" => config.speed = value.parse()?,
            "--port-offset" => config.addressing = Addressing::Documented { port_offset: value.parse()? },
            "--logs" => config.logs = Some(LogFiles::below(value)),
            _ => return Err(format!("unknown flag {flag}").into()),
        }
    }
    let fleet = Fleet::start(config).await?;
    for endpoint in fleet.endpoints() {
        println!("{:<22} http://{}{}", endpoint.service, endpoint.addr, endpoint.metrics_path);
    }
    let control = fleet.control_addr();
    println!("{:<22} curl -X POST http://{control}/incidents/payments-down/start", "incidents");
    tokio::signal::ctrl_c().await?;
    fleet.shutdown().await;
    Ok(())
}
