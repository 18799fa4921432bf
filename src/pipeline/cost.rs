//! What a run's time costs: an estimate for reports, from Lambda's list price. Requests to S3 and Glue, storage and
//! the free tier are not in it.

/// US dollars a GB-second on x86, first tier, us-east-1 (<https://aws.amazon.com/lambda/pricing/>).
pub const X86_GB_SECOND_USD: f64 = 0.000_016_666_7;

/// US dollars a GB-second on arm64, first tier, us-east-1 (<https://aws.amazon.com/lambda/pricing/>).
pub const ARM_GB_SECOND_USD: f64 = 0.000_013_333_4;

/// US dollars an invocation (<https://aws.amazon.com/lambda/pricing/>).
pub const INVOCATION_USD: f64 = 0.000_000_2;

/// Estimated cost, in US dollars, of one invocation of `duration_ms` with `memory_mb` on this processor.
pub fn estimate_usd(memory_mb: u32, duration_ms: u64) -> f64 {
    let price = if cfg!(target_arch = "aarch64") { ARM_GB_SECOND_USD } else { X86_GB_SECOND_USD };
    let gb_seconds = f64::from(memory_mb) / 1024.0 * duration_ms as f64 / 1000.0;
    gb_seconds * price + INVOCATION_USD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_gigabytes_for_ten_seconds_cost_twenty_gigabyte_seconds() {
        let price = if cfg!(target_arch = "aarch64") { ARM_GB_SECOND_USD } else { X86_GB_SECOND_USD };
        let cost = estimate_usd(2048, 10_000);
        assert!((cost - (20.0 * price + INVOCATION_USD)).abs() < 1e-12, "{cost}");
    }
}
