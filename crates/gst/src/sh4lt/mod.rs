//! `sh4ltsink` and `sh4ltsrc`: media between processes over the Shmdata protocol.
//!
//! They bear the names that users of Sh4lt know and speak what is known of it: the wire of Shmdata, which score's Shmdata devices,
//! sdflow, Splash and Switcher speak, too. Sh4lt's own wire is another one.

use std::path::PathBuf;
use std::sync::Mutex;

use gst::glib;
use gst::prelude::*;
use gst_plugin_iceoryx2_shmdata as shmdata;

mod pool;
mod sink;
mod source;

/// Said in the elements' description and once in the log.
const INTEROPERABILITY: &str =
    "speaks the Shmdata protocol (score's Shmdata devices, sdflow, Splash, Switcher), not yet Sh4lt's own";

glib::wrapper! {
    pub struct Sh4ltSink(ObjectSubclass<sink::Sh4ltSink>) @extends gst_base::BaseSink, gst::Element, gst::Object;
}

glib::wrapper! {
    pub struct Sh4ltSrc(ObjectSubclass<source::Sh4ltSrc>) @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "sh4ltsink", gst::Rank::NONE, Sh4ltSink::static_type())?;
    gst::Element::register(Some(plugin), "sh4ltsrc", gst::Rank::NONE, Sh4ltSrc::static_type())
}

/// Which path an element shares: given as such, or as label and group.
#[derive(Clone, Debug)]
struct Address {
    socket_path: Option<String>,
    label: Option<String>,
    group: String,
}

impl Default for Address {
    fn default() -> Self {
        Self { socket_path: None, label: None, group: shmdata::DEFAULT_GROUP.into() }
    }
}

impl Address {
    fn path(&self) -> Result<PathBuf, gst::ErrorMessage> {
        match (&self.socket_path, &self.label) {
            (Some(path), _) if !path.is_empty() => Ok(path.into()),
            (_, Some(label)) => shmdata::address(label, &self.group)
                .map_err(|error| gst::error_msg!(gst::ResourceError::Settings, ["{error}"])),
            _ => Err(gst::error_msg!(gst::ResourceError::Settings, ["neither socket-path nor label is set"])),
        }
    }

    fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        let text = || value.get::<Option<String>>().expect("type checked by GObject");
        match name {
            "socket-path" => self.socket_path = text(),
            "label" => self.label = text(),
            "group" => self.group = text().unwrap_or_else(|| shmdata::DEFAULT_GROUP.into()),
            _ => return false,
        }
        true
    }

    fn get(&self, name: &str) -> Option<glib::Value> {
        match name {
            "socket-path" => Some(self.socket_path.to_value()),
            "label" => Some(self.label.to_value()),
            "group" => Some(self.group.to_value()),
            _ => None,
        }
    }

    fn properties() -> Vec<glib::ParamSpec> {
        let text = |name: &'static str, nick, blurb| {
            glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).mutable_ready()
        };
        vec![
            text(
                "socket-path",
                "Socket path",
                "Path of the socket at which writer and readers meet, at most 107 bytes",
            )
            .build(),
            text(
                "label",
                "Label",
                "Names the stream where no socket-path is given: $XDG_RUNTIME_DIR/sh4lt/GROUP/LABEL",
            )
            .build(),
            text("group", "Group", "Group of the label").default_value(Some(shmdata::DEFAULT_GROUP)).build(),
        ]
    }
}

/// Bytes and buffers since somebody last asked, as shmdatasink and shmdatasrc count them.
#[derive(Debug, Default)]
struct Traffic(Mutex<(u64, u64)>);

impl Traffic {
    fn add(&self, bytes: usize) {
        let mut counts = self.0.lock().unwrap();
        counts.0 += bytes as u64;
        counts.1 += 1;
    }

    fn take(&self, name: &str) -> Option<glib::Value> {
        let mut counts = self.0.lock().unwrap();
        match name {
            "bytes" => Some(std::mem::take(&mut counts.0).to_value()),
            "buffers" => Some(std::mem::take(&mut counts.1).to_value()),
            _ => None,
        }
    }

    fn properties() -> Vec<glib::ParamSpec> {
        let counter = |name: &'static str, nick, blurb| {
            glib::ParamSpecUInt64::builder(name).nick(nick).blurb(blurb).read_only().build()
        };
        vec![
            counter("bytes", "Bytes", "Bytes since this property was last read"),
            counter("buffers", "Buffers", "Buffers since this property was last read"),
        ]
    }
}

fn caps_property(blurb: &'static str) -> glib::ParamSpec {
    glib::ParamSpecString::builder("caps").nick("Caps").blurb(blurb).read_only().build()
}

/// How raw video is laid out by default; `None` for other media.
///
/// GStreamer takes encoded video for pictures of 0 bytes.
fn raw_video(caps: &gst::CapsRef) -> Option<gst_video::VideoInfo> {
    caps.structure(0).filter(|structure| structure.name() == "video/x-raw")?;
    gst_video::VideoInfo::from_caps(caps).ok()
}

/// The message to post for an error of the protocol.
fn message(error: &shmdata::Error) -> gst::ErrorMessage {
    match error {
        shmdata::Error::WriterIsAlive { .. } => gst::error_msg!(gst::ResourceError::Busy, ["{error}"]),
        shmdata::Error::FrameTooLarge { .. } => gst::error_msg!(gst::ResourceError::NoSpaceLeft, ["{error}"]),
        shmdata::Error::Foreign { .. } => gst::error_msg!(gst::ResourceError::NotAuthorized, ["{error}"]),
        shmdata::Error::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            gst::error_msg!(gst::ResourceError::NotAuthorized, ["{error}"])
        }
        shmdata::Error::PathTooLong { .. } | shmdata::Error::NotASocket { .. } | shmdata::Error::Name { .. } => {
            gst::error_msg!(gst::ResourceError::Settings, ["{error}"])
        }
        _ => gst::error_msg!(gst::ResourceError::Failed, ["{error}"]),
    }
}
