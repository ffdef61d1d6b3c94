//! Metas of buffers to and from records of the aux blob.
//!
//! Reference timestamps and custom metas are written and read here on every GStreamer, in the form that GStreamer 1.24 and later
//! give them: their own reader of that form crashes on crafted input. Other metas go through `gst_meta_serialize`, where there is one.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst_plugin_iceoryx2_video::wire::metas::{MAX_CUSTOM_METAS, MetaRef, ReferenceTimestamp, encode_record};
use gst_plugin_iceoryx2_video::{AuxRef, AuxTemplate, Caps, Stamp, Structure, boot_id};

use crate::log::CAT;
use crate::{caps, trust};

/// Metas other than ours whose reader in GStreamer bounds its input: audio levels and closed captions.
const DESERIALISABLE: [&str; 3] = ["GstAudioMeta", "GstAudioLevelMeta", "GstVideoCaptionMeta"];
/// Media type of the reference caps under which the moments of a stamp (SPEC §5) are on a buffer.
const MONOTONIC_MEDIA: &str = "timestamp/x-monotonic";
/// Reference caps remembered by their text.
const MAX_REFERENCES: usize = 64;

static MONOTONIC: LazyLock<Monotonic> = LazyLock::new(|| {
    let digits = format!("{:032x}", u128::from_be_bytes(boot_id()));
    let boot_id = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-");
    let moment = |kind: &str| {
        caps::for_ever(gst::Caps::builder(MONOTONIC_MEDIA).field("boot-id", &boot_id).field("kind", kind).build())
    };
    Monotonic { due: moment("due"), capture: moment("capture") }
});

struct Monotonic {
    due: gst::Caps,
    capture: gst::Caps,
}

/// Records of a buffer's metas, and its capture time if it brought one.
#[derive(Debug, Default)]
pub struct Records {
    pub records: Vec<Vec<u8>>,
    pub capture: Option<u64>,
}

/// The prebuilt aux blob of every frame with these caps, without the fields that no reader would accept (SPEC §7).
pub fn template(caps: &gst::Caps, publisher_id: u64) -> AuxTemplate {
    let mut sent = caps.to_owned();
    if Caps::parse(&sent.to_string()).is_err()
        && let Some(structure) = sent.make_mut().structure_mut(0)
    {
        let fields: Vec<_> = structure.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        for (name, value) in fields {
            let mut alone = gst::Structure::new_empty("x");
            alone.set_value(&*name, value);
            if Structure::parse(&alone.to_string()).is_err() {
                gst::warning!(CAT, "caps are sent without {name}: its value is not a word, a string or a flat list");
                structure.remove_field(&*name);
            }
        }
    }
    AuxTemplate::new(&sent.to_string(), publisher_id)
}

/// Writes the metas that another process can use.
pub fn serialise(buffer: &gst::BufferRef) -> Records {
    let mut result = Records::default();
    for meta in buffer.iter_meta::<gst::Meta>() {
        let api = meta.api();
        if api == gst_video::VideoMeta::meta_api() {
            continue;
        }
        if let Some(time) = meta.downcast_ref::<gst::ReferenceTimestampMeta>() {
            let reference = time.reference();
            if reference.structure(0).is_some_and(|structure| structure.name() == MONOTONIC_MEDIA) {
                // Ours from an earlier hop: the capture moment stays what it was, the rest is told anew.
                if reference.is_strictly_equal(&MONOTONIC.capture) {
                    result.capture = Some(time.timestamp().nseconds());
                }
                continue;
            }
            let record = ReferenceTimestamp {
                reference: reference.to_string(),
                timestamp: time.timestamp().nseconds(),
                duration: time.duration().map(gst::ClockTime::nseconds),
                info: None,
            };
            match record.encode() {
                Ok(record) => result.records.push(record),
                Err(error) => gst::debug!(CAT, "reference timestamp left out: {error}"),
            }
        } else if let Some(custom) = meta.try_as_custom_meta() {
            let text = custom.structure().to_string();
            result.records.push(encode_record(custom.structure().name(), 0, &[text.as_bytes(), b"\0"].concat()));
        } else if let Some(serialize) = FUNCTIONS.serialize {
            result.records.extend(serialize_meta(serialize, &meta));
        }
    }
    result
}

/// Puts received metas on buffers; remembers reference caps by their text.
#[derive(Debug, Default)]
pub struct Reader {
    references: HashMap<String, gst::Caps>,
}

impl Reader {
    /// Adds a frame's metas to its buffer: what it brought that can be used here, then the moments of its stamp.
    pub fn attach(&mut self, buffer: &mut gst::BufferRef, aux: &AuxRef<'_>, stamp: &Stamp) {
        for record in aux.records() {
            if Stamp::read(record).is_some() {
                continue;
            }
            match MetaRef::read(record) {
                Some(MetaRef::ReferenceTimestamp { reference, timestamp, duration, .. }) => {
                    let Some(caps) = self.reference(reference) else {
                        gst::debug!(CAT, "reference timestamp left out: {reference:?} are no caps");
                        continue;
                    };
                    let time = gst::ClockTime::from_nseconds;
                    gst::ReferenceTimestampMeta::add(buffer, caps, time(timestamp), duration.map(time));
                }
                Some(MetaRef::Custom { name, structure }) => attach_custom(buffer, name, structure),
                Some(MetaRef::Other { name, .. }) => {
                    if let (true, Some(deserialize)) = (DESERIALISABLE.contains(&name), FUNCTIONS.deserialize) {
                        deserialize_meta(deserialize, buffer, name, record);
                    }
                }
                None => gst::debug!(CAT, "meta left out: its record is broken"),
            }
        }
        // Behind those of the frame: a program that asks for any reference timestamp wants the first of these.
        for (time, reference) in [(stamp.due, &MONOTONIC.due), (stamp.capture, &MONOTONIC.capture)] {
            if let Some(time) = time {
                gst::ReferenceTimestampMeta::add(
                    buffer,
                    reference,
                    gst::ClockTime::from_nseconds(time),
                    gst::ClockTime::NONE,
                );
            }
        }
    }

    fn reference(&mut self, text: &str) -> Option<&gst::Caps> {
        if !self.references.contains_key(text) {
            let caps = trust::caps(text)?;
            if self.references.len() >= MAX_REFERENCES {
                self.references.clear();
            }
            self.references.insert(text.to_owned(), caps);
        }
        self.references.get(text)
    }
}

fn attach_custom(buffer: &mut gst::BufferRef, name: &str, text: &str) {
    let Some(fields) = trust::structure(text) else {
        gst::debug!(CAT, "custom meta {name} left out: its text is no structure");
        return;
    };
    if !is_registered(name) {
        return;
    }
    match gst::meta::CustomMeta::add(buffer, name) {
        Ok(mut meta) => {
            let structure = meta.mut_structure();
            for (field, value) in fields.iter() {
                structure.set_value(field, value.clone());
            }
        }
        Err(error) => gst::debug!(CAT, "custom meta {name} left out: {error}"),
    }
}

/// Whether a custom meta of that name exists, registering it if it may be.
fn is_registered(name: &str) -> bool {
    static REGISTERED: Mutex<usize> = Mutex::new(0);
    let mut registered = REGISTERED.lock().unwrap();
    // Looked up first: registering a name twice is a critical of GLib's.
    if glib::Type::from_name(name).is_some() {
        return true;
    }
    if *registered >= MAX_CUSTOM_METAS {
        gst::warning!(CAT, "custom meta {name} left out: {MAX_CUSTOM_METAS} names are registered already");
        return false;
    }
    *registered += 1;
    gst::meta::CustomMeta::register(name, &[]);
    true
}

type Serialize = unsafe extern "C" fn(*const gst::ffi::GstMeta, *mut glib::ffi::GByteArray) -> glib::ffi::gboolean;
type Deserialize = unsafe extern "C" fn(*mut gst::ffi::GstBuffer, *const u8, usize, *mut u32) -> *mut gst::ffi::GstMeta;

/// Functions of GStreamer 1.24 and later, found in whatever GStreamer this process has.
struct Functions {
    serialize: Option<Serialize>,
    deserialize: Option<Deserialize>,
}

static FUNCTIONS: LazyLock<Functions> = LazyLock::new(|| {
    // SAFETY: the names are NUL-terminated; the libraries are loaded, because this plugin links to them.
    let find = |name: &std::ffi::CStr| unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    let serialize = find(c"gst_meta_serialize_simple");
    let deserialize = find(c"gst_meta_deserialize");
    Functions {
        // SAFETY: the signature is that of `gstmeta.h` since 1.24; a null pointer becomes `None`.
        serialize: unsafe { std::mem::transmute::<*mut libc::c_void, Option<Serialize>>(serialize) },
        // SAFETY: as above.
        deserialize: unsafe { std::mem::transmute::<*mut libc::c_void, Option<Deserialize>>(deserialize) },
    }
});

fn serialize_meta(serialize: Serialize, meta: &gst::MetaRef<'_, gst::Meta>) -> Option<Vec<u8>> {
    // SAFETY: a new GByteArray is filled by the function and read and freed here.
    unsafe {
        let array = glib::ffi::g_byte_array_new();
        let done = serialize(meta.as_ptr(), array) != glib::ffi::GFALSE;
        let record = done.then(|| std::slice::from_raw_parts((*array).data, (*array).len as usize).to_vec());
        glib::ffi::g_byte_array_unref(array);
        record
    }
}

fn deserialize_meta(deserialize: Deserialize, buffer: &mut gst::BufferRef, name: &str, record: &[u8]) {
    let mut consumed = 0;
    // SAFETY: buffer and record live across the call; the record's inner lengths have been checked against its size.
    let meta = unsafe { deserialize(buffer.as_mut_ptr(), record.as_ptr(), record.len(), &raw mut consumed) };
    if meta.is_null() {
        gst::debug!(CAT, "meta {name} left out: its reader refused it");
    }
}
