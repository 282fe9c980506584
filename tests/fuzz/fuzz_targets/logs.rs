#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| runnel::testing::logs::fuzz_logs(data));
