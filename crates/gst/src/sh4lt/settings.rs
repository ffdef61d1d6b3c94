//! Properties that both elements have.

use std::path::PathBuf;
use std::sync::Mutex;

use gst::glib;
use gst::prelude::*;
use gst_plugin_iceoryx2_shmdata as shmdata;

use crate::properties::{counter, read, text};

/// Part of each element's description, and logged once.
pub const INTEROPERABILITY: &str =
    "speaks the Shmdata protocol (score's Shmdata devices, sdflow, Splash, Switcher), not yet Sh4lt's own";

/// The path that an element uses, given as a path or as label and group.
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
            _ => Err(fault("no address: neither socket-path nor label is set".into())),
        }
    }

    /// Sets one property; false if it is not one of these.
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

/// Bytes and buffers since the property was last read, as shmdatasink and shmdatasrc count them.
#[derive(Debug, Default)]
pub struct Traffic(Mutex<(u64, u64)>);

impl Traffic {
    pub fn add(&self, bytes: usize) {
        let mut counts = self.0.lock().unwrap();
        counts.0 += bytes as u64;
        counts.1 += 1;
    }

    /// Reads one property and resets it.
    pub fn take(&self, name: &str) -> Option<glib::Value> {
        let mut counts = self.0.lock().unwrap();
        match name {
            "bytes" => Some(std::mem::take(&mut counts.0).to_value()),
            "buffers" => Some(std::mem::take(&mut counts.1).to_value()),
            _ => None,
        }
    }
}

/// The properties of [`Address`] and [`Traffic`], and `caps`.
pub fn properties(caps: &'static str) -> Vec<glib::ParamSpec> {
    vec![
        text("socket-path", "Socket path", "Path of the socket that the writer creates, at most 107 bytes", None),
        text(
            "label",
            "Label",
            "Name of the stream if socket-path is not set: $XDG_RUNTIME_DIR/sh4lt/GROUP/LABEL",
            None,
        ),
        text("group", "Group", "Group of the label", Some(shmdata::DEFAULT_GROUP)),
        counter("bytes", "Bytes", "Bytes since this property was last read"),
        counter("buffers", "Buffers", "Buffers since this property was last read"),
        glib::ParamSpecString::builder("caps").nick("Caps").blurb(caps).read_only().build(),
    ]
}

/// The default layout of raw video; `None` for other media.
///
/// Only raw video is asked for, because GStreamer describes encoded video as pictures of 0 bytes.
pub fn raw_video(caps: &gst::CapsRef) -> Option<gst_video::VideoInfo> {
    caps.structure(0).filter(|structure| structure.name() == "video/x-raw")?;
    gst_video::VideoInfo::from_caps(caps).ok()
}
