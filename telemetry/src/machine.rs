//! What figures are measured on and how they are summed up: processor, load, wall and processor time of work, medians. Linux's `/proc`
//! where the system has it; what it does not say is `None`. For people who read benchmarks: nothing decides by it.

use rustix::time::{ClockId, clock_gettime};

/// The processor's name.
#[must_use]
pub fn processor() -> Option<String> {
    field(&std::fs::read_to_string("/proc/cpuinfo").ok()?, "model name")
}

/// Whether the processor multiplies bfloat16 numbers itself (AVX-512 BF16 or AMX on x86, BF16 on Arm).
#[must_use]
pub fn multiplies_bf16() -> bool {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = field(&info, "flags").or_else(|| field(&info, "Features")).unwrap_or_default();
    flags.split_whitespace().any(|flag| ["avx512_bf16", "amx_bf16", "bf16"].contains(&flag))
}

/// Mean number of runnable processes over the last minute: near the number of cores or above, figures cannot be trusted.
#[must_use]
pub fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// Runs `work`; returns its result, and the seconds of the wall clock and of the processor (all threads of this process) that it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64, f64) {
    let (wall, processor) = (reading(ClockId::Monotonic), reading(ClockId::ProcessCPUTime));
    let result = work();
    let wall = reading(ClockId::Monotonic) - wall;
    (result, wall, reading(ClockId::ProcessCPUTime) - processor)
}

/// The middle value, or the mean of the two middle ones; `None` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The least value; `None` of nothing.
#[must_use]
pub fn least(values: &[f64]) -> Option<f64> {
    values.iter().copied().min_by(f64::total_cmp)
}

fn reading(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The value of the first line `key : value`.
fn field(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_wall_and_processor_time() {
        let (sum, wall, processor) = timed(|| (0..3_000_000_u64).fold(0_u64, |sum, x| std::hint::black_box(sum ^ x)));
        assert!(sum < u64::MAX && wall > 0.0 && processor > 0.0, "{wall} {processor}");
    }

    #[test]
    fn the_processors_name_is_read() {
        assert_eq!(field("a : b\nmodel name\t: Some CPU @ 2 GHz\n", "model name").as_deref(), Some("Some CPU @ 2 GHz"));
        assert_eq!(field("", "model name"), None);
    }

    #[test]
    fn the_median_is_the_middle_of_the_sorted_values() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(least(&[4.0, 1.0, 3.0]), Some(1.0));
    }
}
