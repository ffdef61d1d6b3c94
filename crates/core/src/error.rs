//! One error type for everything that can go wrong between a program and a video service.
//!
//! Every message says what failed, on which service, with both numbers, and what to do about it.

use std::fmt;
use std::path::PathBuf;

use crate::contract::{limits, messages};
use crate::wire::fault::Fault;

/// Result of the SDK's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong with a video service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service name is empty, too long or not printable.
    #[error("{}", messages::invalid_name(name, reason, limits::MAX_SERVICE_NAME_BYTES))]
    InvalidServiceName {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        reason: String,
    },

    /// `IOX2_VIDEO_DOMAIN` or an iceoryx2 configuration file cannot be used.
    #[error("invalid iceoryx2 domain: {0}")]
    Domain(String),

    /// The service exists with another payload or header type.
    #[error("{}", messages::type_mismatch(service, found))]
    TypeMismatch {
        /// Name of the service.
        service: String,
        /// The types it carries.
        found: String,
    },

    /// The service was created by another release of iceoryx2.
    #[error("{}", messages::version_mismatch(service, theirs, ours))]
    VersionMismatch {
        /// Name of the service.
        service: String,
        /// Release of its creator.
        theirs: String,
        /// Release of this program.
        ours: String,
    },

    /// Something outside the service keeps this process from it: another user's folder, too little of something, a limit.
    #[error("cannot {doing}: {obstacle}")]
    Obstacle {
        /// What failed, with the service where one was meant.
        doing: String,
        /// The reason.
        obstacle: Obstacle,
    },

    /// A port more than the service admits.
    #[error("{}", messages::too_many_ports(port, service, limit, advice(port)))]
    TooManyPorts {
        /// Name of the service.
        service: String,
        /// Which port: publisher, subscriber, listener, notifier, participant.
        port: &'static str,
        /// How many the service admits.
        limit: usize,
    },

    /// A QoS setting asked for by name that an existing service cannot give.
    #[error("{}", messages::qos(service, setting, exists, wanted))]
    Qos {
        /// Name of the service.
        service: String,
        /// Name of the setting.
        setting: &'static str,
        /// What was asked for: a number, "true" or "false".
        wanted: String,
        /// What the service has.
        exists: String,
    },

    /// The file system behind shared memory is too small.
    #[error("{}", messages::out_of_shared_memory(service, Megabytes(*needed), chunks, Megabytes(*chunk as u64), Megabytes(*available), Megabytes(*promised)))]
    SharedMemory {
        /// Name of the service.
        service: String,
        /// Bytes in the worst case.
        needed: u64,
        /// Frames in the worst case.
        chunks: usize,
        /// Bytes a frame.
        chunk: usize,
        /// Bytes free.
        available: u64,
        /// Bytes of these that others were given and have not written yet.
        promised: u64,
    },

    /// Every loan of the publisher is in use.
    #[error("{}", messages::loan_limit(service, limit))]
    LoanLimit {
        /// Name of the service.
        service: String,
        /// How many loans it has.
        limit: usize,
    },

    /// Every frame slot is held by subscribers.
    #[error("{}", messages::out_of_frames(service, chunks))]
    OutOfFrames {
        /// Name of the service.
        service: String,
        /// Frames the publisher allocated.
        chunks: usize,
    },

    /// The subscriber holds as many frames as it may.
    #[error("{}", messages::borrow_limit(service, limit, limit))]
    BorrowLimit {
        /// Name of the service.
        service: String,
        /// How many it may hold.
        limit: usize,
    },

    /// Pixels and frame parameters do not fit together.
    #[error("frame for {service:?} does not fit its parameters: {reason}")]
    Geometry {
        /// Name of the service.
        service: String,
        /// What does not fit.
        reason: Fault,
    },

    /// Left-overs of a crash that a clean-up did not cure.
    #[error("{}", messages::half_made(service, state, file.display()))]
    Broken {
        /// Name of the service.
        service: String,
        /// iceoryx2's word for its state.
        state: String,
        /// Its description.
        file: PathBuf,
    },

    /// A port is used in a child of the process that opened it.
    #[error("{}", messages::forked(service))]
    Forked {
        /// Name of the service.
        service: String,
    },

    /// The publisher was closed, or the frame's connection is gone.
    #[error("{}", messages::iceoryx2_failed(operation, service, cause))]
    Transport {
        /// Name of the service.
        service: String,
        /// What was tried.
        operation: &'static str,
        /// iceoryx2's answer.
        cause: String,
    },

    /// A frame whose caps or format cannot be read as an array.
    #[error("{0}")]
    Format(String),

    /// The operating system refused a call.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Its answer.
        #[source]
        source: std::io::Error,
    },
}

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
    pub(crate) fn new(kind: ObstacleKind, text: String) -> Self {
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

/// What to do about a port too many.
fn advice(port: &str) -> String {
    match port {
        "publisher" => messages::close_publisher("max-publishers"),
        "subscriber" => messages::close_subscriber("max-subscribers"),
        _ => messages::close_participant(),
    }
}

/// Bytes, written in MB.
struct Megabytes(u64);

impl fmt::Display for Megabytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MB", self.0 as f64 / 1e6)
    }
}
