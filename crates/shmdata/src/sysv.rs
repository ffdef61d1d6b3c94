//! The parts of SysV shared memory and semaphores that the protocol needs.

use std::ffi::c_void;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::dialect::{Keys, READERS, WRITER};

/// Longest wait for one semaphore operation. Between operations, callers check for dead peers and wake-ups.
static MAX_WAIT: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 20_000_000 };

unsafe extern "C" {
    // The libc crate does not declare this function for glibc.
    fn semtimedop(
        id: libc::c_int,
        operations: *const libc::sembuf,
        count: usize,
        timeout: *const libc::timespec,
    ) -> libc::c_int;
}

/// Converts the result of a system call to a `Result`.
pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Removes the segment and the semaphores with these keys, if they exist.
pub fn remove(keys: Keys) {
    // SAFETY: looks up IDs and removes the objects; does not access memory.
    unsafe {
        let segment = libc::shmget(keys.segment, 0, 0);
        if segment >= 0 {
            libc::shmctl(segment, libc::IPC_RMID, ptr::null_mut());
        }
        let semaphores = libc::semget(keys.semaphores, 2, 0);
        if semaphores >= 0 {
            libc::semctl(semaphores, 0, libc::IPC_RMID);
        }
    }
}

/// Removes the segment and the semaphores with these keys if their writer is dead.
///
/// They are kept if the process that created the segment is alive and any process has the segment attached.
pub fn remove_if_dead(keys: Keys) {
    if let Ok(id) = Segment::find(keys.segment) {
        let Ok(status) = status(id) else { return };
        // SAFETY: signal 0 only checks whether the process exists.
        let is_gone = unsafe { libc::kill(status.shm_cpid, 0) } == -1
            && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH);
        if status.shm_nattch > 0 && !is_gone {
            return;
        }
    }
    remove(keys);
}

/// Returns the kernel's size limit for one segment in bytes.
pub fn max_segment() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/kernel/shmmax").unwrap_or_default();
    text.trim().parse().unwrap_or(u64::MAX)
}

fn status(id: libc::c_int) -> io::Result<libc::shmid_ds> {
    // SAFETY: `shmid_ds` is a plain C struct, all zeros are a valid value for it, and the kernel fills it.
    unsafe {
        let mut status: libc::shmid_ds = std::mem::zeroed();
        check(libc::shmctl(id, libc::IPC_STAT, &raw mut status))?;
        Ok(status)
    }
}

/// An attached segment. Dropping it detaches it.
#[derive(Debug)]
pub struct Segment {
    id: libc::c_int,
    address: *mut u8,
    size: usize,
    owned: AtomicBool,
}

// SAFETY: an attached segment is ordinary process memory, and the protocol's semaphores order the accesses.
unsafe impl Send for Segment {}
// SAFETY: as above. Access through a shared reference is read-only.
unsafe impl Sync for Segment {}

impl Segment {
    /// Creates and attaches a segment. It is removed from the kernel by [`remove`](Self::remove) or when it is dropped.
    pub fn create(key: libc::key_t, size: usize, mode: u32) -> io::Result<Self> {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | mode as libc::c_int;
        // SAFETY: creates a segment and does not access memory.
        let id = check(unsafe { libc::shmget(key, size.max(1), flags) })?;
        Self::attach(id, true).inspect_err(|_| {
            // SAFETY: removes the segment that was created above.
            unsafe { libc::shmctl(id, libc::IPC_RMID, ptr::null_mut()) };
        })
    }

    /// Returns the ID of the segment with this key.
    pub fn find(key: libc::key_t) -> io::Result<libc::c_int> {
        // SAFETY: looks up an ID and does not access memory.
        check(unsafe { libc::shmget(key, 0, 0) })
    }

    /// Attaches another process's segment for reading.
    pub fn open(id: libc::c_int) -> io::Result<Self> {
        Self::attach(id, false)
    }

    fn attach(id: libc::c_int, owned: bool) -> io::Result<Self> {
        let size = status(id)?.shm_segsz;
        let flags = if owned { 0 } else { libc::SHM_RDONLY };
        // SAFETY: the kernel chooses a free address.
        let address = unsafe { libc::shmat(id, ptr::null(), flags) };
        if address as isize == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { id, address: address.cast(), size, owned: owned.into() })
    }

    /// ID of the segment.
    pub fn id(&self) -> libc::c_int {
        self.id
    }

    /// Returns all bytes of the segment.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has this size and lives as long as `self`. By the protocol, the writer does not write while a reader reads.
        unsafe { std::slice::from_raw_parts(self.address, self.size) }
    }

    /// Returns the address of the segment. The memory is writable if this value created the segment.
    pub fn as_ptr(&self) -> *mut u8 {
        self.address
    }

    /// Removes the segment from the kernel if this value created it. The segment stays attached until this value is dropped.
    pub fn remove(&self) {
        if self.owned.swap(false, Ordering::Relaxed) {
            // SAFETY: removes the segment that `create` created. The kernel keeps the memory as long as a process has it attached.
            unsafe { libc::shmctl(self.id, libc::IPC_RMID, ptr::null_mut()) };
        }
    }

    /// Replaces the mapping with a private copy of its first `len` bytes *at the same address*. Pointers to these bytes stay valid, and the
    /// bytes no longer change.
    ///
    /// # Errors
    /// Returns the unchanged segment if there is not enough memory for the copy.
    pub fn copy_out_in_place(mut self, len: usize) -> Result<PrivateCopy, (Self, io::Error)> {
        let len = len.min(self.size);
        // SAFETY: reads a system constant.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let whole = self.size.next_multiple_of(page);
        // SAFETY: `copy` is a new anonymous mapping with `whole` bytes. Its first `len` bytes are filled from the attached segment.
        // `mremap` moves the mapping in one step to the segment's address range, which has the same length in pages. No other mapping
        // changes.
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
        // SAFETY: `attach` attached the segment at this address. It is still attached, because `copy_out_in_place` sets a null pointer.
        unsafe {
            if !self.address.is_null() {
                libc::shmdt(self.address.cast());
            }
        }
        self.remove();
    }
}

/// Private copy of a segment's bytes at the segment's address, from [`Segment::copy_out_in_place`]. Dropping it unmaps it.
#[derive(Debug)]
pub struct PrivateCopy {
    address: *mut u8,
    mapped: usize,
}

// SAFETY: the private memory is never written to, and the address is used only to unmap it.
unsafe impl Send for PrivateCopy {}

impl Drop for PrivateCopy {
    fn drop(&mut self) {
        // SAFETY: the memory is mapped at this address with this length.
        unsafe { libc::munmap(self.address.cast(), self.mapped) };
    }
}

/// Result of a semaphore operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All steps were carried out.
    Done,
    /// The steps were not possible in time. No step was carried out.
    TimedOut,
    /// The semaphores no longer exist.
    Removed,
}

/// The two semaphores of a path.
#[derive(Debug)]
pub struct Semaphores {
    id: libc::c_int,
    owned: bool,
}

impl Semaphores {
    /// Creates both semaphores with value 0. Dropping this value removes them. The ID is never 0, because readers in other programs treat 0
    /// as missing.
    pub fn create(key: libc::key_t, mode: u32) -> io::Result<Self> {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | mode as libc::c_int;
        // SAFETY: creates or removes semaphores and does not access memory.
        unsafe {
            let mut id = check(libc::semget(key, 2, flags))?;
            if id == 0 {
                // The kernel does not assign the same ID twice in a row.
                libc::semctl(id, 0, libc::IPC_RMID);
                id = check(libc::semget(key, 2, flags))?;
            }
            Ok(Self { id, owned: true })
        }
    }

    /// Finds the semaphores of another process.
    pub fn open(key: libc::key_t) -> io::Result<Self> {
        // SAFETY: looks up an ID and does not access memory.
        Ok(Self { id: check(unsafe { libc::semget(key, 2, 0) })?, owned: false })
    }

    /// Returns the number of readers that have not released the frame, plus 1 while a writer is writing.
    pub fn readers(&self) -> io::Result<i32> {
        self.value(READERS)
    }

    /// Whether a writer is writing.
    pub fn has_writer(&self) -> io::Result<bool> {
        Ok(self.value(WRITER)? > 0)
    }

    fn value(&self, index: u16) -> io::Result<i32> {
        // SAFETY: reads a number and does not access memory.
        check(unsafe { libc::semctl(self.id, index.into(), libc::GETVAL) })
    }

    /// Carries out all steps atomically, as soon as all of them are possible. Waits up to 20 ms; a signal ends the wait early.
    pub fn operate(&self, steps: &[libc::sembuf]) -> io::Result<Outcome> {
        // SAFETY: `steps` and `MAX_WAIT` outlive the call, and the kernel only reads them.
        let result = unsafe { semtimedop(self.id, steps.as_ptr(), steps.len(), &raw const MAX_WAIT) };
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

    /// Removes the semaphores if this value created them.
    pub fn remove(&mut self) {
        if std::mem::take(&mut self.owned) {
            // SAFETY: removes the semaphores that `create` created and does not access memory.
            unsafe { libc::semctl(self.id, 0, libc::IPC_RMID) };
        }
    }
}

impl Drop for Semaphores {
    fn drop(&mut self) {
        self.remove();
    }
}
