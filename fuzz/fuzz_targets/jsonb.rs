#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| erp_fuzz::jsonb::run(input));
