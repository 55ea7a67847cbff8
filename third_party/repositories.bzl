"""The libraries that ioengine links, each replaceable by an embedder's repository of that name."""

load("//third_party:pkg_config.bzl", "pkg_config_repository")

# Abseil's label → the name of Debian's pkg-config module. Extend as the code needs more.
# absl/synchronization is left out on purpose: built without TSan, as Debian does, its Mutex looks
# like a race. Threaded code here uses the standard library's primitives.
_ABSEIL = {
    "absl/algorithm:container": ["absl_algorithm_container"],
    "absl/base:base": ["absl_base"],
    "absl/base:config": ["absl_config"],
    "absl/base:core_headers": ["absl_core_headers"],
    "absl/base:endian": ["absl_endian"],
    "absl/base:log_severity": ["absl_log_severity"],
    "absl/cleanup:cleanup": ["absl_cleanup"],
    "absl/container:btree": ["absl_btree"],
    "absl/container:fixed_array": ["absl_fixed_array"],
    "absl/container:flat_hash_map": ["absl_flat_hash_map"],
    "absl/container:flat_hash_set": ["absl_flat_hash_set"],
    "absl/container:inlined_vector": ["absl_inlined_vector"],
    "absl/container:node_hash_map": ["absl_node_hash_map"],
    "absl/container:node_hash_set": ["absl_node_hash_set"],
    "absl/debugging:failure_signal_handler": ["absl_failure_signal_handler"],
    "absl/debugging:leak_check": ["absl_leak_check"],
    "absl/debugging:stacktrace": ["absl_stacktrace"],
    "absl/debugging:symbolize": ["absl_symbolize"],
    "absl/flags:commandlineflag": ["absl_flags_commandlineflag"],
    "absl/flags:config": ["absl_flags_config"],
    "absl/flags:flag": ["absl_flags"],
    "absl/flags:marshalling": ["absl_flags_marshalling"],
    "absl/flags:parse": ["absl_flags_parse"],
    "absl/flags:reflection": ["absl_flags_reflection"],
    "absl/flags:usage": ["absl_flags_usage"],
    "absl/functional:any_invocable": ["absl_any_invocable"],
    "absl/functional:bind_front": ["absl_bind_front"],
    "absl/functional:function_ref": ["absl_function_ref"],
    "absl/hash:hash": ["absl_hash"],
    "absl/memory:memory": ["absl_memory"],
    "absl/meta:type_traits": ["absl_type_traits"],
    "absl/numeric:bits": ["absl_bits"],
    "absl/numeric:int128": ["absl_int128"],
    "absl/random:bit_gen_ref": ["absl_random_bit_gen_ref"],
    "absl/random:distributions": ["absl_random_distributions"],
    "absl/random:random": ["absl_random_random"],
    "absl/random:seed_sequences": ["absl_random_seed_sequences"],
    "absl/status:status": ["absl_status"],
    "absl/status:statusor": ["absl_statusor"],
    "absl/strings:cord": ["absl_cord"],
    "absl/strings:str_format": ["absl_str_format"],
    "absl/strings:strings": ["absl_strings"],
    "absl/time:time": ["absl_time"],
    "absl/types:any": ["absl_any"],
    "absl/types:optional": ["absl_optional"],
    "absl/types:span": ["absl_span"],
    "absl/types:variant": ["absl_variant"],
    "absl/utility:utility": ["absl_utility"],
}

# Repository → the Debian package that holds it, and its targets in the form above.
_SYSTEM_LIBRARIES = {
    "com_google_absl": ("libabsl-dev", _ABSEIL),
    "com_google_googletest": ("libgmock-dev", {
        ":gtest": ["gmock", "gtest"],
        ":gtest_main": ["gmock_main"],
    }),
    "liburing": ("liburing-dev", {":liburing": ["liburing"]}),
    "libnuma": ("libnuma-dev", {":libnuma": ["numa"]}),
    "nlohmann_json": ("nlohmann-json3-dev", {":json": ["nlohmann_json"]}),
    "rocksdb": ("librocksdb-dev", {":rocksdb": ["rocksdb"]}),
    "xxhash": ("libxxhash-dev", {":xxhash": ["libxxhash"]}),
}

# Full label → pkg-config modules, for the .pc file of the installed library.
PKG_CONFIG_MODULES = {
    "@%s//%s" % (repository, target): modules
    for repository, (_, targets) in _SYSTEM_LIBRARIES.items()
    for target, modules in targets.items()
}

def ioengine_dependencies():
    """Defines each dependency that the calling WORKSPACE has not defined before."""
    for repository, (debian_package, targets) in _SYSTEM_LIBRARIES.items():
        if not native.existing_rule(repository):
            pkg_config_repository(
                name = repository,
                debian_package = debian_package,
                targets = targets,
            )
