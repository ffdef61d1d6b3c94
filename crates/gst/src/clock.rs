//! Converts times between a pipeline's clock and CLOCK_MONOTONIC (SPEC §5).
//!
//! The default system clock is CLOCK_MONOTONIC. Any other clock is compared with it for every frame.
//! Each comparison is noisy, but frames from several streams that have equal times must still have equal times after the conversion.
//! So all elements of a process share the measurements, and a given time is always converted to the same value.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst_plugin_iceoryx2_video::monotonic_ns;

/// Differences up to this many nanoseconds are noise.
const TOLERANCE: u64 = 100_000;
/// A larger difference in nanoseconds means that the clock was set. Earlier measurements no longer apply.
const SET: u64 = 1_000_000_000;
/// Times more than this many nanoseconds in the future are treated as mistakes and ignored.
const HORIZON: u64 = 10_000_000_000;
/// Number of leads kept for each clock; the lead changes less often than this while a frame is in transit.
///
/// One lead is not enough, because with a drifting clock two streams in one pipeline would convert equal times with different leads.
const MAX_STEPS: usize = 64;
/// Largest uncertainty, in nanoseconds, for which a reading is not repeated.
const PRECISE: u64 = 20_000;
const ATTEMPTS: usize = 3;
/// The largest valid time; the value above it means "none".
const LAST: u64 = u64::MAX - 1;

/// Converts a running time to CLOCK_MONOTONIC.
pub fn to_monotonic(running_time: gst::Signed<gst::ClockTime>, base_time: gst::ClockTime, clock: &gst::Clock) -> u64 {
    let clock_time = match running_time {
        gst::Signed::Positive(time) => base_time.saturating_add(time).nseconds(),
        gst::Signed::Negative(time) => base_time.saturating_sub(time).nseconds(),
    };
    with_lead(clock, clock_time, Lead::moment_of).min(LAST)
}

/// Converts a CLOCK_MONOTONIC time to running time. Times before the start of the pipeline become zero.
pub fn to_running_time(moment: u64, base_time: gst::ClockTime, clock: &gst::Clock) -> gst::ClockTime {
    let clock_time = with_lead(clock, moment, Lead::clock_time_of);
    gst::ClockTime::from_nseconds(clock_time.saturating_sub(base_time.nseconds()).min(LAST))
}

/// Compares the clock with CLOCK_MONOTONIC and converts a time.
fn with_lead(clock: &gst::Clock, time: u64, convert: fn(&mut Lead, u64, u64) -> u64) -> u64 {
    static LEADS: Mutex<Vec<(glib::WeakRef<gst::Clock>, Lead)>> = Mutex::new(Vec::new());
    if is_monotonic(clock) {
        return time;
    }
    let reading = Reading::take(clock);
    let mut leads = LEADS.lock().unwrap_or_else(PoisonError::into_inner);
    let at = leads.iter().position(|(known, _)| known.upgrade().as_ref() == Some(clock)).unwrap_or_else(|| {
        leads.retain(|(known, _)| known.upgrade().is_some());
        leads.push((clock.downgrade(), Lead::default()));
        leads.len() - 1
    });
    let lead = &mut leads[at].1;
    lead.observe(&reading);
    convert(lead, time, reading.now)
}

/// Whether this is the default system clock, and that clock uses CLOCK_MONOTONIC.
///
/// Reading the clock's type for every frame would take as long as sending the frame. So the type is cached and updated on change
/// notifications.
fn is_monotonic(clock: &gst::Clock) -> bool {
    static IS_MONOTONIC: AtomicBool = AtomicBool::new(false);
    static DEFAULT_CLOCK: LazyLock<gst::Clock> = LazyLock::new(|| {
        let update = |clock: &gst::Clock| {
            let is_monotonic = clock.property::<gst::ClockType>("clock-type") == gst::ClockType::Monotonic;
            IS_MONOTONIC.store(is_monotonic, Ordering::Relaxed);
        };
        let clock = gst::SystemClock::obtain();
        // An application may have replaced the default clock, and a subclass may run at a different rate.
        if clock.type_() == gst::SystemClock::static_type() {
            clock.connect_notify(Some("clock-type"), move |clock, _| update(clock));
            update(&clock);
        }
        clock
    });
    let (internal, external, rate_num, rate_denom) = clock.calibration();
    *clock == *DEFAULT_CLOCK && IS_MONOTONIC.load(Ordering::Relaxed) && internal == external && rate_num == rate_denom
}

/// A comparison of a clock with CLOCK_MONOTONIC, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// Value of CLOCK_MONOTONIC when the clock was read.
    now: u64,
    /// CLOCK_MONOTONIC minus the time of the clock.
    lead: i64,
    /// Largest possible error of `lead`.
    uncertainty: u64,
}

impl Reading {
    /// Reads the clock a few times and returns the most precise reading.
    fn take(clock: &gst::Clock) -> Self {
        let mut best = Self::attempt(clock);
        for _ in 1..ATTEMPTS {
            if best.uncertainty <= PRECISE {
                break;
            }
            let another = Self::attempt(clock);
            if another.uncertainty < best.uncertainty {
                best = another;
            }
        }
        best
    }

    fn attempt(clock: &gst::Clock) -> Self {
        let before = monotonic_ns();
        let clock_time = clock.time().nseconds();
        let uncertainty = (monotonic_ns() - before) / 2;
        let now = before + uncertainty;
        Self { now, lead: now.wrapping_sub(clock_time).cast_signed(), uncertainty }
    }
}

/// Current and earlier offsets (leads) of CLOCK_MONOTONIC from another clock.
#[derive(Debug, Default)]
struct Lead {
    steps: VecDeque<Step>,
    /// The latest times converted so far. A new lead applies only to times after these.
    latest: Pair,
}

/// A time of the clock and the corresponding CLOCK_MONOTONIC time.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    clock_time: u64,
    moment: u64,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    /// The earliest times to which the lead applies.
    since: Pair,
    lead: i64,
}

impl Lead {
    /// Adds a lead if the reading differs from the newest lead by more than noise.
    fn observe(&mut self, reading: &Reading) {
        let noise = reading.uncertainty.saturating_add(TOLERANCE);
        let (mut since, mut lead) = (Pair::default(), reading.lead);
        if let Some(newest) = self.steps.back() {
            let difference = newest.lead.abs_diff(lead);
            if difference <= noise {
                return;
            }
            if difference > SET {
                self.steps.clear();
                self.latest = Pair::default();
            } else {
                let Pair { clock_time, moment } = self.latest;
                since = Pair { clock_time: clock_time + 1, moment: moment + 1 };
            }
        } else if lead.unsigned_abs() <= noise {
            // This is another monotonic system clock, so its times do not need conversion.
            lead = 0;
        }
        if self.steps.len() == MAX_STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(Step { since, lead });
    }

    /// Converts a time of the clock to CLOCK_MONOTONIC.
    fn moment_of(&mut self, clock_time: u64, now: u64) -> u64 {
        let lead = self.lead_where(|since| since.clock_time <= clock_time);
        let moment = clock_time.saturating_add_signed(lead);
        self.remember(Pair { clock_time, moment }, now);
        moment
    }

    /// Converts a time of CLOCK_MONOTONIC to a time of the clock.
    fn clock_time_of(&mut self, moment: u64, now: u64) -> u64 {
        let lead = self.lead_where(|since| since.moment <= moment);
        let clock_time = moment.saturating_sub_signed(lead);
        self.remember(Pair { clock_time, moment }, now);
        clock_time
    }

    /// Returns the newest lead that applies, or the oldest lead if the time is before all of them.
    fn lead_where(&self, applies: impl Fn(Pair) -> bool) -> i64 {
        let step = self.steps.iter().rev().find(|step| applies(step.since)).or(self.steps.front());
        step.map_or(0, |step| step.lead)
    }

    fn remember(&mut self, Pair { clock_time, moment }: Pair, now: u64) {
        // A mistaken time far in the future must not block new leads until that time comes.
        if moment <= now.saturating_add(HORIZON) {
            self.latest.clock_time = self.latest.clock_time.max(clock_time.min(LAST));
            self.latest.moment = self.latest.moment.max(moment.min(LAST));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    /// Lock for tests that use the default clock, because one of them changes the clock.
    static DEFAULT_CLOCK: Mutex<()> = Mutex::new(());

    #[test]
    fn the_default_clock_is_followed_when_its_type_changes() {
        let _held = DEFAULT_CLOCK.lock().unwrap();
        gst::init().unwrap();
        let clock = gst::SystemClock::obtain();
        assert!(is_monotonic(&clock));
        clock.set_property("clock-type", gst::ClockType::Realtime);
        let followed = !is_monotonic(&clock);
        clock.set_property("clock-type", gst::ClockType::Monotonic);
        assert!(followed && is_monotonic(&clock));
    }

    #[test]
    fn another_monotonic_clock_needs_no_conversion() {
        gst::init().unwrap();
        let clock = glib::Object::new::<gst::SystemClock>().upcast::<gst::Clock>();
        assert!(!is_monotonic(&clock));
        for moment in [monotonic_ns(), monotonic_ns() + 5 * SECOND] {
            assert_eq!(to_running_time(moment, gst::ClockTime::ZERO, &clock).nseconds(), moment);
        }
    }

    fn reading(now: u64, lead: i64) -> Reading {
        Reading { now, lead, uncertainty: 1000 }
    }

    #[test]
    fn the_system_clock_is_the_monotonic_clock() {
        let _held = DEFAULT_CLOCK.lock().unwrap();
        gst::init().unwrap();
        let system = gst::SystemClock::obtain();
        let second = gst::Signed::Positive(gst::ClockTime::SECOND);
        let moment = to_monotonic(second, gst::ClockTime::SECOND, &system);
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
        let before = monotonic_ns();
        let now = gst::Signed::Positive(realtime.time());
        let after = monotonic_ns();
        let moment = to_monotonic(now, gst::ClockTime::ZERO, &realtime);
        assert!((before - SECOND / 10..after + SECOND / 10).contains(&moment));
        assert_eq!(gst::Signed::Positive(to_running_time(moment, gst::ClockTime::ZERO, &realtime)), now);
    }

    #[test]
    fn times_at_both_ends_of_the_range_are_bounded() {
        let _held = DEFAULT_CLOCK.lock().unwrap();
        gst::init().unwrap();
        let clock = gst::SystemClock::obtain();
        let (last, none) = (gst::ClockTime::from_nseconds(LAST), gst::ClockTime::ZERO);
        assert_eq!(to_monotonic(gst::Signed::Positive(last), last, &clock), LAST);
        assert_eq!(to_monotonic(gst::Signed::Negative(last), none, &clock), 0);
        assert_eq!(to_running_time(u64::MAX, none, &clock), last);
        assert_eq!(to_running_time(0, last, &clock), none);
    }

    #[test]
    fn noise_changes_nothing() {
        let mut lead = Lead::default();
        lead.observe(&reading(0, 500_000));
        lead.observe(&reading(0, 500_000 + TOLERANCE.cast_signed()));
        lead.observe(&Reading { now: 0, lead: 40_000_000, uncertainty: 50_000_000 });
        assert_eq!(lead.moment_of(SECOND, SECOND), SECOND + 500_000);
    }

    #[test]
    // proves: T4
    fn a_converted_time_keeps_its_value_when_the_clock_drifts() {
        let mut lead = Lead::default();
        lead.observe(&reading(SECOND, 0));
        let due = SECOND + 20_000_000;
        assert_eq!(lead.moment_of(due, SECOND), due);
        for drift in 1..200_i64 {
            lead.observe(&reading(SECOND, drift * 300_000));
            let now = SECOND + drift.unsigned_abs() * 100;
            // Another stream has a frame with the same time.
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
