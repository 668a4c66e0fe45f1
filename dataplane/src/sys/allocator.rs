//! How the allocator behaves, where its own choice isn't ours.

/// What jemalloc is started with, where it looks for that (its manual, "TUNING"). Memory of a burst goes back to the kernel after
/// half a second instead of ten: a thousand new connections need twenty times what they do when they are idle.
#[unsafe(export_name = "_rjem_malloc_conf")]
static SETTINGS: Option<&'static libc::c_char> = first(c"dirty_decay_ms:500");

const fn first(text: &'static std::ffi::CStr) -> Option<&'static libc::c_char> {
    // SAFETY: a string has a first byte, and lives as long as the program does; jemalloc reads on to its end.
    unsafe { text.as_ptr().as_ref() }
}
