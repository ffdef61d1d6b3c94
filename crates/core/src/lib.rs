//! Raw video frames between processes by reference: the wire contract and an SDK that needs no GStreamer.
//!
//! `SPEC.md` is the contract. The modules, from the bottom up: [`header`], [`formats`], the text of [`structure`]s and
//! their [`value`]s, [`caps`], [`metas`], [`stamp`], the aux blob of all these ([`auxblob`]), and [`validate`], which judges
//! what came from elsewhere.

pub mod auxblob;
pub mod caps;
pub mod cleanup;
pub mod config;
pub mod description;
mod domain;
mod error;
pub mod fault;
mod fork;
pub mod formats;
pub mod header;
mod liveness;
pub mod metas;
mod obstacle;
mod publisher;
mod raw;
mod remains;
mod service;
pub mod shared;
pub mod stamp;
pub mod structure;
mod subscriber;
pub mod validate;
pub mod value;
#[cfg(feature = "ndarray")]
pub mod view;
mod wait;

pub use auxblob::{AuxRef, AuxTemplate, ParsedAux, build_aux, parse_aux};
pub use caps::{Caps, check_caps, video_caps, video_caps_with};
pub use config::{FrameParams, PropValue, Qos, SinkConfig};
pub use domain::{DOMAIN_VARIABLE, Domain};
pub use error::{Error, Result};
pub use fault::Fault;
pub use formats::{PACKED_FORMATS, SUPPORTED_FORMATS, VideoFormat, format_channels, plane_heights};
pub use header::*;
pub use metas::{
    CustomMeta, Meta, MetaRef, ReferenceTimestamp, decode_meta, encode_record, encode_reference_timestamp, record_name,
};
pub use obstacle::{Obstacle, ObstacleKind};
pub use publisher::{
    DEFAULT_MAX_LOANS, DEFAULT_MAX_PUBLISHERS, DEFAULT_MAX_SUBSCRIBERS, FIRST_FRAMES, Loan, MAX_PORTS,
    PublisherBuilder, Turn, VideoFramePublisher, Waiting,
};
pub use raw::{create_listener, create_notifier, open_video_service};
pub use service::{IOX2_VERSION, Iox, Iox2Node, VideoService, check_service_name, create_node, create_node_in};
pub use stamp::{Stamp, boot_id, monotonic_ns};
pub use structure::Structure;
pub use subscriber::{Received, Requirements, SubscriberBuilder, SubscriberStats, VideoFrame, VideoFrameSubscriber};
pub use validate::{validate_aux_size, validate_geometry};
pub use value::Value;
#[cfg(feature = "ndarray")]
pub use view::header_pixels_to_ndarray_view;
pub use wait::Interrupt;
