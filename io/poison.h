// Tells AddressSanitizer which parts of an arena are in use, so that a touch of a freed buffer is
// found. Nothing without the sanitizer.
#ifndef IOENGINE_IO_POISON_H_
#define IOENGINE_IO_POISON_H_

#include <cstddef>
#include <span>

#if defined(__SANITIZE_ADDRESS__)
#define IOENGINE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IOENGINE_ASAN 1
#endif
#endif

#ifdef IOENGINE_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace ioengine {

inline void Poison([[maybe_unused]] std::span<std::byte> bytes) {
#ifdef IOENGINE_ASAN
  __asan_poison_memory_region(bytes.data(), bytes.size());
#endif
}

inline void Unpoison([[maybe_unused]] std::span<std::byte> bytes) {
#ifdef IOENGINE_ASAN
  __asan_unpoison_memory_region(bytes.data(), bytes.size());
#endif
}

// Whether any of the bytes is not in use. The sanitizer does not see the kernel's accesses, so
// backends ask before they hand memory to it and after it came back.
inline bool IsPoisoned([[maybe_unused]] const void* data, [[maybe_unused]] size_t size_bytes) {
#ifdef IOENGINE_ASAN
  return __asan_region_is_poisoned(const_cast<void*>(data), size_bytes) != nullptr;
#else
  return false;
#endif
}

}  // namespace ioengine

#endif  // IOENGINE_IO_POISON_H_
