//! Converts between buffer metas and aux blob records.
//!
//! Reference timestamps and custom metas have the format of GStreamer 1.24 and later. This module always reads and writes them itself,
//! because GStreamer's own reader crashes on crafted input. Other metas use `gst_meta_serialize`, if it exists.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst_plugin_iceoryx2_video::wire::clock::CLOCK_META;
use gst_plugin_iceoryx2_video::wire::metas::{MAX_CUSTOM_METAS, MetaRef, ReferenceTimestamp, encode_record};
use gst_plugin_iceoryx2_video::wire::rendition::{Mapping, RENDITION_META, Rendition};
use gst_plugin_iceoryx2_video::wire::result_payload::{RESULTS_META, Results};
use gst_plugin_iceoryx2_video::{AuxRef, AuxTemplate, Caps, Stamp, Structure, boot_id};

use crate::log::CAT;
use crate::{analytics, caps, rendition, roi, trust};

/// Metas that GStreamer can safely read: audio levels and closed captions.
const DESERIALISABLE: [&str; 3] = ["GstAudioMeta", "GstAudioLevelMeta", "GstVideoCaptionMeta"];
/// Media type of the reference caps for stamp times (SPEC §5).
const MONOTONIC_MEDIA: &str = "timestamp/x-monotonic";
/// Largest number of cached reference caps.
const MAX_REFERENCES: usize = 64;

static DUE: LazyLock<gst::Caps> = LazyLock::new(|| monotonic("due"));
static CAPTURE: LazyLock<gst::Caps> = LazyLock::new(|| monotonic("capture"));

/// Returns the reference caps for CLOCK_MONOTONIC times since this boot.
fn monotonic(kind: &str) -> gst::Caps {
    let digits = format!("{:032x}", u128::from_be_bytes(boot_id()));
    let boot_id = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-");
    caps::permanent(gst::Caps::builder(MONOTONIC_MEDIA).field("boot-id", &boot_id).field("kind", kind).build())
}

/// Records for a buffer's metas, and the buffer's capture time if it has one.
#[derive(Debug, Default)]
pub struct Records {
    pub records: Vec<Vec<u8>>,
    pub capture: Option<u64>,
    /// The boxes and classifications in the buffer's metas, in pixels of the buffer.
    pub results: Results,
}

/// Returns the aux blob template for frames with these caps. Caps fields that readers refuse (SPEC §7) are left out.
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
                gst::warning!(
                    CAT,
                    "caps are sent without {name}, because its value is not a word, a string or a flat list"
                );
                structure.remove_field(&*name);
            }
        }
    }
    AuxTemplate::new(&sent.to_string(), publisher_id)
}

/// Serialises the metas that can be serialised.
pub fn serialise(buffer: &gst::BufferRef, size: (u32, u32)) -> Records {
    let mut result = Records::default();
    let mut has_results = false;
    for meta in buffer.iter_meta::<gst::Meta>() {
        let api = meta.api();
        if api == gst_video::VideoMeta::meta_api() {
            continue;
        }
        if api == gst_video::VideoRegionOfInterestMeta::meta_api() || api.name() == analytics::API {
            has_results = true;
            continue;
        }
        if let Some(time) = meta.downcast_ref::<gst::ReferenceTimestampMeta>() {
            let reference = time.reference();
            if reference.structure(0).is_some_and(|structure| structure.name() == MONOTONIC_MEDIA) {
                // This timestamp comes from an earlier hop. The capture time is kept; the sink sets a new due time.
                if reference.is_strictly_equal(&CAPTURE) {
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
                Err(error) => gst::debug!(CAT, "omitted a reference timestamp: {error}"),
            }
        } else if let Some(custom) = meta.try_as_custom_meta() {
            let text = custom.structure().to_string();
            result.records.push(encode_record(custom.structure().name(), 0, &[text.as_bytes(), b"\0"].concat()));
        } else if let Some(serialize) = *SERIALIZE {
            result.records.extend(serialize_meta(serialize, &meta));
        }
    }
    if has_results {
        analytics::read(buffer, &mut result.results);
        roi::read(buffer, &mut result.results);
        match result.results.record(size) {
            Ok(record) => result.records.push(record),
            Err(fault) => gst::debug!(CAT, "omitted boxes: {fault}"),
        }
    }
    result
}

/// Adds boxes and classifications, in pixels of the buffer, to a buffer of `size` pixels.
pub fn attach_results(buffer: &mut gst::BufferRef, results: &Results, size: (u32, u32)) {
    analytics::attach(buffer, results);
    roi::attach(buffer, results, size);
}

/// Adds received metas to buffers.
#[derive(Debug, Default)]
pub struct Reader {
    /// Cached reference caps, with their text as key.
    references: HashMap<String, gst::Caps>,
}

impl Reader {
    /// Adds the metas of a frame to its buffer, followed by the times in its stamp. `size` is the width and height of the frame.
    pub fn attach(
        &mut self,
        buffer: &mut gst::BufferRef,
        aux: &AuxRef<'_>,
        stamp: &Stamp,
        service: &str,
        size: (u32, u32),
    ) {
        let mut has_origin = false;
        for record in aux.records() {
            if Stamp::read(record).is_some() {
                continue;
            }
            match MetaRef::read(record) {
                Some(MetaRef::ReferenceTimestamp { reference, timestamp, duration, .. }) => {
                    let Some(caps) = self.reference(reference) else {
                        gst::debug!(CAT, "omitted a reference timestamp: {reference:?} is not caps");
                        continue;
                    };
                    let time = gst::ClockTime::from_nseconds;
                    gst::ReferenceTimestampMeta::add(buffer, caps, time(timestamp), duration.map(time));
                }
                Some(MetaRef::Custom { name, structure }) => {
                    has_origin |= name == RENDITION_META;
                    attach_custom(buffer, name, structure);
                }
                Some(MetaRef::Other { name: RESULTS_META, .. }) => attach_own_results(buffer, record, aux, size),
                Some(MetaRef::Other { name, .. }) => {
                    if let (true, Some(deserialize)) = (DESERIALISABLE.contains(&name), *DESERIALIZE) {
                        deserialize_meta(deserialize, buffer, name, record);
                    }
                }
                None => gst::debug!(CAT, "omitted a meta: its record is invalid"),
            }
        }
        // A relayed frame keeps the origin that its publisher has sent.
        if !has_origin {
            rendition::attach(buffer, service, stamp, size);
        }
        // These come last, because a program that queries any reference timestamp gets the first one.
        for (time, reference) in [(stamp.due, &DUE), (stamp.capture, &CAPTURE)] {
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

/// Adds the results that a frame carries. If they were found in a frame of another size, this one is a rendition of it.
fn attach_own_results(buffer: &mut gst::BufferRef, record: &[u8], aux: &AuxRef<'_>, size: (u32, u32)) {
    let Some((found_in, mut results)) = Results::read_record(record) else {
        gst::debug!(CAT, "omitted boxes: their record is invalid");
        return;
    };
    let made = || Rendition::find(aux.records(), size).filter(|made| made.source_size == found_in);
    let mapping = match found_in == size {
        true => Some(Mapping::scale(size, size)),
        false => made().map(|made| made.mapping),
    };
    let Some(mapping) = mapping else {
        gst::debug!(CAT, "omitted boxes: they are for a frame of {found_in:?} pixels");
        return;
    };
    mapping.apply(&mut results);
    attach_results(buffer, &results, size);
}

fn attach_custom(buffer: &mut gst::BufferRef, name: &str, text: &str) {
    let Some(fields) = trust::structure(text) else {
        gst::debug!(CAT, "omitted the custom meta {name}: its text is not a structure");
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
        Err(error) => gst::debug!(CAT, "omitted the custom meta {name}: {error}"),
    }
}

/// Whether a custom meta has this name. Registers the name if the limit allows it.
fn is_registered(name: &str) -> bool {
    // These two are not counted, so that metas of other names cannot use up their places.
    if name == RENDITION_META {
        rendition::register();
        return true;
    }
    static REGISTERED: Mutex<usize> = Mutex::new(0);
    let mut registered = REGISTERED.lock().unwrap();
    // The name is looked up first, because GLib logs a critical if a name is registered twice.
    if glib::Type::from_name(name).is_some() {
        return true;
    }
    if name == CLOCK_META {
        // Without tags, all elements copy it: it is right whatever happens to the picture.
        gst::meta::CustomMeta::register(name, &[]);
        return true;
    }
    if *registered >= MAX_CUSTOM_METAS {
        gst::warning!(CAT, "omitted the custom meta {name}: the limit of {MAX_CUSTOM_METAS} names is reached");
        return false;
    }
    *registered += 1;
    gst::meta::CustomMeta::register(name, &[]);
    true
}

type Serialize = unsafe extern "C" fn(*const gst::ffi::GstMeta, *mut glib::ffi::GByteArray) -> glib::ffi::gboolean;
type Deserialize = unsafe extern "C" fn(*mut gst::ffi::GstBuffer, *const u8, usize, *mut u32) -> *mut gst::ffi::GstMeta;

// SAFETY: the signature matches `gstmeta.h` since 1.24. A null pointer becomes `None`.
static SERIALIZE: LazyLock<Option<Serialize>> =
    LazyLock::new(|| unsafe { std::mem::transmute(look_up(c"gst_meta_serialize_simple")) });
// SAFETY: as for `SERIALIZE`.
static DESERIALIZE: LazyLock<Option<Deserialize>> =
    LazyLock::new(|| unsafe { std::mem::transmute(look_up(c"gst_meta_deserialize")) });

/// Looks up a function of the loaded GStreamer; returns null if this GStreamer is too old.
fn look_up(name: &std::ffi::CStr) -> *mut libc::c_void {
    // SAFETY: the name is NUL-terminated. The library is loaded, because this plugin links to it.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
}

fn serialize_meta(serialize: Serialize, meta: &gst::MetaRef<'_, gst::Meta>) -> Option<Vec<u8>> {
    // SAFETY: the function fills a new GByteArray, which is read and freed here.
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
    // SAFETY: the buffer and the record outlive the call. The lengths in the record were checked against the size of the record.
    let meta = unsafe { deserialize(buffer.as_mut_ptr(), record.as_ptr(), record.len(), &raw mut consumed) };
    if meta.is_null() {
        gst::debug!(CAT, "omitted the meta {name}: GStreamer refused it");
    }
}
