#![no_main]

// The expression engine may panic, which the engine catches: what is caught is no finding, so the
// fuzzer's hook, which aborts at once, is put aside. A panic that is not caught still aborts.
libfuzzer_sys::fuzz_target!(
    init: std::panic::set_hook(Box::new(|panic| {
        let within = panic.location().map_or("", |location| location.file());
        if !within.contains("jlens-core") {
            eprintln!("{panic}");
        }
    })),
    |input: &[u8]| erp_fuzz::map::run(input)
);
