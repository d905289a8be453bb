//! The mapped pages of the program's own code.
#![allow(unsafe_code)]

use std::{fs, io, ops::Range};

/// Gives back the pages of the program's code that are mapped; returns how many bytes of code there are. The pages stay in the
/// kernel's cache of files, from where those that are used again come back within microseconds.
///
/// A start runs through much code that never runs again, and with each page that is touched the kernel maps the fifteen around it, and
/// counts all of them as memory of the process until memory is short.
///
/// # Errors
/// If the kernel does not say where the code lies, or does not take the pages.
pub fn give_back_code_pages() -> io::Result<usize> {
    let here = give_back_code_pages as *const () as usize;
    let maps = fs::read_to_string("/proc/self/maps")?;
    let found = maps.lines().filter_map(code).find(|range| range.contains(&here));
    let Some(range) = found else { return Err(io::Error::other("no mapping has this program's code")) };
    let start = std::ptr::with_exposed_provenance_mut(range.start);
    // SAFETY: the range is a mapping of the program's file that can be read and executed but not written, so that nothing was ever
    // changed in it: whoever touches a page again gets the same bytes from the file.
    let failed = unsafe { libc::madvise(start, range.len(), libc::MADV_DONTNEED) } != 0;
    if failed { Err(io::Error::last_os_error()) } else { Ok(range.len()) }
}

/// The addresses of a line of `/proc/self/maps` if it is one of code that nobody may write.
fn code(line: &str) -> Option<Range<usize>> {
    let (addresses, rest) = line.split_once(' ')?;
    let (start, end) = addresses.split_once('-')?;
    let address = |hex| usize::from_str_radix(hex, 16).ok();
    if rest.starts_with("r-xp ") { Some(address(start)?..address(end)?) } else { None }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_program_goes_on_without_its_pages() {
        for _ in 0..3 {
            assert!(give_back_code_pages().unwrap() > 100_000);
            // Sorting and formatting come back from the file.
            let mut numbers: Vec<String> = (0..1000).rev().map(|n: u32| format!("{n:04}")).collect();
            numbers.sort();
            assert_eq!(numbers.concat().len(), 4000);
            assert_eq!((numbers[0].as_str(), numbers[999].as_str()), ("0000", "0999"));
        }
    }

    #[test]
    fn only_code_that_cannot_be_written_is_code() {
        assert_eq!(code("1000-3000 r-xp 00e51000 fe:00 10 /usr/bin/reba"), Some(0x1000..0x3000));
        for other in
            ["1000-3000 r--p 0 fe:00 10 /usr/bin/reba", "1000-3000 rwxp 0 0 0", "1000 r-xp", "", "x-y r-xp 0"]
        {
            assert_eq!(code(other), None, "{other}");
        }
    }
}
