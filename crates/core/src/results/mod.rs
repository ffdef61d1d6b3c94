//! Publishes and receives what detectors find in frames (SPEC §11).

mod names;
mod publisher;
mod subscriber;

pub use names::{ResultsName, source_of};
pub use publisher::ResultsPublisher;
pub use subscriber::{ReceivedResults, ResultsSubscriber};
