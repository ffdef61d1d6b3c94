//! Where a publisher's memory lies in this process, according to the kernel.
//!
//! iceoryx2 believes the length in a sample's header, which the publisher can change at any time.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;

use crate::contract::limits;

/// The mapping of each publisher's last frame. It is remembered because asking the kernel takes 0.1 ms.
#[derive(Debug, Default)]
pub(super) struct Segments {
    known: Vec<(u128, Range<usize>)>,
}

impl Segments {
    /// The mapping of a publisher that contains this address; `None` if the address is not in shared memory.
    pub fn find(&mut self, publisher: u128, address: usize) -> Option<Range<usize>> {
        let known = self.known.iter().find(|(id, memory)| *id == publisher && memory.contains(&address));
        known.map(|(_, memory)| memory.clone()).or_else(|| self.ask(publisher, address))
    }

    /// Asks the kernel for this mapping, and remembers it.
    pub fn ask(&mut self, publisher: u128, address: usize) -> Option<Range<usize>> {
        self.known.retain(|(id, _)| *id != publisher);
        let memory = shared_mapping(address)?;
        self.known.truncate(limits::MAX_KNOWN_SEGMENTS - 1);
        self.known.insert(0, (publisher, memory.clone()));
        Some(memory)
    }
}

/// The mapping of shared memory that contains an address. On a system without a list of mappings, all memory counts as one.
fn shared_mapping(address: usize) -> Option<Range<usize>> {
    let Ok(maps) = File::open("/proc/self/maps") else { return Some(0..isize::MAX as usize) };
    let lines = BufReader::new(maps).split(b'\n').map_while(Result::ok);
    lines.filter_map(|line| read_mapping(&line)).find(|memory| memory.contains(&address))
}

/// The addresses in a line of proc_pid_maps(5), `START-END rw-s …`; `None` for private memory.
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
