"""What Bazel 4.2.3's own build files load from rules_cc, handed on to the native rules.

Debian's bazel-rules-cc is too new for this Bazel, and these names are all that is needed.
"""

cc_binary = native.cc_binary
cc_import = native.cc_import
cc_library = native.cc_library
cc_proto_library = native.cc_proto_library
cc_test = native.cc_test
cc_toolchain = native.cc_toolchain
cc_toolchain_suite = native.cc_toolchain_suite
objc_library = native.objc_library
