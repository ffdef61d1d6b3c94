//! The errors of publishers and subscribers.
//!
//! Each message says what failed, on which service, with both numbers, and what to do. The texts are in `contract/messages.json`.

use std::fmt;
use std::path::PathBuf;

use crate::contract::messages;
use crate::wire::fault::Fault;

/// A result whose error type is the SDK's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// The reason why an operation on a video service failed.
///
/// # Examples
/// ```
/// use gst_plugin_iceoryx2_video::{Error, VideoFrameSubscriber};
///
/// let error = VideoFrameSubscriber::new("").unwrap_err();
/// assert!(matches!(error, Error::InvalidServiceName { .. }));
/// println!("{error}");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service name is empty, too long, not printable, or reserved for encoded streams.
    #[error("{}", messages::invalid_name(name, reason, advice))]
    InvalidServiceName {
        /// The name as given.
        name: String,
        /// What is wrong with the name.
        reason: String,
        /// Which name to use.
        advice: String,
    },

    /// `IOX2_VIDEO_DOMAIN` or an iceoryx2 configuration file cannot be used.
    #[error("{0}")]
    Domain(String),

    /// The service exists with another payload or header type.
    #[error("{}", messages::type_mismatch(service, found, expected.what, expected.size, expected.header))]
    TypeMismatch {
        /// Name of the service.
        service: String,
        /// The types that the service carries.
        found: String,
        /// What the program expected.
        expected: Carries,
    },

    /// The service was created by another release of iceoryx2.
    #[error("{}", messages::version_mismatch(service, theirs, ours))]
    VersionMismatch {
        /// Name of the service.
        service: String,
        /// iceoryx2 release of the program that created the service.
        theirs: String,
        /// iceoryx2 release of this program.
        ours: String,
    },

    /// Something outside iceoryx2 prevents the operation, such as another user's folder, full shared memory or a limit of this process.
    #[error("{}", messages::obstacle(doing, obstacle))]
    Obstacle {
        /// The failed operation, with the name of the service if there is one.
        doing: String,
        /// The reason.
        obstacle: Obstacle,
    },

    /// The service admits no more ports of this kind.
    #[error("{}", messages::too_many_ports(port, service, limit, advice(port, service)))]
    TooManyPorts {
        /// Name of the service.
        service: String,
        /// Kind of port: publisher, subscriber, listener, notifier or participant.
        port: &'static str,
        /// Largest number of such ports.
        limit: usize,
    },

    /// An existing service does not offer a setting that the program requested.
    #[error("{}", messages::qos(service, setting, exists, wanted))]
    Qos {
        /// Name of the service.
        service: String,
        /// Name of the setting.
        setting: &'static str,
        /// The requested value: a number, "true" or "false".
        wanted: String,
        /// The service's value.
        exists: String,
    },

    /// There is not enough shared memory for the publisher's frames.
    #[error("{}", messages::out_of_shared_memory(service, Megabytes(*needed), chunks, Megabytes(*chunk as u64), Megabytes(*available), Megabytes(*promised)))]
    SharedMemory {
        /// Name of the service.
        service: String,
        /// Number of bytes needed for all frames.
        needed: u64,
        /// Number of frames.
        chunks: usize,
        /// Size of one frame in bytes.
        chunk: usize,
        /// Number of free bytes.
        available: u64,
        /// Number of these free bytes that are reserved by files that are not fully written yet.
        promised: u64,
    },

    /// Every loan of the publisher is in use.
    #[error("{}", messages::loan_limit(service, limit))]
    LoanLimit {
        /// Name of the service.
        service: String,
        /// Largest number of loans at once.
        limit: usize,
    },

    /// Subscribers hold all frames of the publisher's memory.
    #[error("{}", out_of_frames(service, *chunks, *is_memory_full))]
    OutOfFrames {
        /// Name of the service.
        service: String,
        /// Number of frames in the publisher's memory.
        chunks: usize,
        /// Whether `/dev/shm` has no room for more frames. Otherwise, the publisher has reached its limit.
        is_memory_full: bool,
    },

    /// The subscriber already holds its largest number of frames.
    #[error("{}", messages::borrow_limit(service, limit, limit))]
    BorrowLimit {
        /// Name of the service.
        service: String,
        /// Largest number of frames that the subscriber may hold.
        limit: usize,
    },

    /// The pixels do not match the frame parameters.
    #[error("frame for {service:?} does not fit its parameters: {reason}")]
    Geometry {
        /// Name of the service.
        service: String,
        /// The mismatch.
        reason: Fault,
    },

    /// The results cannot be published.
    #[error("results for {service:?} refused: {reason}")]
    Results {
        /// Name of the service.
        service: String,
        /// The rule that the results break.
        reason: Fault,
    },

    /// The service is half created, and a clean-up did not repair it.
    #[error("{}", messages::half_created(service, state, listed(files)))]
    Broken {
        /// Name of the service.
        service: String,
        /// iceoryx2's name for the state of the service.
        state: String,
        /// Paths of the files that describe the video service and the event service with this name.
        files: Vec<PathBuf>,
    },

    /// The port was opened before this process was forked.
    #[error("{}", messages::forked(service))]
    Forked {
        /// Name of the service.
        service: String,
    },

    /// iceoryx2 failed for a reason that has no variant of its own.
    #[error("{}", messages::iceoryx2_failed(operation, service, cause))]
    Transport {
        /// Name of the service.
        service: String,
        /// The failed operation.
        operation: &'static str,
        /// iceoryx2's name for the cause.
        cause: String,
    },

    /// The frame's caps or format do not allow its pixels to be read as an array.
    #[error("{0}")]
    Format(String),

    /// The operating system refused a call.
    #[error("{what}: {source}")]
    Io {
        /// The failed operation.
        what: &'static str,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
}

/// What a service carries: slices of `u8` with a user header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carries {
    /// A word for the samples.
    pub what: &'static str,
    /// Size of the user header in bytes.
    pub size: usize,
    /// Name of the header's type.
    pub header: &'static str,
}

/// The kind of an [`Obstacle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObstacleKind {
    /// A file or folder belongs to another user, or this user may not access it.
    Permission,
    /// The domain's folder cannot be used.
    Domain,
    /// `/dev/shm` is missing, not writable or full.
    Memory,
    /// A limit of this process: open files, address space or size of files.
    Limit,
}

/// A reason outside iceoryx2 why this process cannot take part in a domain.
///
/// Its text states the problem, with paths and numbers, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    kind: ObstacleKind,
    text: String,
}

impl Obstacle {
    pub(crate) fn new(kind: ObstacleKind, text: String) -> Self {
        Self { kind, text }
    }

    /// Returns the kind of the obstacle.
    pub fn kind(&self) -> ObstacleKind {
        self.kind
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns the remedy for a service that admits no more ports of this kind.
fn advice(port: &str, service: &str) -> String {
    match port {
        // Services of packets and of results have one publisher (SPEC §9, §11), and names that end in another way than those of frames.
        "publisher" if service.starts_with("video/") && service.ends_with("/v1") => messages::close_only_publisher(),
        "publisher" => messages::close_publisher("max-publishers"),
        "subscriber" => messages::close_subscriber("max-subscribers"),
        _ => messages::close_participant(),
    }
}

/// Returns the message for a publisher without a free frame.
fn out_of_frames(service: &str, chunks: usize, is_memory_full: bool) -> String {
    if is_memory_full {
        messages::out_of_frames_and_memory(service, chunks)
    } else {
        messages::out_of_frames(service, chunks)
    }
}

/// Joins paths for a message.
fn listed(files: &[PathBuf]) -> String {
    let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    files.join(" and ")
}

/// A number of bytes that is displayed in MB.
struct Megabytes(u64);

impl fmt::Display for Megabytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MB", self.0 as f64 / 1e6)
    }
}
