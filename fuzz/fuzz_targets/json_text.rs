#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| erp_fuzz::json_text::run(input));
