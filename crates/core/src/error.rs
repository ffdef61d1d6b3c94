//! One error type for everything that can go wrong between a program and a video service.
//!
//! Every message says what failed, on which service, with both numbers, and what to do about it.

use std::fmt;

use crate::wire::fault::Fault;

/// Result of the SDK's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong with a video service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service name is empty, too long or not printable.
    #[error(
        "invalid service name {name:?}: {reason}; use 1 to 255 bytes of printable ASCII such as \"video/cam0/frame/v2\""
    )]
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
    #[error(
        "service {service:?} carries {found}, not video frames (payload [u8], user header VideoFrameHeader of 104 bytes); \
         choose another service name or stop its owner"
    )]
    TypeMismatch {
        /// Name of the service.
        service: String,
        /// The types it carries.
        found: String,
    },

    /// The service was created by another release of iceoryx2.
    #[error(
        "service {service:?} was created with iceoryx2 {theirs}, this program uses {ours}; \
         iceoryx2 releases do not talk to each other: use the same release on both sides"
    )]
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
    #[error("service {service:?} already has its {limit} {ports}; {advice}")]
    TooManyPorts {
        /// Name of the service.
        service: String,
        /// Which ports: publishers, subscribers, listeners, notifiers, participants.
        ports: &'static str,
        /// How many the service admits.
        limit: usize,
        /// What to do.
        advice: &'static str,
    },

    /// A QoS setting asked for by name that an existing service cannot give.
    #[error(
        "service {service:?} exists with {setting} {exists}, {wanted} was asked for; use {exists}, or restart every participant"
    )]
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
    #[error(
        "service {service:?} may need {needed} bytes of shared memory ({chunks} frames of {chunk} bytes), /dev/shm has {available} free, \
         {promised} of that laid out for others; enlarge it (docker run --shm-size=…), or lower the frame size, buffer-size or borrowed-max"
    )]
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
    #[error("publisher of {service:?} has its {limit} loans in use; send or drop one first")]
    LoanLimit {
        /// Name of the service.
        service: String,
        /// How many loans it has.
        limit: usize,
    },

    /// Every frame slot is held by subscribers.
    #[error(
        "publisher of {service:?} has no free frame: subscribers hold its {chunks} frames; the frame is dropped, release frames sooner or raise the limit"
    )]
    OutOfFrames {
        /// Name of the service.
        service: String,
        /// Frames the publisher allocated.
        chunks: usize,
    },

    /// The subscriber holds as many frames as it may.
    #[error(
        "subscriber of {service:?} holds {limit} frames, the service admits {limit}; drop or copy frames before the next receive"
    )]
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
    #[error(
        "service {service:?} cannot be opened: {state}. Either its maker runs in a container that has another /dev/shm: \
         containers have to share it. Or it died while starting: try iox2-video doctor --fix, or use another service name"
    )]
    Broken {
        /// Name of the service.
        service: String,
        /// iceoryx2's word for its state.
        state: String,
    },

    /// A port is used in a child of the process that opened it.
    #[error(
        "service {service:?} was opened before this process was forked; open it in the child, or start the child with spawn or exec"
    )]
    Forked {
        /// Name of the service.
        service: String,
    },

    /// The publisher was closed, or the frame's connection is gone.
    #[error("{operation} on {service:?}: {cause}")]
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
