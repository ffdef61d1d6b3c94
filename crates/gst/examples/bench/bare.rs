//! Lower limit of any pair of elements: a sink that writes the stamp of each frame to a named pipe, and a source that makes a
//! buffer from each stamp. Only GStreamer's own work and waking a process remain.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;

use crate::Result;
use crate::stamp::Stamp;

glib::wrapper! {
    pub struct Sink(ObjectSubclass<imp::Sink>) @extends gst_base::BaseSink, gst::Element, gst::Object;
}

glib::wrapper! {
    pub struct Source(ObjectSubclass<imp::Source>) @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

/// Registers `benchbaresink path=…` and `benchbaresrc path=…` in this process.
pub fn register() -> Result<()> {
    gst::init()?;
    gst::Element::register(None, "benchbaresink", gst::Rank::NONE, Sink::static_type())?;
    gst::Element::register(None, "benchbaresrc", gst::Rank::NONE, Source::static_type())?;
    Ok(())
}

/// The named pipe of both elements, whose path is their only property.
#[derive(Debug, Default)]
struct Pipe {
    path: Mutex<String>,
    file: Mutex<Option<File>>,
}

impl Pipe {
    fn property() -> [glib::ParamSpec; 1] {
        [glib::ParamSpecString::builder("path").mutable_ready().build()]
    }

    fn set(&self, value: &glib::Value) {
        *self.path.lock().unwrap() = value.get().expect("a string");
    }

    fn get(&self) -> glib::Value {
        self.path.lock().unwrap().to_value()
    }

    /// Opens the pipe for reading and writing, so that no end waits for the other one or notices its exit.
    fn open(&self) -> std::result::Result<(), gst::ErrorMessage> {
        let path = self.path.lock().unwrap().clone();
        let c_path = std::ffi::CString::new(path.clone()).expect("no NUL in a launch line");
        // SAFETY: the path is a live C string. An existing pipe is not an error.
        unsafe { libc::mkfifo(c_path.as_ptr(), 0o600) };
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path);
        let file = file.map_err(|e| gst::error_msg!(gst::ResourceError::OpenReadWrite, ["{path}: {e}"]))?;
        *self.file.lock().unwrap() = Some(file);
        Ok(())
    }
}

mod imp {
    use super::*;

    const DESCRIPTION: &str = "A floor of the benchmarks";
    const AUTHORS: &str = env!("CARGO_PKG_AUTHORS");

    #[derive(Debug, Default)]
    pub struct Sink {
        pipe: Pipe,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Sink {
        const NAME: &'static str = "BenchBareSink";
        type Type = super::Sink;
        type ParentType = gst_base::BaseSink;
    }

    impl ObjectImpl for Sink {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<[glib::ParamSpec; 1]> = LazyLock::new(Pipe::property);
            &*PROPERTIES
        }

        fn set_property(&self, _id: usize, value: &glib::Value, _pspec: &glib::ParamSpec) {
            self.pipe.set(value);
        }

        fn property(&self, _id: usize, _pspec: &glib::ParamSpec) -> glib::Value {
            self.pipe.get()
        }
    }

    impl GstObjectImpl for Sink {}

    impl ElementImpl for Sink {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> =
                LazyLock::new(|| gst::subclass::ElementMetadata::new("bare sink", "Sink", DESCRIPTION, AUTHORS));
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<[gst::PadTemplate; 1]> =
                LazyLock::new(|| [crate::pad_template("sink", gst::PadDirection::Sink)]);
            &*TEMPLATES
        }
    }

    impl BaseSinkImpl for Sink {
        fn start(&self) -> std::result::Result<(), gst::ErrorMessage> {
            self.pipe.open()
        }

        fn render(&self, buffer: &gst::Buffer) -> std::result::Result<gst::FlowSuccess, gst::FlowError> {
            let pixels = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
            let stamp = Stamp::shortest(&pixels).ok_or(gst::FlowError::Error)?;
            let pipe = self.pipe.file.lock().unwrap();
            // The pipe is full if no process reads. This frame is lost.
            let _ = pipe.as_ref().expect("started").write(&stamp);
            Ok(gst::FlowSuccess::Ok)
        }
    }

    #[derive(Debug, Default)]
    pub struct Source {
        pipe: Pipe,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Source {
        const NAME: &'static str = "BenchBareSource";
        type Type = super::Source;
        type ParentType = gst_base::PushSrc;
    }

    impl ObjectImpl for Source {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<[glib::ParamSpec; 1]> = LazyLock::new(Pipe::property);
            &*PROPERTIES
        }

        fn set_property(&self, _id: usize, value: &glib::Value, _pspec: &glib::ParamSpec) {
            self.pipe.set(value);
        }

        fn property(&self, _id: usize, _pspec: &glib::ParamSpec) -> glib::Value {
            self.pipe.get()
        }

        fn constructed(&self) {
            self.parent_constructed();
            self.obj().set_live(true);
            self.obj().set_format(gst::Format::Time);
        }
    }

    impl GstObjectImpl for Source {}

    impl ElementImpl for Source {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> =
                LazyLock::new(|| gst::subclass::ElementMetadata::new("bare source", "Source", DESCRIPTION, AUTHORS));
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<[gst::PadTemplate; 1]> =
                LazyLock::new(|| [crate::pad_template("src", gst::PadDirection::Src)]);
            &*TEMPLATES
        }
    }

    impl BaseSrcImpl for Source {
        fn start(&self) -> std::result::Result<(), gst::ErrorMessage> {
            self.pipe.open()
        }

        fn is_seekable(&self) -> bool {
            false
        }
    }

    impl PushSrcImpl for Source {
        fn create(&self, _buffer: Option<&mut gst::BufferRef>) -> std::result::Result<CreateSuccess, gst::FlowError> {
            let mut pipe = self.pipe.file.lock().unwrap();
            let pipe = pipe.as_mut().expect("started");
            let mut stamp = [0; Stamp::SHORTEST];
            while !matches!(pipe.read(&mut stamp), Ok(Stamp::SHORTEST)) {
                let mut waiting = libc::pollfd { fd: pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 };
                // SAFETY: the pointer is to one live pollfd. Senders go on until all readers have exited, so the wait ends.
                unsafe { libc::poll(&raw mut waiting, 1, -1) };
            }
            Ok(CreateSuccess::NewBuffer(gst::Buffer::from_slice(stamp)))
        }
    }
}
