//! Registers the meta `Iox2Rendition` (SPEC §8) with GStreamer, and adds it to received buffers.
//!
//! The meta names the source's frame, a rectangle in it, and the rectangle of the buffer that shows it. Its tags tell GStreamer that this is
//! wrong once a buffer is cropped or turned, so that such elements do not copy it.

use std::ptr::null_mut;
use std::sync::Once;

use gst::glib;
use gst::glib::translate::{IntoGlib, ToGlibPtr, from_glib};
use gst::meta::{CustomMeta, MetaTransform, MetaTransformCopy};
use gst_plugin_iceoryx2_video::wire::rendition::RENDITION_META as NAME;
use gst_plugin_iceoryx2_video::{Stamp, boot_id};
use gst_video::VideoInfo;
use gst_video::video_meta::VideoMetaTransformScale;

/// Field with the rectangle in the buffer.
const RECT: &str = "rect";
const TAGS: &[&str] = &["video", "size", "orientation"];

/// Registers the meta, unless it is registered already.
pub fn register() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        // GLib logs a critical if a name is registered twice.
        if glib::Type::from_name(NAME).is_some() {
            return;
        }
        let (name, tags) = (NAME.to_glib_none(), TAGS.to_glib_none());
        // SAFETY: GStreamer is initialised, because it loaded this plugin. It copies the name and the tags. The function has no user data.
        unsafe { gst::ffi::gst_meta_register_custom(name.0, tags.0, Some(transform), null_mut(), None) };
    });
}

/// Adds the meta that says that a buffer shows the whole frame with this stamp, unless the stamp is unknown.
pub fn attach(buffer: &mut gst::BufferRef, service: &str, stamp: &Stamp, size: (u32, u32)) {
    let (Some(publisher), Some(sequence)) = (stamp.publisher, stamp.sequence) else { return };
    register();
    let Ok(mut meta) = CustomMeta::add(buffer, NAME) else { return };
    // Without a boot ID, the frame is from this machine, but its clock is unknown.
    let boot = if stamp.boot_id == [0; 16] { boot_id() } else { stamp.boot_id };
    let structure = meta.mut_structure();
    structure.set("service", service);
    structure.set("boot-id", format!("{:032x}", u128::from_be_bytes(boot)));
    structure.set("publisher", format!("{publisher:016x}"));
    structure.set("sequence", format!("{sequence:016x}"));
    for (name, time) in [("capture", stamp.capture), ("due", stamp.due)] {
        if let Some(time) = time.and_then(|time| i64::try_from(time).ok()) {
            structure.set(name, time);
        }
    }
    let [width, height] = [size.0 as i32, size.1 as i32];
    structure.set("source-size", gst::Array::new([width, height]));
    structure.set("source-rect", gst::Array::new([0, 0, width, height]));
    structure.set(RECT, gst::Array::new([0, 0, width, height]));
}

/// Copies the meta to another buffer if the picture there is the same, or the whole picture in another size.
///
/// videoconvert asks this function even if it only changes the format, because its code also scales. GStreamer's own function for custom
/// metas refuses every such request.
unsafe extern "C" fn transform(
    target: *mut gst::ffi::GstBuffer,
    meta: *mut gst::ffi::GstCustomMeta,
    _source: *mut gst::ffi::GstBuffer,
    kind: glib::ffi::GQuark,
    data: glib::ffi::gpointer,
    _: glib::ffi::gpointer,
) -> glib::ffi::gboolean {
    // SAFETY: a quark of GStreamer.
    let kind: glib::Quark = unsafe { from_glib(kind) };
    // SAFETY: GStreamer passes the meta of another buffer, for the time of this call.
    let meta = unsafe { &*meta.cast::<CustomMeta>() };
    let rect = if kind == MetaTransformCopy::quark() {
        None
    } else if kind == VideoMetaTransformScale::quark() && !data.is_null() {
        // SAFETY: the data of this kind is a GstVideoMetaTransform, of which this type is a transparent wrapper.
        let change = unsafe { &*data.cast::<VideoMetaTransformScale>() };
        match scaled(meta.structure(), change.in_info(), change.out_info()) {
            Some(rect) => Some(rect),
            None => return glib::ffi::GFALSE,
        }
    } else {
        // Since 1.28, elements also offer matrices. If this function refuses one, videoconvert asks again with both sizes.
        return glib::ffi::GFALSE;
    };
    // SAFETY: GStreamer passes a writable buffer for the time of this call.
    let target = unsafe { gst::BufferRef::from_mut_ptr(target) };
    let Ok(mut copy) = CustomMeta::add(target, NAME) else { return glib::ffi::GFALSE };
    let structure = copy.mut_structure();
    for (field, value) in meta.structure().iter() {
        structure.set_value(field, value.clone());
    }
    if let Some(rect) = rect {
        structure.set(RECT, gst::Array::new(rect));
    }
    true.into_glib()
}

/// Returns the rectangle of the meta in a picture of another size, rounded to whole pixels. `None` if the shape of the picture changes, because
/// the element may then add borders; the request does not tell.
fn scaled(meta: &gst::StructureRef, from: &VideoInfo, to: &VideoInfo) -> Option<[i32; 4]> {
    let width = |info: &VideoInfo| i128::from(info.width()) * i128::from(info.par().numer());
    let height = |info: &VideoInfo| i128::from(info.height()) * i128::from(info.par().denom());
    if width(from) * height(to) != width(to) * height(from) {
        return None;
    }
    let rect = meta.get::<gst::Array>(RECT).ok()?;
    let rect: Vec<i64> = rect.iter().filter_map(|side| side.get::<i32>().ok()).map(i64::from).collect();
    let [x, y, width, height] = rect.try_into().ok()?;
    let edge = |place: i64, from: u32, to: u32| (2 * place * i64::from(to) + i64::from(from)) / (2 * i64::from(from));
    let [left, right] = [x, x + width].map(|place| edge(place, from.width(), to.width()) as i32);
    let [top, bottom] = [y, y + height].map(|place| edge(place, from.height(), to.height()) as i32);
    (right > left && bottom > top).then_some([left, top, right - left, bottom - top])
}
