//! The program, and the machine it runs on.
//!
//! The rule: what tells nothing of a fault is left out, such as the machine's name and its users.

use std::fs;

use serde_json::{Value, json};

/// What was built, for what.
pub(super) fn version() -> Value {
    let program = std::env::current_exe().ok();
    let bytes = program.as_ref().and_then(|path| fs::metadata(path).ok()).map(|metadata| metadata.len());
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "target": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        "libc": if cfg!(target_env = "musl") { "musl" } else { "gnu" },
        "is_debug_build": cfg!(debug_assertions),
        "program": program,
        "program_bytes": bytes,
    })
}

/// What the kernel and the distribution say; a machine that says nothing of something lacks it.
pub(super) fn machine() -> Value {
    json!({
        "system": line_of("/etc/os-release", "PRETTY_NAME=").map(|name| name.trim_matches('"').to_owned()),
        "kernel": whole("/proc/sys/kernel/osrelease"),
        "processors": std::thread::available_parallelism().ok(),
        "memory_total": line_of("/proc/meminfo", "MemTotal:"),
        "memory_available": line_of("/proc/meminfo", "MemAvailable:"),
        "load": whole("/proc/loadavg"),
        "cgroup_memory_max": whole("/sys/fs/cgroup/memory.max"),
        "cgroup_cpu_max": whole("/sys/fs/cgroup/cpu.max"),
        "limits_of_this_command": limits(),
    })
}

fn limits() -> Value {
    let names = ["Max open files", "Max processes", "Max address space", "Max locked memory"];
    let limit = |name: &str| (name.to_owned(), line_of("/proc/self/limits", name).into());
    Value::Object(names.map(limit).into_iter().collect())
}

fn whole(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// The rest of the first line that begins so, its blanks as one.
fn line_of(path: &str, beginning: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(beginning))?;
    Some(rest.split_whitespace().collect::<Vec<_>>().join(" "))
}
