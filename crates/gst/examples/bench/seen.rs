//! Statistics of a receiver about the counted frames.

use crate::Meter;
use crate::stamp::{Phase, Stamp};

/// Counts received, lost, repeated and overwritten frames.
#[derive(Debug, Default)]
pub struct Seen {
    any: bool,
    meter: Option<Meter>,
    latencies: Vec<u64>,
    /// The expected number of the next frame.
    next: u64,
    torn: u64,
    lost: u64,
    duplicated: u64,
}

impl Seen {
    /// Whether this is the first call.
    pub fn is_first(&mut self) -> bool {
        !std::mem::replace(&mut self.any, true)
    }

    /// Counts a frame that arrived at `now`. At the end, returns the beginning of a JSON object.
    pub fn note(&mut self, stamp: Stamp, whole: bool, now: u64) -> Option<String> {
        self.torn += u64::from(!whole);
        match stamp.phase {
            Phase::WarmUp => {}
            Phase::Counted if stamp.number < self.next => self.duplicated += 1,
            Phase::Counted => {
                self.meter.get_or_insert_with(Meter::start);
                self.latencies.push(now.saturating_sub(stamp.sent));
                self.lost += stamp.number - self.next;
                self.next = stamp.number + 1;
            }
            Phase::End => return Some(self.json(stamp.number)),
        }
        None
    }

    fn json(&mut self, sent: u64) -> String {
        let latencies = std::mem::take(&mut self.latencies);
        let measured = self.meter.take().unwrap_or_else(Meter::start).json(latencies.len() as u64);
        let (torn, lost, duplicated) = (self.torn, self.lost + sent.saturating_sub(self.next), self.duplicated);
        let counts = format!("\"torn\": {torn}, \"lost\": {lost}, \"duplicated\": {duplicated}");
        format!("{measured}, {counts}, {}", json(latencies))
    }
}

/// Percentiles and maximum, as members of a JSON object.
pub fn json(mut latencies: Vec<u64>) -> String {
    latencies.sort_unstable();
    let at = |share: f64| latencies.get(((latencies.len() as f64 - 1.0) * share) as usize).copied().unwrap_or_default();
    let places = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)];
    places.map(|(name, share)| format!("\"latency_{name}_ns\": {}", at(share))).join(", ")
}
