//! Times between a pipeline's clock and the host's monotonic clock (SPEC §5).
//!
//! The ordinary system clock *is* CLOCK_MONOTONIC. Any other clock is compared with it for every frame, and a comparison has noise; yet
//! frames of several streams with one moment have to keep one moment. So the elements of a process share what they found out about a
//! clock, and what once was said about a moment stays.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst_plugin_iceoryx2_video::monotonic_ns;

/// Deviation of a reading from what holds, in nanoseconds, that is taken for noise.
const TOLERANCE: u64 = 100_000;
/// Deviation from which on a clock was set rather than drifted, so that nothing known of it holds any more.
const SET: u64 = 1_000_000_000;
/// How far ahead the moment of a frame may be to count as asked for.
const HORIZON: u64 = 10_000_000_000;
/// Changes of the lead that are remembered: more than happen while a frame is on its way.
const MAX_STEPS: usize = 64;
/// A reading in which the clock took longer to answer is tried again.
const PROMPT: u64 = 20_000;
const ATTEMPTS: usize = 3;
/// The largest moment that is not "none".
const LAST: u64 = u64::MAX - 1;

/// The moment on CLOCK_MONOTONIC at which a running time is reached, `latency` later.
pub fn to_monotonic(
    running_time: gst::Signed<gst::ClockTime>,
    base_time: gst::ClockTime,
    latency: gst::ClockTime,
    clock: &gst::Clock,
) -> u64 {
    let start = base_time.saturating_add(latency).nseconds();
    let clock_time = match running_time {
        gst::Signed::Positive(time) => start.saturating_add(time.nseconds()),
        gst::Signed::Negative(time) => start.saturating_sub(time.nseconds()),
    };
    let moment = with_lead(clock, clock_time, Lead::moment_of);
    moment.min(LAST)
}

/// The running time of a pipeline at a moment on CLOCK_MONOTONIC, zero for moments before its start.
pub fn to_running_time(moment: u64, base_time: gst::ClockTime, clock: &gst::Clock) -> gst::ClockTime {
    let clock_time = with_lead(clock, moment, Lead::clock_time_of);
    gst::ClockTime::from_nseconds(clock_time.saturating_sub(base_time.nseconds()).min(LAST))
}

/// Converts a time with what is known of the clock now.
fn with_lead(clock: &gst::Clock, time: u64, convert: fn(&mut Lead, u64, u64) -> u64) -> u64 {
    static LEADS: Mutex<Vec<(glib::WeakRef<gst::Clock>, Lead)>> = Mutex::new(Vec::new());
    if is_monotonic(clock) {
        return time;
    }
    let reading = Reading::take(clock);
    let mut leads = LEADS.lock().unwrap_or_else(PoisonError::into_inner);
    leads.retain(|(known, _)| known.upgrade().is_some());
    let at = leads.iter().position(|(known, _)| known.upgrade().as_ref() == Some(clock));
    let at = at.unwrap_or_else(|| {
        leads.push((clock.downgrade(), Lead::default()));
        leads.len() - 1
    });
    let lead = &mut leads[at].1;
    lead.observe(&reading);
    convert(lead, time, reading.now)
}

fn is_monotonic(clock: &gst::Clock) -> bool {
    let (internal, external, rate_num, rate_denom) = clock.calibration();
    let untouched = internal == external && rate_num == rate_denom;
    untouched && DEFAULT_CLOCK.is_of(clock).unwrap_or_else(|| has_monotonic_type(clock))
}

fn has_monotonic_type(clock: &gst::Clock) -> bool {
    // Subclasses (network and audio clocks) tick differently.
    clock.type_() == gst::SystemClock::static_type()
        && clock.property::<gst::ClockType>("clock-type") == gst::ClockType::Monotonic
}

/// The clock of nearly every pipeline. Asking it for its type with every frame would cost as much as sending the frame.
static DEFAULT_CLOCK: LazyLock<Watched> = LazyLock::new(|| Watched::new(gst::SystemClock::obtain()));

/// A clock that tells when its type changes.
struct Watched {
    clock: gst::Clock,
    is_monotonic: Arc<AtomicBool>,
}

impl Watched {
    fn new(clock: gst::Clock) -> Self {
        let is_monotonic = Arc::new(AtomicBool::new(false));
        let told = is_monotonic.clone();
        clock.connect_notify(Some("clock-type"), move |clock, _| {
            told.store(has_monotonic_type(clock), Ordering::Relaxed);
        });
        // Only now, so that no change is missed.
        is_monotonic.store(has_monotonic_type(&clock), Ordering::Relaxed);
        Self { clock, is_monotonic }
    }

    /// Whether the clock's type is that of CLOCK_MONOTONIC; `None` for another clock.
    fn is_of(&self, clock: &gst::Clock) -> Option<bool> {
        (self.clock == *clock).then(|| self.is_monotonic.load(Ordering::Relaxed))
    }
}

/// A comparison of a clock with CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// CLOCK_MONOTONIC at that time.
    now: u64,
    /// How far it was ahead of the clock.
    lead: i64,
    /// How wrong that may be.
    doubt: u64,
}

impl Reading {
    fn take(clock: &gst::Clock) -> Self {
        let attempt = || {
            // The clock was read somewhere between the two: in the middle, give or take half.
            let before = monotonic_ns();
            let clock_time = clock.time().nseconds();
            let doubt = (monotonic_ns() - before) / 2;
            let now = before + doubt;
            Self { now, lead: now.wrapping_sub(clock_time).cast_signed(), doubt }
        };
        let mut best = attempt();
        for _ in 1..ATTEMPTS {
            if best.doubt <= PROMPT {
                break;
            }
            let another = attempt();
            if another.doubt < best.doubt {
                best = another;
            }
        }
        best
    }
}

/// How far CLOCK_MONOTONIC is ahead of one clock, as it changed.
#[derive(Debug, Default)]
struct Lead {
    steps: VecDeque<Step>,
    /// The latest times that were converted: no later change may touch them.
    asked: Pair,
}

/// A time of the clock and the moment on CLOCK_MONOTONIC that it became.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    clock_time: u64,
    moment: u64,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    /// The first times to which it applies.
    since: Pair,
    lead: i64,
}

impl Lead {
    /// Takes over a reading that says more than noise.
    fn observe(&mut self, reading: &Reading) {
        let mut since = Pair::default();
        if let Some(newest) = self.steps.back() {
            let deviation = newest.lead.abs_diff(reading.lead);
            if deviation <= reading.doubt.saturating_add(TOLERANCE) {
                return;
            }
            if deviation > SET {
                self.steps.clear();
                self.asked = Pair::default();
            } else {
                let Pair { clock_time, moment } = self.asked;
                since = Pair { clock_time: clock_time + 1, moment: moment + 1 };
            }
        }
        if self.steps.len() == MAX_STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(Step { since, lead: reading.lead });
    }

    /// The moment on CLOCK_MONOTONIC of a time of the clock.
    fn moment_of(&mut self, clock_time: u64, now: u64) -> u64 {
        let lead = self.lead_where(|since| since.clock_time <= clock_time);
        let moment = clock_time.saturating_add_signed(lead);
        self.remember(Pair { clock_time, moment }, now);
        moment
    }

    /// The time of the clock at a moment on CLOCK_MONOTONIC.
    fn clock_time_of(&mut self, moment: u64, now: u64) -> u64 {
        let lead = self.lead_where(|since| since.moment <= moment);
        let clock_time = moment.saturating_sub_signed(lead);
        self.remember(Pair { clock_time, moment }, now);
        clock_time
    }

    /// The newest lead that applies; the oldest to what was before it.
    fn lead_where(&self, applies: impl Fn(Pair) -> bool) -> i64 {
        let step = self.steps.iter().rev().find(|step| applies(step.since)).or(self.steps.front());
        step.map_or(0, |step| step.lead)
    }

    fn remember(&mut self, Pair { clock_time, moment }: Pair, now: u64) {
        // A time from far ahead is a mistake or a lie, and must not keep the lead from changing until then.
        if moment <= now.saturating_add(HORIZON) {
            self.asked.clock_time = self.asked.clock_time.max(clock_time.min(LAST));
            self.asked.moment = self.asked.moment.max(moment.min(LAST));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_watched_clock_is_asked_once_and_tells_when_it_becomes_another() {
        gst::init().unwrap();
        let clock = gst::glib::Object::new::<gst::SystemClock>().upcast::<gst::Clock>();
        let watched = Watched::new(clock.clone());
        assert_eq!(watched.is_of(&clock), Some(true));
        clock.set_property("clock-type", gst::ClockType::Realtime);
        assert_eq!(watched.is_of(&clock), Some(false));
        clock.set_property("clock-type", gst::ClockType::Monotonic);
        assert_eq!(watched.is_of(&clock), Some(true));
        assert_eq!(watched.is_of(&gst::SystemClock::obtain()), None);
    }

    fn reading(now: u64, lead: i64) -> Reading {
        Reading { now, lead, doubt: 1000 }
    }

    #[test]
    fn the_system_clock_is_the_monotonic_clock() {
        gst::init().unwrap();
        let system = gst::SystemClock::obtain();
        let second = gst::Signed::Positive(gst::ClockTime::SECOND);
        let moment = to_monotonic(second, gst::ClockTime::SECOND, gst::ClockTime::ZERO, &system);
        assert_eq!(moment, 2 * SECOND);
        assert_eq!(to_running_time(moment, gst::ClockTime::SECOND, &system), gst::ClockTime::SECOND);
    }

    #[test]
    // proves: T2
    fn another_clock_is_measured() {
        gst::init().unwrap();
        let realtime: gst::SystemClock =
            glib::Object::builder().property("clock-type", gst::ClockType::Realtime).build();
        let realtime = realtime.upcast::<gst::Clock>();
        let now = gst::Signed::Positive(realtime.time());
        let moment = to_monotonic(now, gst::ClockTime::ZERO, gst::ClockTime::ZERO, &realtime);
        assert!(moment.abs_diff(monotonic_ns()) < SECOND / 10);
        assert_eq!(gst::Signed::Positive(to_running_time(moment, gst::ClockTime::ZERO, &realtime)), now);
    }

    #[test]
    fn times_at_both_ends_of_the_range_are_bounded() {
        gst::init().unwrap();
        let clock = gst::SystemClock::obtain();
        let (last, none) = (gst::ClockTime::from_nseconds(LAST), gst::ClockTime::ZERO);
        assert_eq!(to_monotonic(gst::Signed::Positive(last), last, last, &clock), LAST);
        assert_eq!(to_monotonic(gst::Signed::Negative(last), none, none, &clock), 0);
        assert_eq!(to_running_time(u64::MAX, none, &clock), last);
        assert_eq!(to_running_time(0, last, &clock), none);
    }

    #[test]
    fn noise_changes_nothing() {
        let mut lead = Lead::default();
        lead.observe(&reading(0, 500));
        lead.observe(&reading(0, 500 + TOLERANCE.cast_signed()));
        lead.observe(&Reading { now: 0, lead: 40_000_000, doubt: 50_000_000 });
        assert_eq!(lead.moment_of(SECOND, SECOND), SECOND + 500);
    }

    #[test]
    // proves: T4
    fn what_was_said_about_a_moment_stays_when_the_clock_drifts() {
        let mut lead = Lead::default();
        lead.observe(&reading(SECOND, 0));
        let due = SECOND + 20_000_000;
        assert_eq!(lead.moment_of(due, SECOND), due);
        for drift in 1..200_i64 {
            lead.observe(&reading(SECOND, drift * 300_000));
            let now = SECOND + drift.unsigned_abs() * 100;
            // The same moment again: another stream's.
            if drift < 60 {
                assert_eq!(lead.moment_of(due, now), due);
                assert_eq!(lead.clock_time_of(due, now), due);
            }
            let later = due + 300_000_000 + drift.unsigned_abs();
            assert_eq!(lead.clock_time_of(later, now), later.saturating_sub_signed(drift * 300_000));
        }
        assert_eq!(lead.steps.len(), MAX_STEPS);
    }

    #[test]
    // proves: T2
    fn a_clock_that_was_set_is_believed_at_once() {
        let mut lead = Lead::default();
        lead.observe(&reading(SECOND, 0));
        assert_eq!(lead.moment_of(SECOND, SECOND), SECOND);
        lead.observe(&reading(SECOND, -3600 * SECOND.cast_signed()));
        assert_eq!(lead.moment_of(3601 * SECOND, SECOND), SECOND);
    }

    #[test]
    fn a_moment_from_far_ahead_does_not_stop_the_measuring() {
        let mut lead = Lead::default();
        lead.observe(&reading(SECOND, 0));
        assert_eq!(lead.clock_time_of(u64::MAX, SECOND), u64::MAX);
        lead.observe(&reading(SECOND, 1_000_000));
        assert_eq!(lead.clock_time_of(SECOND, SECOND), SECOND - 1_000_000);
    }
}
