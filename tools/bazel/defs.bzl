"""The rules that all of ioengine's own targets use.

They take the attributes of the native rules, and add the language version, the warnings and the
include prefix: `hdrs = ["dma_file.h"]` of package `io` is included as "ioengine/io/dma_file.h".
Warnings become errors only in .bazelrc, so that another compiler's new warning never breaks an
embedder's build.
"""

IOENGINE_COPTS = [
    "-std=c++20",
    "-Wall",
    "-Wextra",
    "-Wcast-align",
    "-Wextra-semi",
    "-Wimplicit-fallthrough",
    "-Wmissing-declarations",
    "-Wnon-virtual-dtor",
    "-Wold-style-cast",
    "-Woverloaded-virtual",
    "-Wshadow",
    "-Wundef",
    "-Wunused",
    "-Wvla",
]

# The `env` of tests with executors: their death tests start afresh, since an executor refuses to run
# in a child process that was only forked.
FRESH_DEATH_TESTS = {"GTEST_DEATH_TEST_STYLE": "threadsafe"}

def ioengine_cc_library(name, copts = [], **kwargs):
    """cc_library. Private headers belong into `hdrs` too: only those get the include prefix."""
    native.cc_library(
        name = name,
        copts = IOENGINE_COPTS + copts,
        # Bazel puts this in front of a path that starts at the package.
        include_prefix = "/".join(["ioengine"] + native.package_name().split("/")).rstrip("/"),
        # An archive only: everything that links against it does so statically.
        linkstatic = True,
        **kwargs
    )

# Each library of the engine is built once, with bugs to choose from: see ioengine_engine_library.
_ONE_VARIANT = "//tools/bazel:one_variant"
_DEFAULT = "//conditions:default"

def ioengine_engine_library(name, deps = [], engine_deps = [], **kwargs):
    """A library of the engine, and the same with planted bugs to choose from, for tests.

    `engine_deps` are libraries made by this macro, as "//folder:name". `<name>_canary` depends on
    their canaries, and has IsCanary of sched/canary.h at run time. With
    --define=ioengine_variants=one both are the latter, which saves half of the time that it takes to
    compile them: for the sanitizers, of which nobody ships what they build.
    """
    ioengine_cc_library(
        name = name,
        defines = select({
            _ONE_VARIANT: ["IOENGINE_CANARIES"],
            _DEFAULT: [],
        }),
        deps = deps + engine_deps + select({
            _ONE_VARIANT: ["//sched:chosen_canary"],
            _DEFAULT: ["//sched:canary"],
        }),
        **kwargs
    )
    ioengine_cc_library(
        name = name + "_canary_variant",
        testonly = True,
        defines = ["IOENGINE_CANARIES"],
        deps = deps + [dep + "_canary" for dep in engine_deps] + ["//sched:chosen_canary"],
        **kwargs
    )
    native.alias(
        name = name + "_canary",
        testonly = True,
        actual = select({
            _ONE_VARIANT: ":" + name,
            _DEFAULT: ":" + name + "_canary_variant",
        }),
    )

def ioengine_cc_binary(name, copts = [], linkopts = [], **kwargs):
    """cc_binary."""
    native.cc_binary(
        name = name,
        copts = IOENGINE_COPTS + copts,
        linkopts = ["-pie"] + linkopts,
        **kwargs
    )

def ioengine_cc_test(name, copts = [], linkopts = [], **kwargs):
    """cc_test. Tests of more than one thread carry `tags = ["threads"]` and run under TSan too."""
    native.cc_test(
        name = name,
        copts = IOENGINE_COPTS + copts,
        linkopts = ["-pie"] + linkopts,
        **kwargs
    )
