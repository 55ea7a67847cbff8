"""One archive out of many cc_library targets, for embedders who do not build with Bazel."""

load("//third_party:repositories.bzl", "PKG_CONFIG_MODULES")

# Bazel's own name for the action whose tool is the archiver.
_ARCHIVE_ACTION = "c++-link-static-library"

def _cc_toolchain(ctx):
    return ctx.attr._cc_toolchain[cc_common.CcToolchainInfo]

def _archiver(ctx):
    toolchain = _cc_toolchain(ctx)
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )
    return cc_common.get_tool_for_action(
        feature_configuration = features,
        action_name = _ARCHIVE_ACTION,
    )

def _own_objects(library):
    # The embedder may link the archive into a shared library, so position independence comes first.
    return library.pic_objects or library.objects

def _cc_static_archive_impl(ctx):
    objects = []
    modules = {}
    for linker_input in ctx.attr.library[CcInfo].linking_context.linker_inputs.to_list():
        owner = linker_input.owner
        if owner.workspace_name == ctx.label.workspace_name:
            for library in linker_input.libraries:
                objects.extend(_own_objects(library))
            continue
        label = "@%s//%s:%s" % (owner.workspace_name, owner.package, owner.name)
        if label not in PKG_CONFIG_MODULES:
            fail("%s depends on %s, which third_party/repositories.bzl does not name" %
                 (ctx.attr.library.label, label))
        modules.update({module: None for module in PKG_CONFIG_MODULES[label]})

    archive = ctx.actions.declare_file(ctx.attr.archive_name)
    arguments = ctx.actions.args()

    # q, not r: objects of the same name from different folders must not replace one another.
    arguments.add("qcsD")
    arguments.add(archive)
    arguments.add_all(objects)
    arguments.use_param_file("@%s")
    ctx.actions.run(
        executable = _archiver(ctx),
        arguments = [arguments],
        inputs = depset(objects, transitive = [_cc_toolchain(ctx).all_files]),
        outputs = [archive],
        mnemonic = "CppStaticArchive",
        progress_message = "Gathering %s" % archive.short_path,
    )

    requires = ctx.actions.declare_file(ctx.attr.archive_name + ".requires")
    ctx.actions.write(requires, "".join([module + "\n" for module in sorted(modules)]))
    return [DefaultInfo(files = depset([archive, requires]))]

cc_static_archive = rule(
    implementation = _cc_static_archive_impl,
    doc = "Puts the objects of `library`, and of all it depends on in the same repository, into " +
          "one archive; beside it `NAME.requires` lists the pkg-config modules of the rest.",
    attrs = {
        "archive_name": attr.string(mandatory = True, doc = "File name, such as libx.a."),
        "library": attr.label(mandatory = True, providers = [CcInfo]),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
    fragments = ["cpp"],
)
