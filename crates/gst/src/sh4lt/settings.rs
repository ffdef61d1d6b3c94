//! Properties shared by `sh4ltsink` and `sh4ltsrc`.

use std::path::PathBuf;
use std::sync::Mutex;

use gst::glib;
use gst::prelude::*;
use gst_plugin_iceoryx2_shmdata as shmdata;

use crate::properties::{counter, read, text};

/// Statement about compatible programs, for the element's description and for the log.
pub const INTEROPERABILITY: &str =
    "speaks the Shmdata protocol (score's Shmdata devices, sdflow, Splash, Switcher), not yet Sh4lt's own";

/// The address of a stream: a socket path, or a label and a group.
#[derive(Clone, Debug)]
pub struct Address {
    pub socket_path: Option<String>,
    label: Option<String>,
    group: String,
}

impl Default for Address {
    fn default() -> Self {
        Self { socket_path: None, label: None, group: shmdata::DEFAULT_GROUP.into() }
    }
}

impl Address {
    pub fn path(&self) -> Result<PathBuf, gst::ErrorMessage> {
        let fault = |text: String| gst::error_msg!(gst::ResourceError::Settings, ["{text}"]);
        match (&self.socket_path, &self.label) {
            (Some(path), _) if !path.is_empty() => Ok(path.into()),
            (_, Some(label)) => shmdata::address(label, &self.group).map_err(|error| fault(error.to_string())),
            _ => Err(fault("no address; set socket-path or label".into())),
        }
    }

    /// Sets one property; false if it is not an address property.
    pub fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        match name {
            "socket-path" => self.socket_path = read(value),
            "label" => self.label = read(value),
            "group" => self.group = read::<Option<_>>(value).unwrap_or_else(|| shmdata::DEFAULT_GROUP.into()),
            _ => return false,
        }
        true
    }

    pub fn get(&self, name: &str) -> Option<glib::Value> {
        match name {
            "socket-path" => Some(self.socket_path.to_value()),
            "label" => Some(self.label.to_value()),
            "group" => Some(self.group.to_value()),
            _ => None,
        }
    }
}

/// Number of bytes and buffers since the property was last read. shmdatasink and shmdatasrc count in the same way.
#[derive(Debug, Default)]
pub struct Traffic(Mutex<(u64, u64)>);

impl Traffic {
    pub fn add(&self, bytes: usize) {
        let mut counts = self.0.lock().unwrap();
        counts.0 += bytes as u64;
        counts.1 += 1;
    }

    /// Returns the value of one property and resets it to 0.
    pub fn take(&self, name: &str) -> Option<glib::Value> {
        let mut counts = self.0.lock().unwrap();
        match name {
            "bytes" => Some(std::mem::take(&mut counts.0).to_value()),
            "buffers" => Some(std::mem::take(&mut counts.1).to_value()),
            _ => None,
        }
    }
}

/// Returns the properties for [`Address`] and [`Traffic`], and the property `caps`.
pub fn properties(caps: &'static str) -> Vec<glib::ParamSpec> {
    vec![
        text("socket-path", "Socket path", "Path of the socket that the writer creates, at most 107 bytes", None),
        text(
            "label",
            "Label",
            "Name of the stream if socket-path is not set: $XDG_RUNTIME_DIR/sh4lt/GROUP/LABEL",
            None,
        ),
        text("group", "Group", "Group that the label belongs to", Some(shmdata::DEFAULT_GROUP)),
        counter("bytes", "Bytes", "Bytes since this property was last read"),
        counter("buffers", "Buffers", "Buffers since this property was last read"),
        glib::ParamSpecString::builder("caps").nick("Caps").blurb(caps).read_only().build(),
    ]
}

/// Returns GStreamer's default layout for raw video; `None` for other media.
///
/// Other media are excluded, because GStreamer describes encoded video as pictures with 0 bytes.
pub fn raw_video(caps: &gst::CapsRef) -> Option<gst_video::VideoInfo> {
    caps.structure(0).filter(|structure| structure.name() == "video/x-raw")?;
    gst_video::VideoInfo::from_caps(caps).ok()
}
