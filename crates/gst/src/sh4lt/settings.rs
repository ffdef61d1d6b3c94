//! Properties that both elements have.

use std::path::PathBuf;
use std::sync::Mutex;

use gst::glib;
use gst::prelude::*;
use gst_plugin_iceoryx2_shmdata as shmdata;

/// Said in the elements' description and once in the log.
pub const INTEROPERABILITY: &str =
    "speaks the Shmdata protocol (score's Shmdata devices, sdflow, Splash, Switcher), not yet Sh4lt's own";

/// Which path an element shares: given as such, or as label and group.
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
        match (&self.socket_path, &self.label) {
            (Some(path), _) if !path.is_empty() => Ok(path.into()),
            (_, Some(label)) => shmdata::address(label, &self.group)
                .map_err(|error| gst::error_msg!(gst::ResourceError::Settings, ["{error}"])),
            _ => Err(gst::error_msg!(gst::ResourceError::Settings, ["neither socket-path nor label is set"])),
        }
    }

    pub fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        let text = || value.get::<Option<String>>().expect("type checked by GObject");
        match name {
            "socket-path" => self.socket_path = text(),
            "label" => self.label = text(),
            "group" => self.group = text().unwrap_or_else(|| shmdata::DEFAULT_GROUP.into()),
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

    pub fn properties() -> Vec<glib::ParamSpec> {
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
pub struct Traffic(Mutex<(u64, u64)>);

impl Traffic {
    pub fn add(&self, bytes: usize) {
        let mut counts = self.0.lock().unwrap();
        counts.0 += bytes as u64;
        counts.1 += 1;
    }

    pub fn take(&self, name: &str) -> Option<glib::Value> {
        let mut counts = self.0.lock().unwrap();
        match name {
            "bytes" => Some(std::mem::take(&mut counts.0).to_value()),
            "buffers" => Some(std::mem::take(&mut counts.1).to_value()),
            _ => None,
        }
    }

    pub fn properties() -> Vec<glib::ParamSpec> {
        let counter = |name: &'static str, nick, blurb| {
            glib::ParamSpecUInt64::builder(name).nick(nick).blurb(blurb).read_only().build()
        };
        vec![
            counter("bytes", "Bytes", "Bytes since this property was last read"),
            counter("buffers", "Buffers", "Buffers since this property was last read"),
        ]
    }
}

pub fn caps_property(blurb: &'static str) -> glib::ParamSpec {
    glib::ParamSpecString::builder("caps").nick("Caps").blurb(blurb).read_only().build()
}

/// How raw video is laid out by default; `None` for other media.
///
/// GStreamer takes encoded video for pictures of 0 bytes.
pub fn raw_video(caps: &gst::CapsRef) -> Option<gst_video::VideoInfo> {
    caps.structure(0).filter(|structure| structure.name() == "video/x-raw")?;
    gst_video::VideoInfo::from_caps(caps).ok()
}
