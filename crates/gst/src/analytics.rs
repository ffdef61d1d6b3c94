//! Reads and writes GstAnalyticsRelationMeta, whose library exists since GStreamer 1.24.
//!
//! One binary of this plugin works with every GStreamer since 1.22, so the functions are looked up when they are first needed.

use std::ffi::CStr;
use std::mem::transmute_copy;
use std::ptr::{NonNull, null_mut};
use std::sync::LazyLock;

use gst::glib;
use gst::glib::ffi::{GFALSE, GQuark, gboolean, gpointer};
use gst_plugin_iceoryx2_video::wire::result_payload::{Classification, ResultBox, Results};

use crate::log::CAT;
use crate::{roi, trust};

const LIBRARY: &CStr = c"libgstanalytics-1.0.so.0";
/// Name of the meta's API type.
pub const API: &str = "GstAnalyticsRelationMetaAPI";
/// Largest number of entries in one meta. The meta has a matrix with a byte for each pair of entries.
const MAX_ENTRIES: usize = 4000;
/// Relations of gstanalyticsmeta.h.
const IS_PART_OF: i32 = 1 << 1;
const CONTAIN: i32 = 1 << 2;
const RELATE_TO: i32 = 1 << 3;

/// `GstAnalyticsMtd`: one entry of a meta.
#[repr(C)]
#[derive(Clone, Copy)]
struct Entry {
    id: u32,
    meta: gpointer,
}

const NO_ENTRY: Entry = Entry { id: 0, meta: null_mut() };

macro_rules! library {
    ($($field:ident = $symbol:literal: fn($($kind:ty),*) -> $result:ty;)*) => {
        /// The functions of the library, with the signatures of its headers since 1.24.
        struct Library {
            $($field: unsafe extern "C" fn($($kind),*) -> $result,)*
        }

        impl Library {
            fn load() -> Option<Self> {
                // SAFETY: the name is NUL-terminated. The library is never closed.
                let library = NonNull::new(unsafe { libc::dlopen(LIBRARY.as_ptr(), libc::RTLD_LAZY) })?;
                // SAFETY: the names are NUL-terminated, and the signatures match the headers.
                Some(unsafe { Self {
                    $($field: transmute_copy(&NonNull::new(libc::dlsym(library.as_ptr(), $symbol.as_ptr()))?),)*
                } })
            }
        }
    };
}

library! {
    add = c"gst_buffer_add_analytics_relation_meta": fn(*mut gst::ffi::GstBuffer) -> gpointer;
    get = c"gst_buffer_get_analytics_relation_meta": fn(*mut gst::ffi::GstBuffer) -> gpointer;
    iterate = c"gst_analytics_relation_meta_iterate": fn(gpointer, *mut gpointer, usize, *mut Entry) -> gboolean;
    related = c"gst_analytics_relation_meta_get_direct_related": fn(gpointer, u32, i32, usize, *mut gpointer, *mut Entry) -> gboolean;
    relate = c"gst_analytics_relation_meta_set_relation": fn(gpointer, i32, u32, u32) -> gboolean;
    box_type = c"gst_analytics_od_mtd_get_mtd_type": fn() -> usize;
    add_box = c"gst_analytics_relation_meta_add_od_mtd": fn(gpointer, GQuark, i32, i32, i32, i32, f32, *mut Entry) -> gboolean;
    box_place = c"gst_analytics_od_mtd_get_location": fn(*const Entry, *mut i32, *mut i32, *mut i32, *mut i32, *mut f32) -> gboolean;
    box_label = c"gst_analytics_od_mtd_get_obj_type": fn(*const Entry) -> GQuark;
    class_type = c"gst_analytics_cls_mtd_get_mtd_type": fn() -> usize;
    add_class = c"gst_analytics_relation_meta_add_one_cls_mtd": fn(gpointer, f32, GQuark, *mut Entry) -> gboolean;
    class_count = c"gst_analytics_cls_mtd_get_length": fn(*const Entry) -> usize;
    class_level = c"gst_analytics_cls_mtd_get_level": fn(*const Entry, usize) -> f32;
    class_label = c"gst_analytics_cls_mtd_get_quark": fn(*const Entry, usize) -> GQuark;
    track_type = c"gst_analytics_tracking_mtd_get_mtd_type": fn() -> usize;
    add_track = c"gst_analytics_relation_meta_add_tracking_mtd": fn(gpointer, u64, u64, *mut Entry) -> gboolean;
    track_info = c"gst_analytics_tracking_mtd_get_info": fn(*const Entry, *mut u64, *mut u64, *mut u64, *mut gboolean) -> gboolean;
}

static ANALYTICS: LazyLock<Option<Library>> = LazyLock::new(Library::load);

/// Adds boxes, their tracks and classifications to a buffer, which may have such a meta already. Other results have no form in the meta.
///
/// Coordinates are in pixels of the buffer.
pub fn attach(buffer: &mut gst::BufferRef, results: &Results) {
    let Some(library) = &*ANALYTICS else { return };
    if results.boxes.is_empty() && results.classifications.is_empty() {
        return;
    }
    let tracks = results.boxes.iter().filter(|found| found.track.is_some()).count();
    if results.boxes.len() + results.classifications.len() + tracks > MAX_ENTRIES {
        gst::debug!(CAT, "a buffer gets only the first {MAX_ENTRIES} of its boxes, tracks and classifications");
    }
    // SAFETY: the buffer is writable and outlives the meta.
    let meta = unsafe {
        let known = (library.get)(buffer.as_mut_ptr());
        if known.is_null() { (library.add)(buffer.as_mut_ptr()) } else { known }
    };
    if meta.is_null() {
        return;
    }
    let mut writer = Writer { library, meta, left: MAX_ENTRIES };
    let boxes: Vec<_> = results.boxes.iter().map_while(|found| writer.add_box(results, found)).collect();
    for class in &results.classifications {
        writer.add_class(results, class, &boxes);
    }
}

/// Adds entries to one meta.
struct Writer {
    library: &'static Library,
    meta: gpointer,
    left: usize,
}

impl Writer {
    /// Adds an entry; `None` if the meta is full.
    fn add(&mut self, add: impl FnOnce(&Library, gpointer, *mut Entry) -> gboolean) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        let mut entry = NO_ENTRY;
        (add(self.library, self.meta, &raw mut entry) != GFALSE).then_some(entry.id)
    }

    fn add_box(&mut self, results: &Results, found: &ResultBox) -> Option<u32> {
        let label = quark(results.text(found.label));
        let [x, y, width, height] = roi::whole(found);
        // SAFETY: the meta belongs to a writable buffer, and the entry outlives the call.
        let id = self.add(|library, meta, entry| unsafe {
            (library.add_box)(meta, label, x, y, width, height, found.score, entry)
        })?;
        if let Some(track) = found.track {
            // SAFETY: as above.
            let track = self.add(|library, meta, entry| unsafe { (library.add_track)(meta, track, u64::MAX, entry) });
            self.relate(RELATE_TO, id, track);
        }
        Some(id)
    }

    fn add_class(&mut self, results: &Results, class: &Classification, boxes: &[u32]) {
        let label = quark(results.text(class.label));
        let of_box = class.of_box.map(|index| boxes.get(index as usize).copied());
        if of_box == Some(None) {
            return;
        }
        // SAFETY: as in `add_box`.
        let id = self.add(|library, meta, entry| unsafe { (library.add_class)(meta, class.score, label, entry) });
        if let Some(Some(of_box)) = of_box {
            self.relate(CONTAIN, of_box, id);
        }
    }

    /// Relates a box to another entry, in both directions.
    fn relate(&self, relation: i32, of_box: u32, other: Option<u32>) {
        let Some(other) = other else { return };
        let back = if relation == CONTAIN { IS_PART_OF } else { relation };
        // SAFETY: the meta belongs to a writable buffer. It checks the numbers of its entries.
        unsafe {
            (self.library.relate)(self.meta, relation, of_box, other);
            (self.library.relate)(self.meta, back, other, of_box);
        }
    }
}

/// Adds the content of a buffer's meta to the results.
pub fn read(buffer: &gst::BufferRef, results: &mut Results) {
    let Some(library) = &*ANALYTICS else { return };
    // SAFETY: the function only reads the buffer.
    let meta = unsafe { (library.get)(buffer.as_ptr().cast_mut()) };
    if meta.is_null() {
        return;
    }
    let reader = Reader { library, meta };
    // SAFETY: these functions return constants.
    let [boxes, classes, tracks] = unsafe { [(library.box_type)(), (library.class_type)(), (library.track_type)()] };
    for entry in reader.entries(boxes) {
        let index = results.boxes.len() as u32;
        let Some(mut found) = reader.read_box(&entry, results) else { continue };
        found.track = reader.related(entry.id, tracks).first().and_then(|track| reader.track(track));
        results.boxes.push(found);
        for class in reader.related(entry.id, classes) {
            reader.read_classes(&class, Some(index), results);
        }
    }
    for class in reader.entries(classes) {
        if reader.related(class.id, boxes).is_empty() {
            reader.read_classes(&class, None, results);
        }
    }
}

/// Reads one meta.
struct Reader {
    library: &'static Library,
    meta: gpointer,
}

impl Reader {
    /// Returns all entries of a type.
    fn entries(&self, kind: usize) -> Vec<Entry> {
        // SAFETY: the meta outlives the call; the state and the entry are the caller's.
        collect(|state, entry| unsafe { (self.library.iterate)(self.meta, state, kind, entry) })
    }

    /// Returns the entries of a type that are related to this entry in any way.
    fn related(&self, id: u32, kind: usize) -> Vec<Entry> {
        let any = i32::MAX;
        // SAFETY: as in `entries`.
        collect(|state, entry| unsafe { (self.library.related)(self.meta, id, any, kind, state, entry) })
    }

    fn read_box(&self, entry: &Entry, results: &mut Results) -> Option<ResultBox> {
        let ([mut x, mut y, mut width, mut height], mut score) = ([0; 4], 0.0);
        // SAFETY: the entry is from this meta, and the numbers outlive the call.
        let (is_read, label) = unsafe {
            let place = self.library.box_place;
            let is_read = place(entry, &raw mut x, &raw mut y, &raw mut width, &raw mut height, &raw mut score);
            (is_read != GFALSE, (self.library.box_label)(entry))
        };
        let [x, y, width, height] = [x, y, width, height].map(|side| side as f32);
        let is_valid = is_read && width >= 0.0 && height >= 0.0 && score.is_finite();
        is_valid.then(|| ResultBox { x, y, width, height, score, label: label_of(label, results), track: None })
    }

    fn read_classes(&self, entry: &Entry, of_box: Option<u32>, results: &mut Results) {
        // SAFETY: the entry is from this meta.
        let count = unsafe { (self.library.class_count)(entry) };
        for index in 0..count {
            // SAFETY: as above, and the index is below the count.
            let (score, label) =
                unsafe { ((self.library.class_level)(entry, index), (self.library.class_label)(entry, index)) };
            if score.is_finite() {
                let label = label_of(label, results);
                results.classifications.push(Classification { of_box, label, score });
            }
        }
    }

    fn track(&self, entry: &Entry) -> Option<u64> {
        let (mut id, mut first, mut last, mut lost) = (0, 0, 0, 0);
        // SAFETY: the entry is from this meta, and the numbers outlive the call.
        let is_read =
            unsafe { (self.library.track_info)(entry, &raw mut id, &raw mut first, &raw mut last, &raw mut lost) };
        (is_read != GFALSE).then_some(id)
    }
}

fn collect(next: impl Fn(*mut gpointer, *mut Entry) -> gboolean) -> Vec<Entry> {
    let (mut state, mut entries) = (null_mut(), Vec::new());
    let mut entry = NO_ENTRY;
    while next(&raw mut state, &raw mut entry) != GFALSE {
        entries.push(entry);
    }
    entries
}

/// Returns the quark of a label. Without a label, or if this process accepts no more names, it is the quark of the empty text.
fn quark(label: Option<&str>) -> GQuark {
    use glib::translate::IntoGlib;
    glib::Quark::from_str(trust::label(label).unwrap_or_default()).into_glib()
}

/// Returns the index of the label with this quark; `None` if the quark is not a text, or is the empty one.
pub fn label_of(quark: GQuark, results: &mut Results) -> Option<u32> {
    // SAFETY: GLib returns null, or a text that it never frees.
    let text = unsafe {
        let text = glib::ffi::g_quark_to_string(quark);
        if text.is_null() { return None } else { CStr::from_ptr(text) }
    };
    let text = text.to_string_lossy();
    roi::label(&text, results)
}
