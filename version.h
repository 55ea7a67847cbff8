#ifndef IOENGINE_VERSION_H_
#define IOENGINE_VERSION_H_

// The version of the library, for the preprocessor, for a person and for comparison. The build
// reads it from here too: write the three numbers nowhere else.

#define IOENGINE_VERSION_MAJOR 0
#define IOENGINE_VERSION_MINOR 1
#define IOENGINE_VERSION_PATCH 0

namespace ioengine {

// "MAJOR.MINOR.PATCH". Before 1.0 a higher MINOR may break source compatibility.
inline constexpr char kVersion[] = "0.1.0";

}  // namespace ioengine

#endif  // IOENGINE_VERSION_H_
