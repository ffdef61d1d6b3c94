//! Publishes the boxes of a sink's buffers as results (SPEC §11).

use std::sync::atomic::{AtomicU64, Ordering};

use gst_plugin_iceoryx2_video::results::{ResultsName, ResultsPublisher, source_of};
use gst_plugin_iceoryx2_video::wire::rendition::Rendition;
use gst_plugin_iceoryx2_video::wire::result_payload::Results;
use gst_plugin_iceoryx2_video::{Error, Interrupt, Stamp, Waiting};

use super::settings::Settings;

/// Counters of results.
#[derive(Debug, Default)]
pub struct Counters {
    pub sent: AtomicU64,
    pub refused: AtomicU64,
}

impl Counters {
    pub fn reset(&self) {
        for counter in [&self.sent, &self.refused] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

/// Publishes results for the frames of one source.
#[derive(Debug)]
pub struct Reporter {
    publisher: ResultsPublisher,
    /// Short name of the source to which the results belong.
    source: String,
    /// Whether this is the stream that the sink itself publishes.
    is_own: bool,
}

/// A frame that the sink has sent.
pub struct Sent<'a> {
    pub stamp: Stamp,
    pub size: (u32, u32),
    /// What the frame's metas say about its origin.
    pub origin: Option<&'a Rendition>,
    /// Publisher and sequence of the first publisher's frame, if the frame crossed a bridge.
    pub first: Option<(u64, u64)>,
}

impl Reporter {
    /// Creates the publisher of results; `None` if `results-name` is not set.
    pub fn open(
        settings: &Settings,
        interrupt: &Interrupt,
        waiting: impl Waiting + 'static,
    ) -> Result<Option<Self>, Error> {
        let Some(detector) = &settings.results_name else { return Ok(None) };
        let own = source_of(&settings.service);
        let name = ResultsName::new(settings.results_for.as_deref().unwrap_or(own), detector)?;
        let publisher = ResultsPublisher::with_waiting(&name, interrupt.clone(), waiting)?;
        Ok(Some(Self { publisher, is_own: name.source() == own, source: name.source().to_owned() }))
    }

    /// Publishes what was found in a frame. Returns the reason in words if the results belong to no frame of the source.
    pub fn report(&self, mut found: Results, sent: &Sent<'_>) -> Result<(), String> {
        let is_known = |origin: &&Rendition| self.is_own || source_of(&origin.service) == self.source;
        let (mut stamp, size) = match sent.origin.filter(is_known) {
            Some(origin) => {
                origin.mapping.inverse().apply(&mut found);
                let Rendition { boot_id, publisher, sequence, capture, due, source_size, .. } = *origin;
                let stamp = Stamp { boot_id, publisher, sequence, capture, due };
                // A record without a publisher or sequence is passed over.
                (if publisher.zip(sequence).is_some() { stamp } else { sent.stamp }, source_size)
            }
            None if self.is_own => (sent.stamp, sent.size),
            None => return Err(self.refusal(sent.origin)),
        };
        if let Some((publisher, sequence)) = sent.first {
            (stamp.publisher, stamp.sequence) = (Some(publisher), Some(sequence));
        }
        self.publisher.publish(&stamp, size, &found).map(drop).map_err(|error| error.to_string())
    }

    fn refusal(&self, origin: Option<&Rendition>) -> String {
        let (service, source) = (self.publisher.service(), &self.source);
        match origin {
            Some(origin) => format!(
                "results for {service:?} refused: the buffer shows a frame of {:?}, not of {source:?}; set results-for={}",
                origin.service,
                source_of(&origin.service)
            ),
            None => format!(
                "results for {service:?} refused: their place in a frame of {source:?} is unknown. Receive the buffers with iceoryx2src, and do not \
                 crop, rotate or stretch them; for another size, read a rendition such as {source}@640x640"
            ),
        }
    }
}
