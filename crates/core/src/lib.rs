//! An SDK that shares raw video frames between processes by reference over iceoryx2, without GStreamer. It also implements the wire format.
//!
//! A [`VideoFramePublisher`] sends frames through shared memory, and a [`VideoFrameSubscriber`] receives them without a copy. `SPEC.md` is
//! the contract between them; the module [`wire`] implements it.
//!
//! # Examples
//! ```no_run
//! use gst_plugin_iceoryx2_video::{FrameParams, VideoFramePublisher, VideoFrameSubscriber};
//!
//! let subscriber = VideoFrameSubscriber::new("video/cam0/frame/v2")?;
//! let publisher = VideoFramePublisher::new("video/cam0/frame/v2", 640 * 480 * 3)?;
//! publisher.publish_frame(&vec![0; 640 * 480 * 3], &FrameParams { width: 640, height: 480, ..FrameParams::default() })?;
//! let frame = subscriber.receive_blocking(Some(1000))?.expect("a frame within a second");
//! assert_eq!(frame.pixels().len(), 640 * 480 * 3);
//! # Ok::<(), gst_plugin_iceoryx2_video::Error>(())
//! ```

pub mod config;
mod contract;
mod error;
pub mod iox2;
mod publisher;
mod raw;
pub mod results;
mod subscriber;
pub mod video_service;
#[cfg(feature = "ndarray")]
pub mod view;
pub mod wire;

pub use config::{FrameParams, PropValue, Qos, SinkConfig};
pub use error::{Carries, Error, Obstacle, ObstacleKind, Result};
pub use iox2::domain::{DOMAIN_VARIABLE, Domain};
pub use iox2::node::{create_node, create_node_in};
pub use iox2::service_name::check_service_name;
pub use iox2::types::{IOX2_VERSION, Iox, Iox2Node};
pub use iox2::wait::Interrupt;
pub use publisher::{
    DEFAULT_MAX_LOANS, FIRST_FRAMES, Loan, MAX_PORTS, PublisherBuilder, Turn, VideoFramePublisher, Waiting,
};
pub use raw::{create_listener, create_notifier, open_video_service};
pub use subscriber::{Received, Requirements, SubscriberBuilder, SubscriberStats, VideoFrame, VideoFrameSubscriber};
pub use video_service::{DEFAULT_MAX_PUBLISHERS, DEFAULT_MAX_SUBSCRIBERS, VideoService};
#[cfg(feature = "ndarray")]
pub use view::header_pixels_to_ndarray_view;
pub use wire::auxblob::{AuxRef, AuxTemplate, ParsedAux, build_aux, parse_aux};
pub use wire::caps::{Caps, check_caps, video_caps, video_caps_with};
pub use wire::fault::Fault;
pub use wire::formats::{PACKED_FORMATS, SUPPORTED_FORMATS, VideoFormat, format_channels, plane_heights};
pub use wire::header::*;
pub use wire::metas::{
    CustomMeta, Meta, MetaRef, ReferenceTimestamp, decode_meta, encode_record, encode_reference_timestamp, record_name,
};
pub use wire::stamp::{Stamp, boot_id, monotonic_ns};
pub use wire::text::Structure;
pub use wire::validate::{validate_aux_size, validate_geometry};
pub use wire::value::Value;
