//! What keeps this process from taking part in a domain, in words; the twin of `_obstacle.py`.
//!
//! iceoryx2 has few names for failures, and each has many causes. So the cause is looked for where it is: in the folder of the
//! domain, in shared memory, in the limits of this process. Both languages tell the same fault with the same text.

use std::ffi::CStr;
use std::fmt;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::contract::limits;
use crate::iox2::domain::Domain;
use crate::iox2::service::IOX2_VERSION;

const SHARED_MEMORY: &str = "/dev/shm";
/// Bytes of shared memory that must be free for a participant to start: several times of what nodes, services and connections take,
/// because iceoryx2's writes into a full file system would be an uncatchable SIGBUS.
const HOUSEKEEPING: u64 = limits::START_MEMORY_BYTES as u64;
/// Descriptors of a subscriber with one publisher, its node included; counted in /proc/self/fd.
const DESCRIPTORS: usize = limits::START_DESCRIPTORS;
/// What iceoryx2 maps beside frames, and what this process needs to go on.
const MAPPED: usize = limits::START_MAPPED_BYTES;
/// How long the first participant of a prefix may take to make what all of them open.
const MAKING: Duration = limits::FIRST_PARTICIPANT;
/// Two counters of 8 bytes each; the first is the release: major, minor, patch, 16 bits each from bit 32 down.
const SHARED_SIZE: u64 = 16;
const SHARED_RELEASE: u64 = 10 << 16;
/// Begins the name of what all participants of a prefix open. Source: iceoryx2-cal/src/dynamic_storage/mod.rs: the SHA-1 of
/// `iceoryx2::node::global_management_segment::State`.
const SHARED_KIND: &str = "9204dd183d1c4d8e1ff592a30766ffa6765aa8b5";

const USE_ANOTHER: &str = "use another domain (IOX2_VIDEO_DOMAIN=/path/of/yours)";

/// Of which kind a reason is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObstacleKind {
    /// The operating system does not let this user in, or should not.
    Permission,
    /// The folder of the domain cannot be used.
    Domain,
    /// There is no shared memory, or not enough.
    Memory,
    /// A limit of this process: open files, address space, size of files.
    Limit,
}

/// One reason why this process cannot take part; `Display` says what is wrong, with paths and numbers, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    kind: ObstacleKind,
    text: String,
}

impl Obstacle {
    fn new(kind: ObstacleKind, text: String) -> Self {
        Self { kind, text }
    }

    /// Of which kind it is.
    pub fn kind(&self) -> ObstacleKind {
        self.kind
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What failed: taking part in a domain, for a service where one is known.
pub(crate) fn taking_part(root: &Path, service: Option<&str>) -> String {
    let place = format!("the iceoryx2 domain {}", root.display());
    service.map_or_else(|| format!("take part in {place}"), |service| format!("open {service:?} in {place}"))
}

/// What must not be tried: it would hang, be a bus error, or follow somebody's links. Costs some ten µs.
pub(crate) fn before_start(domain: &Domain) -> Option<Obstacle> {
    in_folders(domain).or_else(|| in_shared_memory(domain)).or_else(|| file_size(HOUSEKEEPING))
}

/// Looks for the cause of a failure, by trying what iceoryx2 does; `memory` bytes were to be mapped beside iceoryx2's own, and `file`
/// had to be read.
pub(crate) fn after_failure(domain: &Domain, memory: usize, file: Option<&Path>) -> Option<Obstacle> {
    before_start(domain)
        .or_else(descriptors)
        .or_else(|| address_space(memory + MAPPED))
        .or_else(|| file.and_then(reading))
        .or_else(|| writing(domain))
}

/// Whether the folders of a domain are somebody else's, or no folders; those that do not exist are fine.
pub(crate) fn in_folders(domain: &Domain) -> Option<Obstacle> {
    let root = domain.root();
    let existing = |path: &Path, meta: io::Result<Metadata>| match meta {
        Ok(meta) => unsuitable(path, &meta),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(refused(path, &error)),
    };
    if let Ok(link) = fs::symlink_metadata(&root)
        && link.is_symlink()
    {
        if !is_trusted(&link) {
            return Some(foreign(&root, &link));
        }
        if let Ok(target) = fs::read_link(&root)
            && matches!(fs::metadata(&root), Err(error) if error.kind() == io::ErrorKind::NotFound)
        {
            let (root, target) = (root.display(), target.display());
            let text = format!(
                "{root} is a symbolic link to {target}, which does not exist; make it, remove {root}, or {USE_ANOTHER}"
            );
            return Some(Obstacle::new(ObstacleKind::Domain, text));
        }
    }
    let (services, nodes) = (domain.service_dir(), domain.node_dir());
    existing(&root, fs::metadata(&root))
        .or_else(|| existing(&services, fs::symlink_metadata(&services)))
        .or_else(|| existing(&nodes, fs::symlink_metadata(&nodes)))
        .or_else(|| {
            // iceoryx2 makes a folder for each node.
            let links = fs::read_dir(&nodes).into_iter().flatten().flatten();
            let mut links = links.filter(|item| item.file_type().is_ok_and(|kind| kind.is_symlink()));
            links.find_map(|item| unsuitable(&item.path(), &item.metadata().ok()?))
        })
}

fn unsuitable(folder: &Path, meta: &Metadata) -> Option<Obstacle> {
    let domain = |text: String| Some(Obstacle::new(ObstacleKind::Domain, text));
    let path = folder.display();
    if meta.is_symlink() {
        return domain(format!(
            "{path} is a symbolic link, where iceoryx2 makes a folder; remove it, or {USE_ANOTHER}"
        ));
    }
    if !meta.is_dir() {
        return domain(format!("{path} is not a folder; remove it, or {USE_ANOTHER}"));
    }
    if !is_trusted(meta) {
        return Some(foreign(folder, meta));
    }
    (!may(folder, libc::R_OK | libc::X_OK)).then(|| closed(folder))
}

/// Whether a folder may be used: its links are followed, and its files are removed after a crash.
fn is_trusted(meta: &Metadata) -> bool {
    [user(), 0].contains(&meta.uid())
}

fn user() -> u32 {
    // SAFETY: asks for a number.
    unsafe { libc::geteuid() }
}

fn foreign(path: &Path, meta: &Metadata) -> Obstacle {
    let text = format!(
        "{} belongs to user {} (this process runs as {}); run all participants as one user, or {USE_ANOTHER}",
        path.display(),
        meta.uid(),
        user()
    );
    Obstacle::new(ObstacleKind::Permission, text)
}

/// Tries to make what a participant makes: the folders, a file in each, a socket.
fn writing(domain: &Domain) -> Option<Obstacle> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (root, services, nodes) = (domain.root(), domain.service_dir(), domain.node_dir());
    let mut missing: Vec<_> = root.ancestors().filter(|folder| fs::symlink_metadata(folder).is_err()).collect();
    missing.reverse();
    for folder in missing.into_iter().chain([services.as_path(), nodes.as_path()]) {
        // Source: iceoryx2's own mode, on disk.
        match DirBuilder::new().mode(0o750).create(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
            Err(error) => return Some(refused(folder, &error)),
            Ok(()) => {}
        }
    }
    // No name of iceoryx2's, so that no clean-up takes it for one.
    let name = format!("probe{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    for folder in [&services, &nodes, &root] {
        let probe = folder.join(&name);
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&probe);
        let written = opened.and_then(|mut file| {
            // One page.
            let written = file.write_all(&[0; 4096]);
            fs::remove_file(&probe).and(written)
        });
        if let Err(error) = written {
            return Some(refused(folder, &error));
        }
    }
    let probe = root.join(&name);
    match UnixDatagram::bind(&probe) {
        Ok(_) => fs::remove_file(&probe).err().map(|error| refused(&root, &error)),
        Err(error) => Some(refused(&root, &error)),
    }
}

fn reading(file: &Path) -> Option<Obstacle> {
    match fs::symlink_metadata(file) {
        Ok(meta) => (!may(file, libc::R_OK)).then(|| foreign(file, &meta)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(refused(file, &error)),
    }
}

/// Says what the operating system's answer means for a path that was to be made, entered or written.
fn refused(path: &Path, error: &io::Error) -> Obstacle {
    let number = error.raw_os_error().unwrap_or_default();
    let (shown, near) = (path.display(), nearest(path));
    let near = near.display();
    let limit = |text: String| Obstacle::new(ObstacleKind::Limit, text);
    let text = match number {
        libc::EACCES | libc::EPERM => return closed(path),
        libc::EMFILE | libc::ENFILE => {
            return descriptors().unwrap_or_else(|| limit(format!("{shown} cannot be opened: {}", words(number))));
        }
        libc::EFBIG => {
            return file_size(HOUSEKEEPING)
                .unwrap_or_else(|| limit(format!("{shown} cannot be written: {}", words(number))));
        }
        libc::EROFS => format!("{near} is on a read-only file system; mount it writable, or {USE_ANOTHER}"),
        libc::ENOSPC => format!("the file system of {near} {}, or {USE_ANOTHER}", fullness(&nearest(path))),
        libc::EDQUOT => {
            format!("the disk quota of user {} on {near} is used up; remove files, or {USE_ANOTHER}", user())
        }
        libc::ENOTDIR | libc::EEXIST => format!("{near} is not a folder; remove it, or {USE_ANOTHER}"),
        libc::ELOOP => format!("{shown} is a symbolic link that leads to itself; remove it, or {USE_ANOTHER}"),
        libc::ENAMETOOLONG => format!("a name in {shown} is longer than its file system takes; {USE_ANOTHER}"),
        _ => format!(
            "{shown} cannot be used: {}; {USE_ANOTHER} on a local disk where sockets can be made",
            words(number)
        ),
    };
    Obstacle::new(ObstacleKind::Domain, text)
}

fn fullness(path: &Path) -> String {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap_or_default();
    match statvfs(&path) {
        Ok(stat) if stat.f_files > 0 && stat.f_favail == 0 => format!("has its {} files; remove some", stat.f_files),
        _ => "is full; remove what fills it".into(),
    }
}

fn words(number: i32) -> String {
    io::Error::from_raw_os_error(number).to_string()
}

/// The path, or the lowest thing above it that can be seen.
fn nearest(path: &Path) -> PathBuf {
    path.ancestors().find(|one| fs::symlink_metadata(one).is_ok()).unwrap_or(path).to_owned()
}

/// The highest thing on the way to a path that this user may not enter, or write where the way ends.
fn closed(path: &Path) -> Obstacle {
    let mut way: Vec<_> = path.ancestors().collect();
    way.reverse();
    // Where all folders can be entered, it is the last one that cannot be read or written.
    let shut = way.into_iter().find(|one| one.is_dir() && !may(one, libc::X_OK));
    let shut = shut.map_or_else(|| nearest(path), Path::to_owned);
    let Ok(meta) = fs::metadata(&shut) else {
        return Obstacle::new(ObstacleKind::Permission, format!("user {} may not look for {}", user(), shut.display()));
    };
    if meta.uid() != user() {
        return foreign(&shut, &meta);
    }
    let (shut, mode, owner) = (shut.display(), meta.permissions().mode() & 0o7777, user());
    let text = format!(
        "{shut} has the mode {mode:04o}, which keeps its own user {owner} out; chmod 0700 {shut}, or {USE_ANOTHER}"
    );
    Obstacle::new(ObstacleKind::Permission, text)
}

/// Whether the operating system lets this process do that with a path.
fn may(path: &Path, what: i32) -> bool {
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()) else { return false };
    // SAFETY: the path is NUL-terminated and lives through the call.
    unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), what, 0) == 0 }
}

/// The object in shared memory that every participant opens first, whatever its folder.
fn shared_by_all(domain: &Domain) -> PathBuf {
    let release = IOX2_VERSION.replace('.', "_");
    Path::new(SHARED_MEMORY).join(format!("{}{SHARED_KIND}_node.{release}.global_mgmt", domain.prefix()))
}

/// Bytes that are free in shared memory; `None` where there is no limit (a tmpfs with size=0), and without a /dev/shm (macOS).
pub(crate) fn free_shared_memory() -> Option<u64> {
    let stat = statvfs(c"/dev/shm").ok()?;
    (stat.f_blocks > 0).then_some(stat.f_bavail * stat.f_frsize)
}

fn statvfs(path: &CStr) -> io::Result<libc::statvfs> {
    // SAFETY: statvfs is a plain C struct for which all-zero is a value; the path is NUL-terminated.
    let (status, stat) = unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(path.as_ptr(), &raw mut stat), stat)
    };
    if status == 0 { Ok(stat) } else { Err(io::Error::last_os_error()) }
}

/// Whether shared memory is missing, closed, full, or spoilt for this prefix.
fn in_shared_memory(domain: &Domain) -> Option<Obstacle> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let memory = |text: String| Some(Obstacle::new(ObstacleKind::Memory, text));
    let stat = match statvfs(c"/dev/shm") {
        Ok(stat) => stat,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return memory("there is no /dev/shm; mount it: mount -t tmpfs tmpfs /dev/shm".into());
        }
        Err(error) => return memory(format!("/dev/shm cannot be used: {error}")),
    };
    if stat.f_flag & libc::ST_RDONLY != 0 {
        return memory("/dev/shm is read-only; mount it writable: mount -o remount,rw /dev/shm".into());
    }
    let folder = Path::new(SHARED_MEMORY);
    if !may(folder, libc::R_OK | libc::W_OK | libc::X_OK) {
        let mode = fs::metadata(folder).map_or(0, |meta| meta.permissions().mode() & 0o7777);
        return memory(format!(
            "/dev/shm has the mode {mode:04o}, and user {} may not write there; chmod 1777 /dev/shm",
            user()
        ));
    }
    let free = stat.f_bavail * stat.f_frsize;
    // A tmpfs without a limit has neither blocks nor inodes.
    if stat.f_blocks > 0 && free < HOUSEKEEPING {
        return memory(format!(
            "it needs {HOUSEKEEPING} bytes of shared memory beside frames, /dev/shm has {free} free; enlarge it \
             (docker run --shm-size=…, mount -o remount,size=… /dev/shm), or remove what fills it"
        ));
    }
    if stat.f_files > 0 && stat.f_favail == 0 {
        return memory(format!(
            "/dev/shm has its {} files; raise the number (mount -o remount,nr_inodes=… /dev/shm), or remove some",
            stat.f_files
        ));
    }
    spoilt(domain)
}

/// Whether what all participants of a prefix open is unusable: iceoryx2 waits for its size without end.
fn spoilt(domain: &Domain) -> Option<Obstacle> {
    let path = shared_by_all(domain);
    let deadline = Instant::now() + MAKING;
    let (meta, fault) = loop {
        let meta = fs::symlink_metadata(&path).ok()?;
        let fault = fault_of(&path, &meta)?;
        let age = meta.modified().ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > MAKING) || !meta.is_file() || Instant::now() > deadline {
            break (meta, fault);
        }
        // The first participant may be making it.
        std::thread::sleep(Duration::from_millis(5));
    };
    let (prefix, root, owner, us) = (domain.prefix(), domain.root(), meta.uid(), user());
    let kind = if owner == us { ObstacleKind::Domain } else { ObstacleKind::Permission };
    let text = format!(
        "{}, which every participant with the prefix {prefix} opens, {fault} and belongs to user {owner} (this process runs as {us}); \
         remove it, or use a prefix of your own (IOX2_VIDEO_DOMAIN={}:yours_)",
        path.display(),
        root.display()
    );
    Some(Obstacle::new(kind, text))
}

fn fault_of(path: &Path, meta: &Metadata) -> Option<String> {
    if !meta.is_file() {
        return Some("is not a file".into());
    }
    if meta.len() < SHARED_SIZE {
        return Some(format!("has {} bytes instead of {SHARED_SIZE}", meta.len()));
    }
    let opened = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Some(format!("has the mode {:04o}", meta.permissions().mode() & 0o7777));
        }
        // It has gone, or the fault is not its own, such as too few descriptors.
        Err(_) => return None,
    };
    let mut content = [0; SHARED_SIZE as usize];
    let release = file.read_exact(&mut content).ok().and_then(|()| content.first_chunk().copied());
    (release.map(u64::from_ne_bytes) != Some(SHARED_RELEASE))
        .then(|| format!("was not made by iceoryx2 {IOX2_VERSION}"))
}

/// The limit of this process on something; `None` for no limit.
#[allow(clippy::unnecessary_cast, reason = "the types differ between C libraries")]
fn limit(what: libc::__rlimit_resource_t) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the struct lives through the call.
    let status = unsafe { libc::getrlimit(what, &raw mut limit) };
    (status == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur as u64)
}

/// Whether files of so many bytes, of shared memory too, may be written: beyond the limit SIGXFSZ ends the program.
pub(crate) fn file_size(needed: u64) -> Option<Obstacle> {
    let limit = limit(libc::RLIMIT_FSIZE).filter(|&limit| limit < needed)?;
    let text = format!(
        "this process may write files of {limit} bytes, and {needed} are needed; raise the limit \
         (ulimit -f unlimited, LimitFSIZE=infinity in a systemd unit)"
    );
    Some(Obstacle::new(ObstacleKind::Limit, text))
}

fn descriptors() -> Option<Obstacle> {
    let mut opened = Vec::with_capacity(DESCRIPTORS);
    let text = loop {
        match File::open("/") {
            Ok(_) if opened.len() + 1 == DESCRIPTORS => return None,
            Ok(file) => opened.push(file),
            Err(error) => match error.raw_os_error() {
                Some(libc::ENFILE) => {
                    break "this machine has as many files open as it may; raise the limit (sysctl fs.file-max)".into();
                }
                Some(libc::EMFILE) => {
                    break format!(
                        "this process may open {} files, {} more than it has open now, and a participant needs up to {DESCRIPTORS}; \
                         raise the limit (ulimit -n 65536, LimitNOFILE=65536 in a systemd unit, docker run --ulimit nofile=65536)",
                        limit(libc::RLIMIT_NOFILE).unwrap_or_default(),
                        opened.len()
                    );
                }
                _ => return None,
            },
        }
    };
    Some(Obstacle::new(ObstacleKind::Limit, text))
}

fn address_space(needed: usize) -> Option<Obstacle> {
    // SAFETY: new memory at a place of the system's choice, which nobody uses.
    let mapped = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let place = libc::mmap(std::ptr::null_mut(), needed, libc::PROT_READ, flags, -1, 0);
        place != libc::MAP_FAILED && libc::munmap(place, needed) == 0
    };
    if mapped {
        return None;
    }
    let text = limit(libc::RLIMIT_AS).map_or_else(
        || format!("this process cannot map {needed} more bytes of memory: {}", words(libc::ENOMEM)),
        |limit| {
            format!(
                "this process may use {limit} bytes of address space, and cannot map {needed} more; raise the limit \
                 (ulimit -v unlimited, LimitAS=infinity in a systemd unit)"
            )
        },
    );
    Some(Obstacle::new(ObstacleKind::Limit, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> (Domain, PathBuf) {
        let root = std::env::temp_dir().join(format!("ob{}{name}", std::process::id()));
        (Domain::at(root.to_str().unwrap(), &format!("ob{name}_")).unwrap(), root)
    }

    #[test]
    fn a_domain_that_does_not_exist_yet_is_no_obstacle_and_can_be_made() {
        let (domain, root) = place("new");
        assert_eq!(before_start(&domain), None);
        assert_eq!(after_failure(&domain, 1 << 20, None), None);
        assert!(domain.node_dir().is_dir() && fs::read_dir(&root).unwrap().count() == 2);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_link_where_a_folder_belongs_is_refused_before_anything_is_opened() {
        let (domain, root) = place("link");
        fs::create_dir_all(&root).unwrap();
        std::os::unix::fs::symlink("/tmp", root.join("services")).unwrap();
        let found = in_folders(&domain).unwrap();
        assert!(found.to_string().contains("services is a symbolic link, where iceoryx2 makes a folder"), "{found}");
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn the_name_of_what_all_participants_open_is_iceoryx2s() {
        let (domain, root) = place("name");
        let node = crate::iox2::service::create_node_in(&domain).unwrap();
        let path = shared_by_all(&domain);
        assert!(path.exists(), "{}", path.display());
        assert_eq!(fault_of(&path, &fs::metadata(&path).unwrap()), None);
        drop(node);
        fs::remove_file(path).unwrap();
        fs::remove_dir_all(root).unwrap();
    }
}
