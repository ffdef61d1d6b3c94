//! Publishes results.

use super::names::ResultsName;
use crate::error::{Error, Result};
use crate::iox2::types::Iox2Node;
use crate::iox2::wait::Interrupt;
use crate::publisher::{Publisher, PublisherBuilder, Waiting};
use crate::wire::header::NONE;
use crate::wire::result_payload::Results;
use crate::wire::results::{RESULTS_VERSION, VideoResultsHeader, validate_results};
use crate::wire::stamp::Stamp;

/// Size of the first memory for each result in bytes: 100 boxes.
const FIRST_BYTES: usize = 4096;

/// Publishes what a detector finds in the frames of one source. It is `Send` and `Sync`.
///
/// # Examples
/// ```no_run
/// use gst_plugin_iceoryx2_video::results::{ResultsName, ResultsPublisher};
/// use gst_plugin_iceoryx2_video::wire::result_payload::Results;
/// use gst_plugin_iceoryx2_video::{Result, VideoFrame};
/// # fn found(_: &VideoFrame) -> Results { Results::default() }
///
/// fn publish(publisher: &ResultsPublisher, frame: &VideoFrame) -> Result<usize> {
///     let size = (frame.header().width, frame.header().height);
///     publisher.publish(frame.stamp(), size, &found(frame))
/// }
///
/// let publisher = ResultsPublisher::new(&ResultsName::new("cam0", "yolo")?)?;
/// # Ok::<(), gst_plugin_iceoryx2_video::Error>(())
/// ```
pub struct ResultsPublisher(Publisher<VideoResultsHeader>);

impl std::fmt::Debug for ResultsPublisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResultsPublisher").field("service", &self.0.service()).finish_non_exhaustive()
    }
}

impl ResultsPublisher {
    /// Creates a publisher.
    ///
    /// # Errors
    /// The errors of [`PublisherBuilder::build`].
    pub fn new(name: &ResultsName) -> Result<Self> {
        Self::build(PublisherBuilder::new(&name.to_string()))
    }

    /// Creates a publisher whose waits, such as the wait before its first result, end by an interrupt.
    ///
    /// # Errors
    /// The errors of [`PublisherBuilder::build`].
    pub fn with_waiting(name: &ResultsName, interrupt: Interrupt, waiting: impl Waiting + 'static) -> Result<Self> {
        Self::build(PublisherBuilder::new(&name.to_string()).interrupt(interrupt).waiting(waiting))
    }

    /// Creates a publisher, using your own node.
    ///
    /// # Errors
    /// The errors of [`PublisherBuilder::build`].
    pub fn with_node(node: Iox2Node, name: &ResultsName) -> Result<Self> {
        Self::build(PublisherBuilder::new(&name.to_string()).node(node))
    }

    fn build(builder: PublisherBuilder) -> Result<Self> {
        builder.max_bytes(FIRST_BYTES).aux_bytes(0).build_for().map(Self)
    }

    /// Returns the name of the service.
    pub fn service(&self) -> &str {
        self.0.service()
    }

    /// Sends the results for the frame with this stamp. Coordinates are in pixels of that frame, whose width and height are `size`. Returns
    /// the number of subscribers that received the results.
    ///
    /// # Errors
    /// [`Error::Results`] if the stamp does not name a frame, or if the results break SPEC §11, and the errors of
    /// [`VideoFramePublisher::loan`](crate::VideoFramePublisher::loan).
    pub fn publish(&self, stamp: &Stamp, size: (u32, u32), results: &Results) -> Result<usize> {
        let refused = |reason| Error::Results { service: self.service().to_owned(), reason };
        let (payload, entries) = results.encode().map_err(refused)?;
        let mut header = VideoResultsHeader {
            stream: self.0.id(),
            boot_id: stamp.boot_id,
            frame_publisher: stamp.publisher.unwrap_or(NONE),
            frame_sequence: stamp.sequence.unwrap_or(NONE),
            capture: stamp.capture.unwrap_or(NONE),
            due: stamp.due.unwrap_or(NONE),
            width: size.0,
            height: size.1,
            entries,
            version: RESULTS_VERSION,
            ..VideoResultsHeader::default()
        };
        validate_results(&header, payload.len()).map_err(refused)?;
        let mut loan = self.0.loan(payload.len())?;
        loan.copy_from_slice(&payload);
        let turn = self.0.turn();
        header.sequence = turn.sequence();
        turn.send(loan, &header)
    }
}
