//! CPU time and memory from `/proc`: of children, and of a Postgres server.

use std::fs;
use std::time::Duration;

/// `utime stime cutime cstime` of a process are fields 14 to 17 (proc(5)).
const FIRST_TIME: usize = 14;
/// Ticks per second: `USER_HZ`, which Linux fixes at 100.
const TICK: Duration = Duration::from_millis(10);

/// CPU used by children of this process that were waited for.
pub(crate) fn of_ended_children() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux has /proc");
    TICK * (field(&stat, FIRST_TIME + 2) + field(&stat, FIRST_TIME + 3))
}

/// CPU used so far by a process.
pub(crate) fn of_process(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    TICK * (field(&stat, FIRST_TIME) + field(&stat, FIRST_TIME + 1))
}

/// Memory of a process in MB: now, and at the most.
pub(crate) fn memory_of_process(pid: u32) -> (f64, f64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let megabytes = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        let kilobytes: f64 = line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).unwrap_or(0.0);
        kilobytes / 1024.0
    };
    (megabytes("VmRSS:"), megabytes("VmHWM:"))
}

/// CPU used so far by the server whose socket is in this directory, and all its backends.
pub(crate) fn of_postgres(socket_directory: &str) -> Duration {
    let processes: Vec<(u32, String)> = fs::read_dir("/proc")
        .expect("Linux has /proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| Some((pid, fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)))
        .collect();
    let is_postmaster = |pid: u32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        command.contains(socket_directory)
            && command.split('\0').next().is_some_and(|it| it.ends_with("/postgres"))
    };
    let postmaster = processes.iter().map(|(pid, _)| *pid).find(|pid| is_postmaster(*pid));
    let postmaster = postmaster.expect("the private server runs");
    let ticks: u32 = processes
        .iter()
        .map(|(pid, stat)| {
            let own = field(stat, FIRST_TIME) + field(stat, FIRST_TIME + 1);
            if *pid == postmaster {
                own + field(stat, FIRST_TIME + 2) + field(stat, FIRST_TIME + 3)
            } else if field(stat, 4) == postmaster {
                own
            } else {
                0
            }
        })
        .sum();
    TICK * ticks
}

/// A numeric field, counted from 1 as in proc(5). The second is a name that may hold spaces.
fn field(stat: &str, number: usize) -> u32 {
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    after_name.split(' ').nth(number - 3).and_then(|field| field.parse().ok()).unwrap_or(0)
}
