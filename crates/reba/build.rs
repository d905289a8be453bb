//! Lists the files of the web app for the binary to carry along. It builds nothing: `make build` runs npm before cargo.
//!
//! `web/dist` always exists, since one file of it is kept in the repository (`BUILD.md`): so cargo notices when the app is built.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let dist = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../web/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    walk(&dist, &dist, &mut files)?;
    files.sort();
    let mut out = String::from("&[\n");
    for (name, path) in files {
        writeln!(out, "    ({name:?}, include_bytes!({:?}) as &[u8]),", path.to_string_lossy())?;
    }
    out.push(']');
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("web_app.rs"), out)?;
    Ok(())
}

fn walk(root: &Path, folder: &Path, out: &mut Vec<(String, PathBuf)>) -> Result<(), Box<dyn Error>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        let name = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
        // The bundler's own notes, and ours.
        if name.starts_with('.') || name == "BUILD.md" {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, out)?;
        } else {
            out.push((name, path.canonicalize()?));
        }
    }
    Ok(())
}
