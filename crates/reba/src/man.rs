//! `reba man`: a manual page for every command, made of what its help says.

use std::{fmt::Write as _, fs, io, path::Path};

use anyhow::{Context as _, Result};
use clap::Command;
use clap_mangen::Man;
use jiff::Timestamp;

/// Writes a page for the command and each one below it into a folder that exists.
pub fn write(mut command: Command, dir: &Path, date: Timestamp) -> Result<()> {
    command = command.disable_help_subcommand(true);
    command.build();
    let date = date.strftime("%F").to_string();
    pages(&command, &date, &mut |name, page| {
        let path = dir.join(format!("{name}.1"));
        fs::write(&path, page).with_context(|| path.display().to_string())
    })
}

/// Commands are nested as deep as they are written, three levels at most.
fn pages(command: &Command, date: &str, each: &mut dyn FnMut(&str, Vec<u8>) -> Result<()>) -> Result<()> {
    for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        pages(below, date, each)?;
    }
    let name = command.get_display_name().unwrap_or(command.get_name());
    each(name, page(command, name, date)?)
}

fn page(command: &Command, name: &str, date: &str) -> io::Result<Vec<u8>> {
    let version = concat!("Reba ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).title(name).date(date).source(version).manual("Manual of Reba");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if command.has_subcommands() {
        out.extend(b".SH COMMANDS\n");
        man.render_subcommands_section(&mut out)?;
    }
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    out.extend(sections(&after).into_bytes());
    let others = if name == "reba" { "systemctl(1), promtool(1)" } else { "reba(1)" };
    out.extend(format!(".SH SEE ALSO\n{others}\n").into_bytes());
    Ok(out)
}

/// What stands below the options of a help text: `Exit codes: …` and blocks with a heading are sections of their own, all else
/// are notes.
fn sections(after: &str) -> String {
    let (mut status, mut notes, mut blocks) = (String::new(), String::new(), String::new());
    for paragraph in after.split("\n\n") {
        if let Some(codes) = paragraph.strip_prefix("Exit codes: ") {
            status.push_str(".SH EXIT STATUS\n");
            for code in codes.trim_end_matches('.').split("; ") {
                let (number, meaning) = code.split_once(' ').unwrap_or((code, ""));
                let _ = write!(status, ".TP\n.B {number}\n{}\n", escaped(meaning));
            }
        } else if let Some((heading, lines)) = paragraph.split_once(":\n") {
            let _ = write!(blocks, ".SH {}\n.nf\n", heading.to_uppercase());
            for line in lines.lines() {
                let _ = writeln!(blocks, "{}", escaped(line.trim_start()));
            }
            blocks.push_str(".fi\n");
        } else if !paragraph.is_empty() {
            notes.push_str(if notes.is_empty() { ".SH NOTES\n" } else { ".PP\n" });
            let _ = writeln!(notes, "{}", escaped(paragraph));
        }
    }
    status + &notes + &blocks
}

/// A text in which no character means something to roff.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn every_command_has_a_page_with_a_date_its_examples_and_its_exit_codes() {
        let dir = tempfile::tempdir().unwrap();
        write(Cli::command(), dir.path(), Timestamp::UNIX_EPOCH).unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        let page = read("reba-query-logql.1");
        assert!(page.contains(".TH reba-query-logql 1 1970-01-01 "), "{page}");
        for part in [".SH EXAMPLES\n.nf\nreba query logql", ".SH EXIT STATUS\n.TP\n.B 0\n", "\\-\\-limit"] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        assert!(fs::read_dir(dir.path()).unwrap().count() > 35);
        assert!(!page.contains(".SH EXTRA") && read("reba.1").contains(".SH ENVIRONMENT"));
    }

    #[test]
    fn nothing_in_a_text_means_something_to_roff() {
        let made = sections("Examples:\n  .x 'a' \\n --b\n\nNotes.\n\nExit codes: 0 done; 1 failed.");
        let want = ".SH EXIT STATUS\n.TP\n.B 0\ndone\n.TP\n.B 1\nfailed\n.SH NOTES\nNotes.\n\
                    .SH EXAMPLES\n.nf\n\\&.x \\(aqa\\(aq \\en \\-\\-b\n.fi\n";
        assert_eq!(made, want);
    }
}
