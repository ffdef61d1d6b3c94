//! How far a publisher's memory reaches in this process, as the kernel tells.
//!
//! What a sample says of its own length stands in memory that its publisher can write, and iceoryx2 believes it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;

use crate::contract::limits;

/// Publishers whose memory is remembered at once.
const MAX_KNOWN: usize = limits::MAX_KNOWN_SEGMENTS;

/// The mapping in which each publisher's last frame lay; asking the kernel takes a tenth of a millisecond.
///
/// A port of a publisher stays with one mapping, or, where its frames outgrow that, goes on to another one.
#[derive(Debug, Default)]
pub(super) struct Segments {
    known: Vec<(u128, Range<usize>)>,
}

impl Segments {
    /// The mapping that holds this address of that publisher's memory; `None` if none of shared memory does.
    pub fn find(&mut self, publisher: u128, address: usize) -> Option<Range<usize>> {
        let known = self.known.iter().find(|(id, memory)| *id == publisher && memory.contains(&address));
        known.map(|(_, memory)| memory.clone()).or_else(|| self.ask(publisher, address))
    }

    /// The same without relying on what is remembered.
    pub fn ask(&mut self, publisher: u128, address: usize) -> Option<Range<usize>> {
        self.known.retain(|(id, _)| *id != publisher);
        let memory = shared_mapping(address)?;
        self.known.truncate(MAX_KNOWN - 1);
        self.known.insert(0, (publisher, memory.clone()));
        Some(memory)
    }
}

/// The mapping of shared memory that holds an address. Where the system has no list of them, all memory counts as one.
fn shared_mapping(address: usize) -> Option<Range<usize>> {
    let Ok(maps) = File::open("/proc/self/maps") else { return Some(0..isize::MAX as usize) };
    let lines = BufReader::new(maps).split(b'\n').map_while(Result::ok);
    lines.filter_map(|line| read_mapping(&line)).find(|memory| memory.contains(&address))
}

/// The addresses in a line of proc_pid_maps(5), `START-END rw-s …`, if it tells of shared memory.
fn read_mapping(line: &[u8]) -> Option<Range<usize>> {
    let mut words = std::str::from_utf8(line.get(..line.len().min(64))?).ok()?.split(' ');
    let (start, end) = words.next()?.split_once('-')?;
    let number = |digits| usize::from_str_radix(digits, 16).ok();
    words.next()?.ends_with('s').then_some(number(start)?..number(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_memory_is_not_a_publishers() {
        let ours = [0u8; 8];
        assert_eq!(shared_mapping(ours.as_ptr().addr()), None);
        assert_eq!(Segments::default().find(1, 8), None);
    }

    #[test]
    fn a_line_tells_addresses_and_whether_they_are_shared() {
        let line = |mode: &str| format!("7f00a000-7f00c000 {mode} 00000000 00:1b 324      /dev/shm/a b");
        assert_eq!(read_mapping(line("r--s").as_bytes()), Some(0x7f00_a000..0x7f00_c000));
        assert_eq!(read_mapping(line("rw-p").as_bytes()), None);
        assert_eq!(read_mapping(b"nonsense"), None);
    }
}
