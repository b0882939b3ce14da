//! Signs of life: whether every task that the daemon needs goes round.
//!
//! A task beats when it begins a turn and while it sleeps between two; whatever it does in
//! a turn has a limit. So the longest time between two beats is known beforehand, and a
//! longer one means that it hangs.
//!
//! The rule: **the bounds that others go by (`/readyz`, the watchdog) are derived from the
//! limits here**, never guessed beside them.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::ports::Clock;
use crate::postgres::StoreError;
use crate::postgres::connections::{ACQUIRE, ANSWER, PATIENCE};

/// While a task sleeps it beats this often.
const SLICE: Duration = Duration::from_secs(1);
/// What a busy machine may take beyond any limit.
const MARGIN: Duration = Duration::from_secs(5);
/// Statements of the work in one turn that wait for one another, at most.
const STATEMENTS: u32 = 2;

/// A task that goes on as long as the daemon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Claims due tenants.
    Claims,
    /// Renews leases.
    Heartbeat,
    /// Does what is due for the whole fleet.
    Upkeep,
    /// Probes regions whose breaker is open.
    Breakers,
    /// Hears that there is work. Polling goes on without it.
    WakeUps,
}

impl Task {
    /// Every task.
    pub const ALL: [Self; 5] = [Self::Claims, Self::Heartbeat, Self::Upkeep, Self::Breakers, Self::WakeUps];

    /// What people call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claims => "the claim loop",
            Self::Heartbeat => "the heartbeat",
            Self::Upkeep => "the upkeep",
            Self::Breakers => "the watch over breakers",
            Self::WakeUps => "the listener",
        }
    }

    /// Longest time that one turn may take; what takes longer is broken off. `None` where
    /// nobody needs to know.
    #[must_use]
    pub const fn limit(self) -> Option<Duration> {
        match self {
            Self::Claims | Self::Heartbeat => Some(in_a_row(STATEMENTS)),
            Self::Upkeep => Some(Duration::from_mins(10)),
            Self::Breakers => Some(Duration::from_mins(2)),
            Self::WakeUps => None,
        }
    }

    /// Longest time between two beats of a task that is well.
    #[must_use]
    pub fn longest_silence(self) -> Option<Duration> {
        self.limit().map(|limit| limit + SLICE + MARGIN)
    }
}

const fn in_a_row(statements: u32) -> Duration {
    Duration::from_secs((ACQUIRE.as_secs() + ANSWER.as_secs()) * statements as u64)
}

/// When each task last beat, and which have ended.
#[derive(Debug, Default)]
pub struct Pulse {
    beats: [AtomicU64; Task::ALL.len()],
    ended: [AtomicBool; Task::ALL.len()],
}

impl Pulse {
    /// The task goes round.
    pub fn beat(&self, task: Task, clock: &dyn Clock) {
        let now = u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.beats[task as usize].store(now, Ordering::Relaxed);
    }

    /// The task will not beat any more, and should.
    pub fn ended(&self, task: Task) {
        self.ended[task as usize].store(true, Ordering::Relaxed);
    }

    /// Sleeps, and beats meanwhile.
    pub async fn sleep(&self, task: Task, clock: &dyn Clock, duration: Duration) {
        let mut left = duration;
        loop {
            self.beat(task, clock);
            if left.is_zero() {
                return;
            }
            let slice = left.min(SLICE);
            tokio::time::sleep(slice).await;
            left -= slice;
        }
    }

    /// One turn, within the task's limit.
    ///
    /// # Errors
    ///
    /// The turn's, or an outage where it took too long.
    pub async fn turn<T>(
        &self,
        task: Task,
        clock: &dyn Clock,
        turn: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.beat(task, clock);
        let Some(limit) = task.limit() else { return turn.await };
        let ended = tokio::time::timeout(limit, turn).await;
        self.beat(task, clock);
        ended.unwrap_or_else(|_| Err(too_long(task, limit)))
    }

    /// Does something that has a limit of its own, longer than a turn's, and beats meanwhile.
    pub async fn while_doing<T>(&self, task: Task, clock: &dyn Clock, act: impl Future<Output = T>) -> T {
        tokio::pin!(act);
        loop {
            self.beat(task, clock);
            if let Ok(done) = tokio::time::timeout(SLICE, &mut act).await {
                return done;
            }
        }
    }

    /// `Ok` while every task goes round; else one sentence on the first that does not.
    ///
    /// # Errors
    ///
    /// The sentence.
    pub fn check_all(&self, now: Duration) -> Result<(), String> {
        Task::ALL.into_iter().try_for_each(|task| self.check(task, now))
    }

    /// When the task last beat, on the clock of the process; zero before its first.
    pub fn last(&self, task: Task) -> Duration {
        Duration::from_millis(self.beats[task as usize].load(Ordering::Relaxed))
    }

    /// `Ok` while the task goes round; else one sentence on why it does not.
    ///
    /// # Errors
    ///
    /// The sentence.
    pub fn check(&self, task: Task, now: Duration) -> Result<(), String> {
        if self.ended[task as usize].load(Ordering::Relaxed) {
            return Err(format!("{} has ended", task.as_str()));
        }
        let age = now.saturating_sub(self.last(task));
        match task.longest_silence() {
            Some(longest) if age > longest => {
                Err(format!("{} has not gone round for {} s", task.as_str(), age.as_secs()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// The statements themselves end before: this is a network that answers just too slowly,
/// or a machine that stood still.
fn too_long(task: Task, limit: Duration) -> StoreError {
    let text = format!("{} took longer than {}", task.as_str(), humantime::format_duration(limit));
    StoreError::Driver(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text)))
}

/// [`PATIENCE`] is the longest that a statement of the upkeep may take: a turn of it has
/// room for several.
const _: () = assert!(PATIENCE.as_secs() * 5 < Duration::from_mins(10).as_secs());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::SystemClock;

    const UNIT: &str = include_str!("../../deploy/systemd/tenantd.service");

    #[test]
    fn systemd_waits_longer_than_a_loop_that_is_well_may_be_silent() {
        let line = UNIT.lines().find_map(|line| line.strip_prefix("WatchdogSec=")).unwrap();
        let watchdog = humantime::parse_duration(line).unwrap();

        // It is asked twice in a period, and must be well at one of the two.
        assert!(Task::Claims.longest_silence().unwrap() * 2 <= watchdog + watchdog / 2, "{watchdog:?}");
        assert!(Task::Claims.longest_silence().unwrap() < watchdog, "{watchdog:?}");
    }

    #[test]
    fn a_task_that_is_silent_for_too_long_or_has_ended_is_named() {
        let pulse = Pulse::default();
        let longest = Task::Heartbeat.longest_silence().unwrap();

        assert_eq!(pulse.check(Task::Heartbeat, longest), Ok(()));
        let late = pulse.check(Task::Heartbeat, longest + Duration::from_secs(2)).unwrap_err();
        assert!(late.starts_with("the heartbeat has not gone round for"), "{late}");
        pulse.ended(Task::WakeUps);
        assert_eq!(pulse.check(Task::WakeUps, Duration::ZERO), Err("the listener has ended".to_owned()));
        assert_eq!(pulse.check(Task::Claims, Duration::ZERO), Ok(()));
    }

    #[test]
    fn no_task_hangs_or_ends_without_being_named() {
        let day = Duration::from_hours(24);
        let others_beat = |silent| {
            let pulse = Pulse::default();
            for task in Task::ALL.into_iter().filter(|task| *task != silent) {
                pulse.beats[task as usize].store(86_400_000, Ordering::Relaxed);
            }
            pulse
        };
        for task in Task::ALL {
            let pulse = others_beat(task);
            let silent = pulse.check_all(day).err();
            let hangs = format!("{} has not gone round for 86400 s", task.as_str());
            assert_eq!(silent, task.limit().map(|_| hangs), "{task:?}");

            pulse.ended(task);
            assert_eq!(pulse.check_all(day), Err(format!("{} has ended", task.as_str())), "{task:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_takes_too_long_is_an_outage() {
        let (pulse, clock) = (Pulse::default(), SystemClock::start());
        let never = std::future::pending::<Result<(), StoreError>>();

        let error = pulse.turn(Task::Claims, &clock, never).await.unwrap_err();

        assert!(
            error.is_outage() && error.to_string().contains("the claim loop took longer than 26s"),
            "{error}"
        );
    }
}
