//! Finds out from the kernel where a publisher's memory is mapped in this process.
//!
//! iceoryx2 trusts the length in a sample's header, which the publisher can change at any time.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;

use crate::contract::limits;

/// The mapping that contains each publisher's last frame. It is cached, because querying the kernel takes 0.1 ms.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    known: Vec<(u128, Range<usize>)>,
}

impl Segments {
    /// Returns the publisher's mapping that contains this address; `None` if the address is not in shared memory.
    pub fn find(&mut self, publisher: u128, address: usize) -> Option<Range<usize>> {
        let known = self.known.iter().find(|(id, memory)| *id == publisher && memory.contains(&address));
        known.map(|(_, memory)| memory.clone()).or_else(|| self.ask(publisher, address))
    }

    /// Queries the kernel for the mapping that contains this address, and caches it.
    pub fn ask(&mut self, publisher: u128, address: usize) -> Option<Range<usize>> {
        self.known.retain(|(id, _)| *id != publisher);
        let memory = shared_mapping(address)?;
        self.known.truncate(limits::MAX_KNOWN_SEGMENTS - 1);
        self.known.insert(0, (publisher, memory.clone()));
        Some(memory)
    }
}

/// Returns the shared memory mapping that contains an address. If the system does not provide a list of mappings, all memory counts as one
/// mapping.
fn shared_mapping(address: usize) -> Option<Range<usize>> {
    let Ok(maps) = File::open("/proc/self/maps") else { return Some(0..isize::MAX as usize) };
    let lines = BufReader::new(maps).split(b'\n').map_while(Result::ok);
    lines.filter_map(|line| read_mapping(&line)).find(|memory| memory.contains(&address))
}

/// Returns the address range in a line of proc_pid_maps(5), `START-END rw-s …`; `None` for private memory.
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
    fn private_memory_does_not_belong_to_a_publisher() {
        let ours = [0u8; 8];
        assert_eq!(shared_mapping(ours.as_ptr().addr()), None);
        assert_eq!(Segments::default().find(1, 8), None);
    }

    #[test]
    fn a_line_has_addresses_and_says_whether_they_are_shared() {
        let line = |mode: &str| format!("7f00a000-7f00c000 {mode} 00000000 00:1b 324      /dev/shm/a b");
        assert_eq!(read_mapping(line("r--s").as_bytes()), Some(0x7f00_a000..0x7f00_c000));
        assert_eq!(read_mapping(line("rw-p").as_bytes()), None);
        assert_eq!(read_mapping(b"nonsense"), None);
    }
}
