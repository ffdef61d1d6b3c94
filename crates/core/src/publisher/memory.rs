//! Checks whether there is enough shared memory for a publisher.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::contract::{limits, messages};
use crate::error::{Error, Result};
use crate::iox2::limits::file_size;
use crate::iox2::shared_memory::free_shared_memory;

/// Compares the size of all chunks with the free memory, because writing more would cause a SIGBUS that cannot be caught.
pub(super) fn check_shared_memory(service: &str, bytes: usize, chunks: usize) -> Result<()> {
    let chunk = bytes + limits::CHUNK_OVERHEAD_BYTES;
    let needed = chunk as u64 * chunks as u64;
    if let Some(obstacle) = file_size(needed) {
        return Err(Error::Obstacle { doing: messages::publish_on(service), obstacle });
    }
    let Some(available) = free_shared_memory() else { return Ok(()) };
    let promised = promised(Path::new("/dev/shm"));
    if needed > available.saturating_sub(promised) {
        return Err(Error::SharedMemory { service: service.to_owned(), needed, chunks, chunk, available, promised });
    }
    Ok(())
}

/// Returns the number of bytes that the files in a folder may still allocate. Files have their full size from the start, but allocate
/// memory only when written.
fn promised(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    // A block is 512 bytes. Source: stat(2).
    files.filter_map(|file| file.metadata().ok()).map(|meta| meta.len().saturating_sub(meta.blocks() * 512)).sum()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn memory_that_is_laid_out_but_not_written_is_promised() {
        let folder = std::env::temp_dir().join(format!("promised{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        assert_eq!(promised(&folder), 0);
        let file = File::create(folder.join("segment")).unwrap();
        file.set_len(1 << 30).unwrap();
        assert_eq!(promised(&folder), 1 << 30);
        file.write_all_at(&[1; 1 << 20], 1 << 22).unwrap();
        file.sync_all().unwrap();
        assert_eq!(promised(&folder), (1 << 30) - (1 << 20));
        fs::remove_dir_all(&folder).unwrap();
    }
}
