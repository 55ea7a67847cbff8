"""System libraries, offered under the labels that upstream uses.

An embedder that builds such a library from source defines a repository of the same name before
calling ioengine_dependencies(), and its own one is used instead.
"""

def _query(repository_ctx, option, modules):
    """Returns the words that pkg-config prints, or fails with what to install."""
    result = repository_ctx.execute(["pkg-config", option] + modules)
    if result.return_code != 0:
        fail("pkg-config finds no %s for @%s. Install Debian's package %s (tools/test does it).\n%s" % (
            ", ".join(modules),
            repository_ctx.name,
            repository_ctx.attr.debian_package,
            result.stderr,
        ))
    return [word for word in result.stdout.replace("\n", " ").split(" ") if word]

def _rule_text(repository_ctx, name, modules):
    defines = []
    for flag in _query(repository_ctx, "--cflags", modules):
        if flag.startswith("-D"):
            defines.append(flag[2:])
        elif flag.startswith("-I"):
            fail("@%s: headers in %s, which the compiler does not search by itself. " %
                 (repository_ctx.name, flag[2:]) + "Install the library in a system prefix.")
    return """
cc_library(
    name = "{name}",
    defines = {defines},
    linkopts = {linkopts},
    visibility = ["//visibility:public"],
)
""".format(
        name = name,
        defines = defines,
        linkopts = _query(repository_ctx, "--libs", modules),
    )

def _pkg_config_repository_impl(repository_ctx):
    packages = {}
    for label, modules in repository_ctx.attr.targets.items():
        package, name = label.split(":")
        packages.setdefault(package, []).append(_rule_text(repository_ctx, name, modules))
    for package, rules in packages.items():
        path = package + "/BUILD.bazel" if package else "BUILD.bazel"
        repository_ctx.file(path, "".join(rules))
    repository_ctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % repository_ctx.name)

pkg_config_repository = repository_rule(
    implementation = _pkg_config_repository_impl,
    doc = "A repository whose targets are system libraries, linked as pkg-config says.",
    attrs = {
        "debian_package": attr.string(
            mandatory = True,
            doc = "The package that holds the libraries, for the message when one is missing.",
        ),
        "targets": attr.string_list_dict(
            mandatory = True,
            doc = "From \"package:target\", without the leading //, to pkg-config's modules.",
        ),
    },
    environ = ["PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR"],
    configure = True,
)
