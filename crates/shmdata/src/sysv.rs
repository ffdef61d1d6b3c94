//! SysV shared memory and semaphores, as far as the protocol needs them.

use std::ffi::c_void;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::dialect::{READERS, SEGMENT_PROJECT, SEMAPHORE_PROJECT, WRITER};

/// Keys of a path's segment and semaphores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// Of the segment.
    pub segment: libc::key_t,
    /// Of the semaphores.
    pub semaphores: libc::key_t,
}

impl Keys {
    /// The keys that glibc's `ftok` gives for the file at `path`, which must exist.
    pub fn of(path: &Path) -> io::Result<Self> {
        let meta = std::fs::metadata(path)?;
        let file = ((meta.dev() as u32 & 0xff) << 16) | (meta.ino() as u32 & 0xffff);
        let key = |project: u8| ((u32::from(project) << 24) | file) as libc::key_t;
        Ok(Self { segment: key(SEGMENT_PROJECT), semaphores: key(SEMAPHORE_PROJECT) })
    }

    /// Removes whatever lies at these keys: a dead writer's.
    pub fn remove(self) {
        // SAFETY: looks ids up and removes them; no memory of ours is involved.
        unsafe {
            let segment = libc::shmget(self.segment, 0, 0);
            if segment >= 0 {
                libc::shmctl(segment, libc::IPC_RMID, ptr::null_mut());
            }
            let semaphores = libc::semget(self.semaphores, 2, 0);
            if semaphores >= 0 {
                libc::semctl(semaphores, 0, libc::IPC_RMID);
            }
        }
    }
}

unsafe extern "C" {
    // Not in the libc crate for glibc. Linux only.
    fn semtimedop(
        id: libc::c_int,
        operations: *mut libc::sembuf,
        count: usize,
        timeout: *const libc::timespec,
    ) -> libc::c_int;
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// An attached segment; detached when dropped.
#[derive(Debug)]
pub struct Segment {
    id: libc::c_int,
    address: *mut u8,
    size: usize,
    owned: AtomicBool,
}

// SAFETY: an attached segment is plain memory of the process; the protocol's semaphores order the accesses.
unsafe impl Send for Segment {}
// SAFETY: as above; through a shared reference it is only read.
unsafe impl Sync for Segment {}

impl Segment {
    /// Creates the segment of a writer; it is removed by [`remove`](Self::remove) or when dropped.
    pub fn create(key: libc::key_t, size: usize, mode: u32) -> io::Result<Self> {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | mode as libc::c_int;
        // SAFETY: creates a segment or fails; touches no memory.
        let id = check(unsafe { libc::shmget(key, size.max(1), flags) })?;
        Self::attach(id, true).inspect_err(|_| {
            // SAFETY: removes the segment just made.
            unsafe { libc::shmctl(id, libc::IPC_RMID, ptr::null_mut()) };
        })
    }

    /// Id of the segment at a key.
    pub fn find(key: libc::key_t) -> io::Result<libc::c_int> {
        // SAFETY: looks an id up; touches no memory.
        check(unsafe { libc::shmget(key, 0, 0) })
    }

    /// Attaches another process's segment. Read and write, as its protocol's other readers do: a foreign segment need not permit less.
    pub fn open(id: libc::c_int) -> io::Result<Self> {
        Self::attach(id, false)
    }

    fn attach(id: libc::c_int, owned: bool) -> io::Result<Self> {
        // SAFETY: `stat` is a plain C struct for which all-zero is a value, and the kernel fills it.
        let size = unsafe {
            let mut stat: libc::shmid_ds = std::mem::zeroed();
            check(libc::shmctl(id, libc::IPC_STAT, &raw mut stat))?;
            stat.shm_segsz
        };
        let flags = if owned { 0 } else { libc::SHM_RDONLY };
        // SAFETY: the kernel chooses an address that is free.
        let address = unsafe { libc::shmat(id, ptr::null(), flags) };
        if address as isize == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { id, address: address.cast(), size, owned: owned.into() })
    }

    /// Id of the segment.
    pub fn id(&self) -> libc::c_int {
        self.id
    }

    /// The whole segment.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has that size and lives as long as `self`; the protocol keeps the writer out while a reader looks.
        unsafe { std::slice::from_raw_parts(self.address, self.size) }
    }

    /// Where it is attached; writable for the writer that made it.
    pub fn as_ptr(&self) -> *mut u8 {
        self.address
    }

    /// Removes a writer's segment from the kernel. It stays attached where it is, as long as the value lives.
    pub fn remove(&self) {
        if self.owned.swap(false, Ordering::Relaxed) {
            // SAFETY: removes the segment that `create` made; the kernel keeps the memory for those who have it attached.
            unsafe { libc::shmctl(self.id, libc::IPC_RMID, ptr::null_mut()) };
        }
    }

    /// Replaces the mapping by a private copy of its first `len` bytes *at the same address*, so that whoever looks at them sees no
    /// change, now or later, while the segment itself is let go.
    ///
    /// # Errors
    /// Without memory for the copy; the segment comes back as it was.
    pub fn copy_out_in_place(mut self, len: usize) -> Result<PrivateCopy, (Self, io::Error)> {
        let len = len.min(self.size);
        // SAFETY: queries a constant.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let whole = self.size.next_multiple_of(page);
        // SAFETY: a fresh anonymous mapping of `whole` bytes; `len` of them are filled from the attached segment. `mremap` then moves
        // it over the segment's own address range, which has the same length in pages, in one step: no other mapping is touched.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let copy = libc::mmap(ptr::null_mut(), whole, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            if copy == libc::MAP_FAILED {
                return Err((self, io::Error::last_os_error()));
            }
            ptr::copy_nonoverlapping(self.address, copy.cast::<u8>(), len);
            let target: *mut c_void = self.address.cast();
            let moved = libc::mremap(copy, whole, whole, libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED, target);
            if moved == libc::MAP_FAILED {
                let error = io::Error::last_os_error();
                libc::munmap(copy, whole);
                return Err((self, error));
            }
        }
        let copy = PrivateCopy { address: self.address, mapped: whole };
        self.address = ptr::null_mut();
        Ok(copy)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: attached by `attach` at that address, and not detached since: `copy_out_in_place` leaves a null pointer.
        unsafe {
            if !self.address.is_null() {
                libc::shmdt(self.address.cast());
            }
        }
        self.remove();
    }
}

/// What is left of a segment after [`Segment::copy_out_in_place`]: its bytes, at its address, until this is dropped.
#[derive(Debug)]
pub struct PrivateCopy {
    address: *mut u8,
    mapped: usize,
}

// SAFETY: private memory of the process that nobody writes to; the address is only used to unmap it.
unsafe impl Send for PrivateCopy {}

impl Drop for PrivateCopy {
    fn drop(&mut self) {
        // SAFETY: mapped with that length at that address.
        unsafe { libc::munmap(self.address.cast(), self.mapped) };
    }
}

/// One step of a semaphore operation.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    index: u16,
    change: i16,
    flags: i16,
}

impl Step {
    /// Adds to (or takes from) a semaphore, or waits for zero.
    pub const fn new(index: u16, change: i16) -> Self {
        Self { index, change, flags: 0 }
    }

    /// Taken back by the kernel if this process dies.
    #[must_use]
    pub const fn undone(mut self) -> Self {
        self.flags |= libc::SEM_UNDO as i16;
        self
    }

    /// Fails instead of waiting.
    #[must_use]
    pub const fn at_once(mut self) -> Self {
        self.flags |= libc::IPC_NOWAIT as i16;
        self
    }
}

/// How a bounded semaphore operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All steps were done.
    Done,
    /// They were not possible in time; none was done.
    TimedOut,
    /// The set is gone.
    Removed,
}

/// The two semaphores of a path.
#[derive(Debug)]
pub struct Semaphores {
    id: libc::c_int,
    owned: bool,
}

impl Semaphores {
    /// Creates a writer's set, both 0; it is removed when dropped. Never one with id 0, which other readers take for no set.
    pub fn create(key: libc::key_t, mode: u32) -> io::Result<Self> {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | mode as libc::c_int;
        // SAFETY: creates or removes sets; touches no memory.
        unsafe {
            let mut id = check(libc::semget(key, 2, flags))?;
            if id == 0 {
                // The kernel does not give the same id twice in a row.
                libc::semctl(id, 0, libc::IPC_RMID);
                id = check(libc::semget(key, 2, flags))?;
            }
            Ok(Self { id, owned: true })
        }
    }

    /// Finds another process's set.
    pub fn open(key: libc::key_t) -> io::Result<Self> {
        // SAFETY: looks an id up; touches no memory.
        Ok(Self { id: check(unsafe { libc::semget(key, 2, 0) })?, owned: false })
    }

    /// Readers that have not finished (plus the writer, while it is inside).
    pub fn readers(&self) -> io::Result<i32> {
        self.value(READERS)
    }

    /// Whether a writer is inside.
    pub fn has_writer(&self) -> io::Result<bool> {
        Ok(self.value(WRITER)? > 0)
    }

    fn value(&self, index: u16) -> io::Result<i32> {
        // SAFETY: reads a number; touches no memory.
        check(unsafe { libc::semctl(self.id, index.into(), libc::GETVAL) })
    }

    /// Does the steps in one go, waiting for at most `timeout`. A signal ends the wait early, like the time.
    pub fn operate(&self, steps: &[Step], timeout: Duration) -> io::Result<Outcome> {
        let mut operations = [libc::sembuf { sem_num: 0, sem_op: 0, sem_flg: 0 }; 3];
        for (operation, step) in operations.iter_mut().zip(steps) {
            *operation = libc::sembuf { sem_num: step.index, sem_op: step.change, sem_flg: step.flags };
        }
        let count = steps.len().min(operations.len());
        let limit =
            libc::timespec { tv_sec: timeout.as_secs() as libc::time_t, tv_nsec: timeout.subsec_nanos().into() };
        // SAFETY: `operations` holds `count` initialised entries and lives across the call, as does `limit`.
        let result = unsafe { semtimedop(self.id, operations.as_mut_ptr(), count, &raw const limit) };
        if result == 0 {
            return Ok(Outcome::Done);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EINTR) => Ok(Outcome::TimedOut),
            Some(libc::EIDRM | libc::EINVAL) => Ok(Outcome::Removed),
            _ => Err(error),
        }
    }
}

impl Semaphores {
    /// Removes the set, if it is ours.
    pub fn remove(&mut self) {
        if std::mem::take(&mut self.owned) {
            // SAFETY: removes the set that `create` made; touches no memory.
            unsafe { libc::semctl(self.id, 0, libc::IPC_RMID) };
        }
    }
}

impl Drop for Semaphores {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The kernel's limit for one segment in bytes.
pub fn max_segment() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/kernel/shmmax").unwrap_or_default();
    text.trim().parse().unwrap_or(u64::MAX)
}
